"""A Litestar application that brings up its database before it takes requests.

litestar run
litestar bootstrap plan
"""

from __future__ import annotations

import os

import psycopg
from litestar import Litestar, get

from bootstrapper.integrations.litestar import BootstrapperPlugin


@get("/")
async def greet() -> list[str]:
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        rows = await (await connection.execute("SELECT text FROM greetings ORDER BY text")).fetchall()
    return [row[0] for row in rows]


app = Litestar([greet], plugins=[BootstrapperPlugin(background="BACKGROUND" in os.environ)])
