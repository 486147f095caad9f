"""Finds or makes the template: a database of its own, on the server of the project, that the file was applied to.

It is made under the name of a draft, closed to all connections, and renamed last: whatever has the name of a template
is whole. Sessions that make the same one at once wait for the first of them.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from psycopg import Connection, errors, sql

from bootstrapper.api.run import apply
from bootstrapper.config.document import UnsetVariable, expand
from bootstrapper.config.load import Loaded, read_all
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import (
    GuardError,
    InvalidFileError,
    LockTimeoutError,
    RefusedError,
    UnknownEnvironmentError,
    UsageError,
)
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.scratch import drop, reserved_name
from bootstrapper.pytest_plugin import sweep
from bootstrapper.pytest_plugin.inputs import project_key, template_key
from bootstrapper.pytest_plugin.wanted import Wanted

MAINTENANCE = "postgres"
_BACKUPS = "backup"
_MAKING_SECONDS = 1800.0
_CLOSING_SECONDS = 10.0
_POLL_SECONDS = 0.02
_LEAVE = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend' AND pg_catalog.pg_has_role(usesysid, 'USAGE')
"""
_CHOOSE = "Set bootstrap_environment in pytest's configuration, or pass --bootstrap-environment."
_MAY_CREATE = (
    "Allow the role to create databases: ALTER ROLE ... CREATEDB; or name another one in bootstrap_database_url."
)


@dataclass(frozen=True)
class BootstrapTemplate:
    """A database that the file was applied to, closed to all connections.

    Attributes:
        name: Name of the database on the server.
        was_made: Whether this session made it, rather than an earlier one or another worker.
    """

    name: str
    was_made: bool


@dataclass(frozen=True)
class Server:
    """The server of a project, entered for the whole session through a maintenance database."""

    request: Request
    wanted: Wanted
    run: Opened
    template: str

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the session, opened again if it was lost, as by a restart of the server."""
        session = self.run.session
        if not session.is_open:
            sweep.use(session.connection, self.template)
        return session.connection

    @property
    def target(self) -> Target:
        return self.run.session.target


def enter(wanted: Wanted, request: Request, stack: ExitStack) -> Server:
    """Connects, starting an embedded server if it does not run; drops what killed sessions left.

    Raises leaves of BootstrapperError, such as GuardError for a protected environment.
    """
    request = replace(request, file=wanted.file, environment=wanted.environment, url=_url(wanted, request))
    request = replace(request, database=_maintenance(request))
    try:
        run = stack.enter_context(opened(request, "test", writes=True, queues=False))
    except UnknownEnvironmentError as error:
        error.hint = _CHOOSE
        raise
    except InvalidFileError:  # a protected environment often lacks its address here, which is not to be given
        _require_unprotected(read_all(request.file, request.environment, request.variables))
        raise
    _require_unprotected(run.project)
    run.executor.open_gates()
    run.session.require_direct("a database for tests")
    server = Server(request, wanted, run, f"{sweep.TEMPLATE}{template_key(run, wanted)}")
    sweep.sweep_killed(server.connection)
    sweep.use(server.connection, server.template)
    return server


def find_or_make(server: Server, *, recreate: bool = False) -> BootstrapTemplate:
    """Raises leaves of BootstrapperError; what the failing attempt made is dropped."""
    try:
        with sweep.making(server.connection, server.template, _MAKING_SECONDS):
            is_ours = sweep.is_ours(server.connection, server.template)
            if is_ours is False:
                raise GuardError(f"database {server.template!r} was not made by the pytest plugin", hint="Rename it.")
            is_missing = is_ours is None or recreate
            if is_missing:
                _make(server)
    except errors.LockNotAvailable as error:
        raise LockTimeoutError("another session makes the template database", _MAKING_SECONDS) from error
    sweep.sweep_outdated(server.connection, project_key(server.wanted))
    return BootstrapTemplate(server.template, was_made=is_missing)


def _require_unprotected(found: Project | Loaded) -> None:
    if found.protected:
        reason = f"environment {found.environment!r} is protected: databases for tests are not made for it"
        raise GuardError(reason, hint=_CHOOSE)


def _url(wanted: Wanted, request: Request) -> str | None:
    if wanted.url is None:
        return None
    try:
        return expand(wanted.url, request.variables).text
    except (UnsetVariable, ValueError) as error:
        raise UsageError(f"bootstrap_database_url: {error}") from error


def _maintenance(request: Request) -> str | None:
    """Returns the database to log in to: the one that the given URL names, else one that every server has."""
    if request.url is not None and not request.url.startswith("embedded:"):
        try:
            return Target.from_url(request.url).dbname or MAINTENANCE
        except ValueError as error:
            raise UsageError(f"bootstrap_database_url: {error}") from error
    return MAINTENANCE


def _make(server: Server) -> None:
    connection = server.connection
    with reserved_name(connection, sweep.DRAFT) as draft:
        _create(server, draft)
        left_out = (*server.wanted.skip, *_backups(server.run))
        apply(replace(server.request, database=draft, skip=tuple(dict.fromkeys(left_out))), "apply")
        _close(connection, draft)
        connection.execute(sweep.write_mark(draft, _description(server)))
        _put_in_place(connection, draft, server.template)


def _create(server: Server, draft: str) -> None:
    """Creates it as CREATE DATABASE does by default, for what steps see of it; marked before it is opened."""
    name = sql.Identifier(draft)
    try:
        patiently(server.connection, sql.SQL("CREATE DATABASE {} ALLOW_CONNECTIONS false").format(name))
    except errors.InsufficientPrivilege as error:
        where = server.target.where
        reason = f"cannot create the template database: {error.diag.message_primary}"
        raise RefusedError(where, reason, sqlstate=error.sqlstate, hint=_MAY_CREATE) from error
    server.connection.execute(sweep.write_mark(draft, f"{sweep.MARK} draft"))
    server.connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def _backups(run: Opened) -> list[str]:
    """Returns the steps that take backups: one of an empty database would push out those of a real one."""
    return [entry.name for entry in run.entries if isinstance(entry.unit, Step) and entry.unit.uses == _BACKUPS]


def _close(connection: Connection[Any], name: str) -> None:
    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    connection.execute(_LEAVE, (name,))  # such as of a program that a step started and left running


def _put_in_place(connection: Connection[Any], draft: str, name: str) -> None:
    """Renames the draft; a template of that name, which is to be made again, changes places with it."""
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    statement = rename.format(sql.Identifier(draft), sql.Identifier(name))
    if sweep.is_ours(connection, name) is None:
        patiently(connection, statement)
        return
    aside = f"{sweep.DRAFT}{name[-16:]}"
    patiently(connection, sql.SQL("; ").join([rename.format(sql.Identifier(name), sql.Identifier(aside)), statement]))
    drop(connection, aside)


def patiently(connection: Connection[Any], statement: sql.Composed) -> None:
    """Executes it again while a session, which may be ending, is connected to the database."""
    until = time.monotonic() + _CLOSING_SECONDS
    while True:
        try:
            connection.execute(statement)
        except errors.ObjectInUse:
            if time.monotonic() > until:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def _description(server: Server) -> str:
    project = server.run.project
    environment = f", environment {project.environment}" if project.environment else ""
    return f"{sweep.template_mark(project_key(server.wanted))}: {project.name}{environment}"
