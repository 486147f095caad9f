"""What a worker is told: the project's configuration, the address, and the statements that fence it in."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql

from bootstrapper.migrations.project import drivers
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_url import filled_in
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import DEFAULT_SCHEMA, TABLES
from bootstrapper.postgres.lock.heartbeat import LEASE_SECONDS
from bootstrapper.postgres.lock.lock import Fence

if TYPE_CHECKING:
    from bootstrapper.migrations.project.layout import Layout

# All that the worker sends runs with the search_path of the project's own sessions: every name is qualified.
_DATABASE_OID = """(
    SELECT oid::pg_catalog.text FROM pg_catalog.pg_database
    WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
"""
_IDENTIFIER = "(SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system())"
# What it limits holds for its own waiting too: FOR UPDATE locks after the list was worked out.
_FENCE = """
SELECT run_id::pg_catalog.text, token::pg_catalog.text, pg_catalog.pg_current_xact_id()::pg_catalog.text,
       {identity_and_limits}
FROM {lock} FOR UPDATE
"""
# The same at the end of a transaction: it may have taken longer than the lease, and the heartbeat skips a locked row.
_RENEWING_FENCE = """
UPDATE {lock} SET expires_at = CASE
    WHEN run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token}
    THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {lease})
    ELSE expires_at END
RETURNING run_id::pg_catalog.text, token::pg_catalog.text, pg_catalog.pg_current_xact_id()::pg_catalog.text,
          {identity_and_limits}
"""
# Only where our own connection is direct too: through a pooler, that backend would seem to work for ever.
_NOTE_WORKER = """
UPDATE {lock} SET worker_backend_pid = pg_catalog.pg_backend_pid(), worker_backend_start = (
    SELECT backend_start FROM pg_catalog.pg_stat_activity
    WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())
WHERE run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token}
"""
# The fence, and in the same round trip the revision's row. The names in doubled braces are filled in by the worker.
_NOTING_FENCE = """
WITH noted AS (
    INSERT INTO {revisions} (run_id, step, revision, action, seconds, indexes, file_sha256)
    SELECT run_id, {step}, {{{{revision}}}}, {{{{action}}}}, {{{{seconds}}}}, {indexes}, {file}
    FROM {lock} WHERE run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token}
) {fence}
"""
_INDEXES = """(
    SELECT pg_catalog.array_agg(pg_catalog.concat(
        pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)))
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{i,I}'))
"""
_NO_FENCE = """
SELECT {run_id}::pg_catalog.text, {token}::pg_catalog.text, pg_catalog.pg_current_xact_id()::pg_catalog.text, {identity}
"""
_MAY = """
SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
       EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
               WHERE n.nspname OPERATOR(pg_catalog.=) {schema} AND c.relname OPERATOR(pg_catalog.=) {table}
                 AND pg_catalog.has_table_privilege(c.oid, 'INSERT'))
"""


def configuration_request(
    settings: MigrationSettings, layout: Layout, target: Target, *, pooled: bool = False
) -> dict[str, Any]:
    """What every command of the worker needs to load the project."""
    found = layout.configuration
    location = {"script_location": layout.script_location} if settings.script_location else {}
    return {
        "ini": str(found.ini) if found.ini else None,
        "toml": str(found.toml) if found.toml else None,
        "toml_options": found.toml_texts(),
        "section": settings.section,
        "options": {**found.own, **location},
        "attributes": settings.attributes,
        "x": list(settings.x),
        **_addresses(settings, layout, target, pooled=pooled),
    }


def _addresses(settings: MigrationSettings, layout: Layout, target: Target, *, pooled: bool) -> dict[str, Any]:
    """The address with each driver that may do, in order; and for each kind of engine, where that turns out wrong."""
    preferred = (layout.configuration.driver, target.driver)
    named = [driver for driver in drivers.DRIVERS if driver.name == settings.driver]

    def addresses(found: Iterable[drivers.Driver]) -> list[dict[str, str]]:
        return [{**asdict(driver), "url": _url(target, driver.name, pooled=pooled)} for driver in found]

    return {
        "addresses": addresses(named or drivers.candidates(layout.engine, preferred)),
        "sync_addresses": [] if named else addresses(drivers.candidates("sync", preferred)),
        "async_addresses": [] if named else addresses(drivers.candidates("async", preferred)),
        "bare_address": None if named else target.url(),
    }


def _url(target: Target, driver: str, *, pooled: bool) -> str:
    """The address; where the driver prepares statements on the server, which a pooler mixes up, it is told not to."""
    url = target.url(driver)
    if not pooled or driver != "asyncpg":
        return url
    return f"{url}{'&' if '?' in url else '?'}prepared_statement_cache_size=0"


def history_request(settings: MigrationSettings, layout: Layout, target: Target) -> dict[str, Any]:
    """Asks for all revisions; where env.py says where they are, it is run, and connects to nothing."""
    asked = configuration_request(settings, layout, target)
    return {**asked, "command": "history", "runs_environment": layout.is_set_by_environment}


def render_request(
    settings: MigrationSettings,
    layout: Layout,
    target: Target,
    walks: Sequence[tuple[Sequence[str], str]],
    direction: Literal["upgrade", "downgrade"] = "upgrade",
) -> dict[str, Any]:
    """Asks for the SQL between version rows and a target, for each of these pairs."""
    return {
        **configuration_request(settings, layout, target),
        "command": "render",
        "direction": direction,
        "walks": [[list(rows), text] for rows, text in walks],
    }


def fenced_request(
    settings: MigrationSettings,
    layout: Layout,
    target: Target,
    fence: Fence,
    *,
    command: Literal["upgrade", "downgrade", "revision"],
    step: str,
    targets: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Work in the database, fenced in."""
    own_schema = fence.ledger.schema == DEFAULT_SCHEMA
    return {
        **configuration_request(settings, layout, target, pooled=fence.pooled),
        "command": command,
        "pooled": fence.pooled,
        "targets": list(targets),
        "arguments": dict(arguments or {}),
        "hidden_schema": None if own_schema else fence.ledger.schema,
        "hidden_tables": [[fence.ledger.schema, fence.ledger.table_name(name)] for name in TABLES],
        "transaction_per_migration": settings.transaction_per_migration,
        "version_table": settings.version_table,
        "version_table_schema": settings.version_table_schema,
        "run_id": str(fence.run_id),
        "token": str(fence.token),
        "application_name": fence.application_name,
        "system_identifier": fence.system_identifier,
        "database_oid": str(fence.database_oid),
        "may": _text(
            sql.SQL(_MAY).format(
                schema=sql.Literal(fence.ledger.schema), table=sql.Literal(fence.ledger.table_name("revisions"))
            )
        ),
        "asks": _statements(settings, fence, _IDENTIFIER, step),
        "asks_without_identifier": _statements(settings, fence, "NULL", step),
    }


def scratch_request(
    settings: MigrationSettings, layout: Layout, target: Target, fence: Fence, *, goal: str
) -> dict[str, Any]:
    """Migrates a scratch database, which has no ledger: only that it is the one meant is asked there.

    Args:
        fence: The run's own, with the scratch database's oid.
    """
    asked = fenced_request(settings, layout, target, fence, command="upgrade", step="", targets=[goal])
    for name, identifier in (("asks", _IDENTIFIER), ("asks_without_identifier", "NULL")):
        identity = sql.SQL(", ").join([sql.SQL(_DATABASE_OID), sql.SQL(identifier)])
        passing = sql.SQL(_NO_FENCE).format(
            run_id=sql.Literal(str(fence.run_id)), token=sql.Literal(str(fence.token)), identity=identity
        )
        passed = _text(passing)
        asked[name] |= {"fence": passed, "renewing_fence": passed, "noting_fence": "", "note_worker": "SELECT 1"}
    return asked


def _text(composed: sql.Composable) -> str:
    return composed.as_string()


def _statements(settings: MigrationSettings, fence: Fence, identifier: str, step: str) -> dict[str, str]:
    identity = sql.SQL(", ").join([sql.SQL(_DATABASE_OID), sql.SQL(identifier)])
    lock = fence.ledger.table("lock")
    timeouts = {
        "lock_timeout": settings.lock_timeout,
        "statement_timeout": settings.statement_timeout,
        "client_connection_check_interval": 1.0 if fence.watches_client else None,
    }
    values = {name: str(round(seconds * 1000)) for name, seconds in timeouts.items() if seconds is not None}
    values["application_name"] = fence.application_name
    limits, limits_of_session = (
        [
            sql.SQL("pg_catalog.set_config({}, {}, {})").format(
                sql.Literal(name), sql.Literal(value), sql.Literal(is_local)
            )
            for name, value in values.items()
        ]
        for is_local in (True, False)
    )
    note = sql.SQL(_NOTE_WORKER).format(
        lock=lock, run_id=sql.Literal(str(fence.run_id)), token=sql.Literal(fence.token)
    )
    answers = sql.SQL(", ").join([identity, *limits])
    comparing = sql.SQL(_FENCE).format(identity_and_limits=answers, lock=lock)
    renewing = sql.SQL(_RENEWING_FENCE).format(
        identity_and_limits=answers,
        lock=lock,
        lease=sql.Literal(LEASE_SECONDS),
        run_id=sql.Literal(str(fence.run_id)),
        token=sql.Literal(fence.token),
    )
    noting, noting_block = (
        sql.SQL(_NOTING_FENCE).format(
            revisions=fence.ledger.table("revisions"),
            lock=lock,
            step=sql.Literal(step),
            indexes=sql.SQL(indexes),
            file=sql.SQL(file),
            run_id=sql.Literal(str(fence.run_id)),
            token=sql.Literal(fence.token),
            fence=renewing,
        )
        for indexes, file in (("NULL::pg_catalog.text[]", "NULL"), (_INDEXES, "{{file}}"))
    )
    statements = {
        "identity": sql.SQL("SELECT {}").format(identity),
        "fence": comparing,
        "renewing_fence": renewing,
        "noting_fence": noting,
        "noting_block": noting_block,
        "limits_of_session": sql.SQL("SELECT {}").format(sql.SQL(", ").join(limits_of_session)),
        "note_worker": note,
    }
    return {name: _text(statement) for name, statement in statements.items()}


def environment(settings: MigrationSettings, project: Project, asked: Mapping[str, Any]) -> dict[str, str]:
    """The project's variables; DATABASE_URL as it was given, unless the step names a driver."""
    name = {"PGAPPNAME": str(asked["application_name"])} if "application_name" in asked else {}
    url = project.target.url(settings.driver or project.target.driver)
    return {
        "PYTHONUNBUFFERED": "1",
        **project.variables,
        **name,
        "DATABASE_URL": url,
        **filled_in(settings.env, project.target),
    }


def interpreter(settings: MigrationSettings, project: Project) -> str:
    """The named interpreter: a path starts at the file's folder, a bare name is looked up in PATH."""
    if settings.python is None:
        return sys.executable
    return str(project.path(settings.python)) if "/" in settings.python else settings.python
