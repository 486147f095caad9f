"""A FastAPI application that brings up its database before it takes requests, in one replica or in many.

uvicorn app:app --workers 4
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from fastapi import FastAPI

from bootstrapper.integrations.asgi import ReadinessMiddleware, lifespan


@asynccontextmanager
async def resources(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    """The application's own lifespan: the database is ready when it is entered."""
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        yield {"greetings": (await (await connection.execute("SELECT text FROM greetings ORDER BY text")).fetchall())}


app = FastAPI(lifespan=lifespan(inner=resources, background="BACKGROUND" in os.environ))
app.add_middleware(ReadinessMiddleware)


@app.get("/")
async def greet() -> list[str]:
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        rows = await (await connection.execute("SELECT text FROM greetings ORDER BY text")).fetchall()
    return [row[0] for row in rows]
