"""Empty databases for tests of plugins: on a server that the configuration names, or on an embedded one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from psycopg import Connection, sql

from bootstrapper.config.document import UnsetVariable, expand
from bootstrapper.errors import BootstrapperError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.embedded import scratch
from bootstrapper.postgres.server.scratch import reserved_name
from bootstrapper.pytest_plugin.database import BootstrapDatabase
from bootstrapper.pytest_plugin.sharing import NotMadeError
from bootstrapper.pytest_plugin.wanted import Wanted

_PREFIX = "bootstrapper_plugin_test_"


class EmptyDatabases:
    """Connects to the server when the first database is asked for; one of its own ends with the session."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._stack = ExitStack()
        self._target: Target | None = None

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def new(self) -> Iterator[BootstrapDatabase]:
        """Yields an empty database, dropped at the end. Raises NotMadeError."""
        try:
            target = self._target = self._target or self._entered()
            connection = psycopg.connect(target.url(), autocommit=True)
        except (BootstrapperError, psycopg.Error, ValueError) as error:
            raise NotMadeError(f"tests of plugins need a server: {error}") from error
        with connection, reserved_name(connection, _PREFIX) as name:
            _create(connection, name)
            yield BootstrapDatabase.at(target.with_database(name))

    def _entered(self) -> Target:
        if not self._wanted.url:
            return self._stack.enter_context(scratch(search_path=os.environ.get("PATH", "")))
        try:
            return Target.from_url(expand(self._wanted.url, os.environ).text)
        except UnsetVariable as error:
            raise NotMadeError(f"bootstrap_database_url: ${error.name} is not set") from error


def _create(connection: Connection[Any], name: str) -> None:
    try:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise NotMadeError(f"cannot create a database for a test: {error}") from error
