"""What people do instead: the same migrations behind the usual locks, or behind none."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

KEY = 72707369
POLL_SECONDS = 0.1


def plain(folder: Path, url: str) -> None:
    """`alembic upgrade head`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("postgresql://", "postgresql+psycopg://").replace("%", "%%"))
    command.upgrade(config, "head")


def blocking(folder: Path, url: str) -> None:
    """Each process waits in pg_advisory_lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (KEY,))
        plain(folder, url)
        connection.execute("SELECT pg_advisory_unlock(%s)", (KEY,))


def polling(folder: Path, url: str) -> None:
    """Each process asks pg_try_advisory_lock again and again, on a connection that stays open."""
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (KEY,)).fetchone() != (True,):
            time.sleep(POLL_SECONDS)
        plain(folder, url)
        connection.execute("SELECT pg_advisory_unlock(%s)", (KEY,))


RIVALS = {"plain": plain, "blocking": blocking, "polling": polling}
