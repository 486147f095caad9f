"""Checks the embedded server over the loopback address: whether it answers, takes our login, has the database."""

from __future__ import annotations

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from bootstrapper.errors import EmbeddedServerError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.cluster import SUPERUSER
from bootstrapper.postgres.server.placement import HOST

_MAINTENANCE = "postgres"
_PLAIN = {"options": "", "sslmode": "disable", "gssencmode": "disable", "connect_timeout": "5"}
"""Set explicitly, so that PGOPTIONS and the like do not apply to these connections."""


def target_at(port: int, password: str, database: str) -> Target:
    return Target(
        {"host": HOST, "port": str(port), "user": SUPERUSER, "password": password, "dbname": database},
    )


def answers(port: int) -> bool:
    """Whether a server accepts connections there; needs no password."""
    asked = make_conninfo("", host=HOST, port=port, user=SUPERUSER, dbname=_MAINTENANCE, **_PLAIN)
    return pq.PGconn.ping(asked.encode()) == pq.Ping.OK


def logs_in(target: Target) -> bool:
    """Proves server, password and database in one round."""
    try:
        psycopg.connect(_conninfo(target)).close()
    except psycopg.Error:
        return False
    return True


def create_database(target: Target) -> None:
    """Creates the target's database unless it exists. The caller ensures that no other process does so now."""
    name = target.parameters["dbname"]
    try:
        with psycopg.connect(_conninfo(target, dbname=_MAINTENANCE), autocommit=True) as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise EmbeddedServerError(f"it runs, but could not create database {name!r}: {error}".strip()) from error


def _conninfo(target: Target, **changed: str) -> str:
    return make_conninfo("", **{**target.parameters, **_PLAIN, **changed})
