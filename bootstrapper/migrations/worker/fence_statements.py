"""The statements that fence the worker in, and that note its revisions in the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql
from psycopg.abc import AdaptContext

from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.postgres.lock.fence import Fence
from bootstrapper.postgres.lock.heartbeat import LEASE_SECONDS

# All that the worker sends runs with the search_path of the project's own sessions: every name is qualified.
_DATABASE_OID = """(
    SELECT oid::pg_catalog.text FROM pg_catalog.pg_database
    WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
"""
_IDENTIFIER = "(SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system())"
# The limits apply to its own waiting too: FOR UPDATE locks after the select list was evaluated.
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
# Only where our own connection is direct too: through a pooler, that backend would seem to work forever.
_NOTE_WORKER = """
UPDATE {lock} SET worker_backend_pid = pg_catalog.pg_backend_pid(), worker_backend_start = (
    SELECT backend_start FROM pg_catalog.pg_stat_activity
    WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())
WHERE run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token}
"""
# The fence, and in the same round trip the revision's row.
_NOTED = """
noted AS (
    INSERT INTO {revisions} (run_id, step, revision, action, seconds, indexes, file_sha256)
    SELECT run_id, {step}, {revision}, {action}, {seconds}, {indexes}, {file}
    FROM {lock} WHERE run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token}
)
"""
# The fence that is sent in one message with COMMIT: it fails if the run is fenced off, so that the server stops there.
_LAST_FENCE = """
renewed AS (
    UPDATE {lock}
    SET expires_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {lease})
    WHERE run_id OPERATOR(pg_catalog.=) {run_id} AND token OPERATOR(pg_catalog.=) {token} AND {is_here}
    RETURNING 1)
SELECT 1 OPERATOR(pg_catalog./) pg_catalog.count(*) FROM renewed
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

Part = str | Mapping[str, str]
"""Of a statement: text, or `{"fact": NAME}` for a fact that only the worker knows."""


class _Fact(sql.Composable):
    """The place of a fact in a statement, which the worker fills in."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        raise NotImplementedError(f"{self.name} is known to the worker only")


def may(fence: Fence) -> str:
    """Asks whether the role may identify the server, and note revisions in the ledger."""
    schema, table = fence.ledger.schema, fence.ledger.table_name("revisions")
    return sql.SQL(_MAY).format(schema=sql.Literal(schema), table=sql.Literal(table)).as_string()


def statements(
    settings: MigrationSettings, fence: Fence, step: str, *, has_identifier: bool
) -> dict[str, str | list[Part]]:
    """Returns the statements by name.

    Args:
        has_identifier: Whether the role may read the identifier of the server.
    """
    identity = _identity(has_identifier=has_identifier)
    common = {"lock": fence.ledger.table("lock"), **_of_run(fence)}
    answers = sql.SQL(", ").join([identity, *_limits(settings, fence, is_local=True)])
    renewing = sql.SQL(_RENEWING_FENCE).format(identity_and_limits=answers, lease=sql.Literal(LEASE_SECONDS), **common)

    last = sql.SQL(_LAST_FENCE).format(
        lease=sql.Literal(LEASE_SECONDS), is_here=_is_here(fence, has_identifier=has_identifier), **common
    )

    def noted(indexes: str, file: sql.Composable) -> sql.Composed:
        facts = {name: _Fact(name) for name in ("revision", "action", "seconds")}
        revisions, written = fence.ledger.table("revisions"), {"indexes": sql.SQL(indexes), "file": file}
        return sql.SQL(_NOTED).format(revisions=revisions, step=sql.Literal(step), **written, **facts, **common)

    revision = noted("NULL::pg_catalog.text[]", sql.SQL("NULL"))
    limits_of_session = sql.SQL(", ").join(_limits(settings, fence, is_local=False))
    return {
        "identity": sql.SQL("SELECT {}").format(identity).as_string(),
        "fence": sql.SQL(_FENCE).format(identity_and_limits=answers, lock=common["lock"]).as_string(),
        "renewing_fence": renewing.as_string(),
        "last_fence": _parts(sql.SQL("WITH {}").format(last)),
        "noting_fence": _parts(sql.SQL("WITH {} {}").format(revision, renewing)),
        "noting_last_fence": _parts(sql.SQL("WITH {}, {}").format(revision, last)),
        "noting_block": _parts(sql.SQL("WITH {} {}").format(noted(_INDEXES, _Fact("file")), renewing)),
        "limits_of_session": sql.SQL("SELECT {}").format(limits_of_session).as_string(),
        "note_worker": sql.SQL(_NOTE_WORKER).format(**common).as_string(),
    }


def scratch_statements(
    settings: MigrationSettings, fence: Fence, *, has_identifier: bool
) -> dict[str, str | list[Part]]:
    """Returns the statements for a scratch database, which has no lock and no ledger."""
    identity = _identity(has_identifier=has_identifier)
    passed = sql.SQL(_NO_FENCE).format(identity=identity, **_of_run(fence)).as_string()
    common = statements(settings, fence, "", has_identifier=has_identifier)
    ends = ("last_fence", "noting_fence", "noting_last_fence", "noting_block")
    never_noted: dict[str, str | list[Part]] = {name: [passed] for name in ends}
    return {**common, **never_noted, "fence": passed, "renewing_fence": passed, "note_worker": "SELECT 1"}


def _identity(*, has_identifier: bool) -> sql.Composed:
    return sql.SQL(", ").join([sql.SQL(_DATABASE_OID), sql.SQL(_IDENTIFIER if has_identifier else "NULL")])


def _is_here(fence: Fence, *, has_identifier: bool) -> sql.Composed:
    """Returns the condition that this is the database of the run."""
    equal = sql.SQL("{} OPERATOR(pg_catalog.=) {}")
    found = [equal.format(sql.SQL(_DATABASE_OID), sql.Literal(str(fence.database_oid)))]
    if has_identifier and fence.system_identifier is not None:
        found.append(equal.format(sql.SQL(_IDENTIFIER), sql.Literal(fence.system_identifier)))
    return sql.SQL(" AND ").join(found)


def _of_run(fence: Fence) -> dict[str, sql.Composable]:
    return {"run_id": sql.Literal(str(fence.run_id)), "token": sql.Literal(fence.token)}


def _limits(settings: MigrationSettings, fence: Fence, *, is_local: bool) -> list[sql.Composable]:
    timeouts = {
        "lock_timeout": settings.lock_timeout,
        "statement_timeout": settings.statement_timeout,
        "client_connection_check_interval": 1.0 if fence.watches_client else None,
    }
    values = {name: str(round(seconds * 1000)) for name, seconds in timeouts.items() if seconds is not None}
    values["application_name"] = fence.application_name
    setting = sql.SQL("pg_catalog.set_config({}, {}, {})")
    return [setting.format(name, value, sql.Literal(is_local)) for name, value in values.items()]


def _parts(statement: sql.Composable) -> list[Part]:
    match statement:
        case sql.Composed():
            return [part for each in statement for part in _parts(each)]
        case _Fact():
            return [{"fact": statement.name}]
    return [statement.as_string()]
