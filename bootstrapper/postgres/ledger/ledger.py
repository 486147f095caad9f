"""Our tables: the lock and the runs; for steps see `chain`.

All writes here happen inside a transaction that the lock fenced; reading needs no lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from psycopg import Connection, errors, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import AheadError, RefusedError
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA, TABLES, table_name

LEDGER_VERSION = 6
RESTORED_AS_OF = "restored-as-of:"
"""Begins a mark of a restore that left the ledger as it was: what was done since that moment is not there any more."""
BROKEN = "broken"
"""The outcome of a run whose lock was broken; recorded by the run that broke it."""
UNREADABLE = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName, errors.InsufficientPrivilege)
"""Errors of the server if the ledger does not exist, belongs to another program, or is not readable by this role."""
_INDEXES = ("steps_run_id_idx", "steps_marks_idx")
_NO_HOLDER = sql.SQL(
    "run_id = NULL, mode = NULL, host = NULL, pid = NULL, step = NULL, backend_pid = NULL, backend_start = NULL,"
    " worker_backend_pid = NULL, worker_backend_start = NULL, acquired_at = NULL, expires_at = NULL"
)


@dataclass(frozen=True)
class LedgerNames:
    """Where the ledger's tables are: own names in a schema of our own, prefixed in any other.

    Attributes:
        keep_seconds: How long runs are kept; forever if None.
    """

    schema: str = DEFAULT_SCHEMA
    grant_to: tuple[str, ...] = ()
    keep_seconds: float | None = None

    @property
    def schema_identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema)

    def table_name(self, name: str) -> str:
        """Returns the bare name of one of TABLES."""
        return table_name(self.schema, name)

    def table(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table_name(name))

    def fill(self, statement: str) -> sql.Composed:
        """Returns the statement with names for every `{table}`, and for `{no_holder}` the columns of a free lock."""
        indexes = {name: sql.Identifier(self.table_name(name)) for name in _INDEXES}
        return sql.SQL(statement).format(**{name: self.table(name) for name in TABLES}, **indexes, no_holder=_NO_HOLDER)


@dataclass(frozen=True)
class RunRecord:
    """One row of `runs`; no outcome means that it did not finish."""

    run_id: UUID
    serial: int
    command: str
    environment: str | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None


def exists(connection: Connection[Any], names: LedgerNames) -> bool:
    """Whether the whole ledger is there; true even where the role may not read it."""
    query = (
        "SELECT count(*) FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY (%s) AND c.relkind IN ('r', 'p')"
    )
    row = connection.execute(query, (names.schema, [names.table_name(name) for name in TABLES])).fetchone()
    return row is not None and row[0] == len(TABLES)


def create(connection: Connection[Any], names: LedgerNames) -> None:
    """Creates what is missing: a restored dump brings the ledger without its lock.

    The caller has a transaction open and is alone in it, by an advisory lock.
    """
    query = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s)"
    row = connection.execute(query, (names.schema,)).fetchone()
    if row is None or not row[0]:
        refused = missing_right(connection, names)
        if refused is not None:
            raise refused
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(names.schema_identifier))
    ddl = files("bootstrapper.postgres.ledger").joinpath("ledger.sql").read_text(encoding="utf-8")
    connection.execute(names.fill(ddl))


def missing_right(connection: Connection[Any], names: LedgerNames) -> RefusedError | None:
    """Why the role cannot create the ledger's schema; None if it can, or the schema is there."""
    query = (
        "SELECT current_user::text, pg_catalog.current_database()::text"
        " WHERE NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s)"
    )
    row = connection.execute(query, (names.schema,)).fetchone()
    if row is None:
        return None
    role, database = row
    grant = sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(role))
    return RefusedError(
        f"database {database!r}",
        f"role {role!r} may not create the ledger's schema {names.schema!r}",
        sqlstate="42501",
        hint=f"Let the owner of the database run: {grant.as_string()}; or name a schema that exists"
        " (ledger: {schema: NAME}).",
    )


def complete(connection: Connection[Any], names: LedgerNames) -> None:
    """Brings a ledger of an earlier version up to this one, as `create` does.

    Raises AheadError where a later version of this program has been here.
    """
    row = connection.execute(names.fill("SELECT value FROM {meta} WHERE key = 'ledger_version'")).fetchone()
    if row is not None and int(row[0]) < LEDGER_VERSION:
        create(connection, names)
    if row is not None and int(row[0]) > LEDGER_VERSION:
        raise AheadError(
            f"the ledger has version {row[0]}; this program supports version {LEDGER_VERSION}",
            is_acceptable=True,
            hint="Use a newer bootstrapper.",
        )


_CATCH_UP = """
SELECT CASE WHEN pg_catalog.has_sequence_privilege(s.name, 'UPDATE') THEN
    CASE WHEN s.most > coalesce(pg_catalog.pg_sequence_last_value(s.name), 0)
         THEN pg_catalog.setval(s.name, s.most) END END
FROM (VALUES
    (pg_catalog.pg_get_serial_sequence({runs_text}, 'serial')::pg_catalog.regclass, (SELECT max(serial) FROM {runs})),
    (pg_catalog.pg_get_serial_sequence({steps_text}, 'id')::pg_catalog.regclass, (SELECT max(id) FROM {steps})),
    (pg_catalog.pg_get_serial_sequence({revisions_text}, 'id')::pg_catalog.regclass, (SELECT max(id) FROM {revisions}))
) AS s(name, most)
"""


def catch_up(connection: Connection[Any], names: LedgerNames) -> None:
    """Advances sequences that are behind their tables, as they may be after a failover.

    The caller has the lock's row, so that no other run writes to the tables.
    """
    tables = {name: names.table(name) for name in ("runs", "steps", "revisions")}
    texts = {f"{name}_text": sql.Literal(table.as_string()) for name, table in tables.items()}
    connection.execute(sql.SQL(_CATCH_UP).format(**tables, **texts))


def start_run(
    connection: Connection[Any],
    names: LedgerNames,
    *,
    run_id: UUID,
    token: int,
    command: str,
    environment: str | None,
    inputs: str,
    version: str,
    host: str,
    pid: int,
    project: str | None,
    file: str | None,
    plan: str | None = None,
    declared: Mapping[str, str] | None = None,
) -> None:
    statement = names.fill(
        "INSERT INTO {runs}"
        " (run_id, token, command, environment, inputs, version, host, pid, project, file, plan, declared)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::text::jsonb)"
    )
    told = json.dumps(dict(declared)) if declared else None
    values = (run_id, token, command, environment, inputs, version, host, pid, project, file, plan, told)
    connection.execute(statement, values)


def note_restored(connection: Connection[Any], names: LedgerNames, run_id: UUID, origin: Mapping[str, object]) -> None:
    """Records which backup a run put back: its place, when it was taken, and the revisions before and after."""
    statement = names.fill("UPDATE {runs} SET restored = %s::text::jsonb WHERE run_id = %s")
    connection.execute(statement, (json.dumps(origin), run_id))


def finish_run(
    connection: Connection[Any], names: LedgerNames, run_id: UUID, outcome: str, error: str | None = None
) -> None:
    """Writes how a run ended; `error` is masked by the caller."""
    statement = names.fill(
        "UPDATE {runs} SET outcome = %s, error = %s, finished_at = pg_catalog.clock_timestamp() WHERE run_id = %s"
    )
    connection.execute(statement, (outcome, error, run_id))


def finish_lost_run(
    connection: Connection[Any], names: LedgerNames, run_id: UUID, outcome: str, error: str | None
) -> None:
    """Writes how a run ended whose lock is gone with its connection, unless another one, which broke it, did so."""
    statement = names.fill(
        "UPDATE {runs} SET outcome = %s, error = %s, finished_at = pg_catalog.clock_timestamp()"
        " WHERE run_id OPERATOR(pg_catalog.=) %s AND outcome IS NULL"
    )
    connection.execute(statement, (outcome, error, run_id))


def forget_run(connection: Connection[Any], names: LedgerNames, run_id: UUID) -> bool:
    """Takes back that a run began, which did nothing; False if the role may not."""
    try:
        with connection.transaction():
            connection.execute(names.fill("DELETE FROM {runs} WHERE run_id = %s"), (run_id,))
    except errors.InsufficientPrivilege:
        return False
    return True


def steps_done_since(
    connection: Connection[Any], names: LedgerNames, since: float, inputs: str, plan: str | None = None
) -> frozenset[tuple[str, str]]:
    """Name and `uses` of the steps that runs of the same inputs did, if they took the lock after that.

    Those that runs of the same saved plan did count as well, whenever that was. `since` is in seconds since 1970, by
    the server's clock.
    """
    query = names.fill(
        "SELECT s.step, s.uses FROM {steps} AS s JOIN {runs} AS r ON r.run_id = s.run_id"
        " WHERE (r.started_at > pg_catalog.to_timestamp(%s::float8) AND r.inputs = %s OR r.plan = %s)"
        " AND s.kind = 'result'"
    )
    rows = connection.execute(query, (repr(since), inputs, plan)).fetchall()
    return frozenset((step, uses) for step, uses in rows)


def restored_since(connection: Connection[Any], names: LedgerNames, since: float) -> UUID | None:
    """Returns the latest restore of the database that ended after that, in seconds since 1970 by the server's clock."""
    query = names.fill(
        "SELECT run_id FROM {runs} WHERE command = 'restore' AND outcome = 'done'"
        " AND finished_at > pg_catalog.to_timestamp(%s::float8) ORDER BY serial DESC LIMIT 1"
    )
    row = connection.execute(query, (repr(since),)).fetchone()
    return row[0] if row else None


def last_run(connection: Connection[Any], names: LedgerNames) -> RunRecord | None:
    query = names.fill(
        "SELECT run_id, serial, command, environment, started_at, finished_at, outcome"
        " FROM {runs} ORDER BY serial DESC LIMIT 1"
    )
    row = connection.execute(query, binary=True).fetchone()  # as text it depends on the role's DateStyle
    return RunRecord(*row) if row else None
