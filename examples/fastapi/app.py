"""A FastAPI application that brings up its database before it takes requests, in one replica or in many.

    DATABASE_URL=postgresql://localhost/greetings uvicorn app:app --workers 4

With BACKGROUND=1 it starts at once, and answers /livez and /readyz until the database is ready.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from fastapi import FastAPI, Request

from bootstrapper.integrations.asgi import ReadinessMiddleware, lifespan


async def greetings() -> list[tuple[str]]:
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"]) as connection:
        cursor = await connection.execute("SELECT text FROM greetings ORDER BY text")
        return await cursor.fetchall()


@asynccontextmanager
async def resources(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """The application's own lifespan: the database is ready when it is entered."""
    yield {"greetings": await greetings()}


app = FastAPI(lifespan=lifespan(inner=resources, background="BACKGROUND" in os.environ))
app.add_middleware(ReadinessMiddleware)


@app.get("/")
async def index() -> list[str]:
    return [text for (text,) in await greetings()]


@app.get("/resources")
async def kept(request: Request) -> dict[str, Any]:
    return {"greetings": request.state.greetings}
