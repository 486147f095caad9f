"""Values as SQL and as lists, and small questions about the connection that env.py made."""

from __future__ import annotations

from typing import Any

BACKEND = "SELECT pg_catalog.current_database()::pg_catalog.text, pg_catalog.pg_backend_pid()"


def literal(text: str) -> str:
    """Returns a text as SQL, whatever the role's settings and the driver's placeholders are."""
    if text.isascii() and text.isalnum():
        return f"'{text}'"
    return "E'" + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + "'"


def filled_in(parts: list[Any], facts: dict[str, str]) -> str:
    """Puts facts, as SQL, into a statement that the parent composed: `{"fact": NAME}` is the place of one."""
    return "".join(part if isinstance(part, str) else facts[part["fact"]] for part in parts)


def fetch_one(connection: Any, statement: str) -> Any:
    return connection.exec_driver_sql(statement).fetchone()


def dbapi_connection(connection: Any) -> Any:
    fairy = connection.connection
    return getattr(fairy, "dbapi_connection", None) or fairy.connection


def driver_connection(connection: Any) -> Any:
    """Returns the connection of the driver itself, which of an asyncio driver is another one than SQLAlchemy's."""
    fairy = connection.connection
    return getattr(fairy, "driver_connection", None) or getattr(fairy, "dbapi_connection", None) or fairy.connection


def client_side_pid(connection: Any) -> int | None:
    """Returns the backend that accepted the connection, as the driver recorded it; None where it does not tell."""
    driver = driver_connection(connection)
    if hasattr(driver, "get_server_pid"):
        return int(driver.get_server_pid())
    pid = getattr(getattr(driver, "info", None), "backend_pid", None)
    return None if pid is None else int(pid)


def where(connection: Any) -> str:
    url = connection.engine.url
    host = url.host or url.query.get("host") or "the local socket"
    return f"{host}:{url.port or url.query.get('port') or 5432}/{fetch_one(connection, BACKEND)[0]}"


def as_list(value: Any) -> list[Any]:
    """Returns what Alembic takes as None, one value or several."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
