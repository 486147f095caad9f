"""Loads what SQLAlchemy loads with its first engine, for a worker that has to wait for its request anyway."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

DRIVERS = ("psycopg", "psycopg2", "pg8000", "psycopg2cffi", "asyncpg")


def load_dialect() -> None:
    """Loads the dialect, and the driver if there is only one; which of several env.py takes is unknown."""
    installed = [driver for driver in DRIVERS if find_spec(driver) is not None]
    try:
        import_module("sqlalchemy.dialects.postgresql")
        if installed == ["psycopg"]:
            import_module("sqlalchemy.dialects.postgresql.psycopg")
            import_module("psycopg")
    except Exception:  # noqa: BLE001, S110 - the first use of it reports the error
        pass
