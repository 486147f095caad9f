"""Copies the template for a test, with what CREATE DATABASE ... TEMPLATE leaves out, and drops the copy afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, errors, sql

from bootstrapper.errors import RefusedError
from bootstrapper.masking import Masker
from bootstrapper.postgres.server.database_properties import Properties, grants, properties, statements
from bootstrapper.postgres.server.scratch import reserved_name
from bootstrapper.pytest_plugin import sweep
from bootstrapper.pytest_plugin.database import BootstrapDatabase
from bootstrapper.pytest_plugin.template import Server, find_or_make, patiently

_STRATEGIES_SINCE = 15
_FACTS = "SELECT pg_catalog.current_setting('fsync') = 'off'"


class Cloner:
    """Makes clones of one template. Any number of processes may do so at once: no session is in the template."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._like = properties(server.connection, server.template)
        self._strategy = _strategy(server.connection, server.run.session.server.major)

    @property
    def masker(self) -> Masker:
        return self._server.request.masker

    @contextmanager
    def clone(self) -> Iterator[BootstrapDatabase]:
        """Yields a database of its own; dropped at the end, despite sessions that are still connected to it."""
        connection = self._server.connection
        with reserved_name(connection, sweep.CLONE) as name:
            try:
                self._create(connection, name)
            except errors.InvalidCatalogName:  # the template was dropped by hand
                find_or_make(self._server)
                self._like = properties(connection, self._server.template)
                self._create(connection, name)
            yield BootstrapDatabase.at(self._server.target.with_database(name))

    def _create(self, connection: Connection[Any], name: str) -> None:
        """Creates it closed to all connections, and opens it once it is marked and has its properties."""
        like = self._like
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} ALLOW_CONNECTIONS false").format(
            sql.Identifier(name), sql.Identifier(self._server.template), sql.Identifier(like.owner)
        )
        try:
            patiently(connection, create + self._strategy)
            connection.execute(sql.SQL("; ").join(_finish(name, like)))
        except errors.InsufficientPrivilege as error:
            reason = f"cannot create a database for a test: {error.diag.message_primary}"
            raise RefusedError(
                self._server.target.where,
                reason,
                sqlstate=error.sqlstate,
                hint=f"Run as a role that is a member of {like.owner}, which owns the template, or as a superuser.",
            ) from error


def _finish(name: str, like: Properties) -> Iterator[sql.Composed]:
    identifier = sql.Identifier(name)
    yield sweep.write_mark(name, f"{sweep.MARK} clone")
    yield from statements(identifier, like)
    if like.grants is not None:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(identifier)
        yield from grants(name, like)
    yield sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(identifier)


def _strategy(connection: Connection[Any], major: int) -> sql.SQL:
    """Returns the faster way to copy a small database.

    Copying files needs two checkpoints, which wait for the disk; without fsync they cost nothing, and files are copied
    in half the time that the pages need through the WAL. benchmarks/clones.py measures both.
    """
    if major < _STRATEGIES_SINCE:
        return sql.SQL("")
    row = connection.execute(_FACTS).fetchone()
    is_volatile = row is not None and bool(row[0])
    return sql.SQL(" STRATEGY FILE_COPY" if is_volatile else " STRATEGY WAL_LOG")
