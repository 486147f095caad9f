"""Compares files, variables and the server's answers with the record: in two messages, in one READ ONLY transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bootstrapper.postgres.connection.session_texts import BEGIN_LOOK, FIRST, KEEPALIVES, adoption
from bootstrapper.postgres.ledger.ownership_questions import FOREIGN, HAS_CODE
from bootstrapper.postgres.ledger.table_names import TABLES, table_name
from bootstrapper.quick import inputs, record
from bootstrapper.quick.command_line import RUN
from bootstrapper.quick.declared import Declared
from bootstrapper.quick.libpq import Connection, QuickError, Result, Statement
from bootstrapper.quick.record import Record

_SERVER = b"""
SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version_num'),
       pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1), pg_catalog.pg_is_in_recovery(),
       pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('default_transaction_read_only')::bool,
       (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
"""
_RECORD = 'SELECT value FROM "{schema}"."{meta}" WHERE key = $1 AND pg_catalog.octet_length(value) <= {most}'
# What a record asks is asked with our rights, so no role of less rights may write it. FOREIGN asks about the owner.
_WRITERS = """
WITH meta AS (
    SELECT oid, relowner, relacl FROM pg_catalog.pg_class
    WHERE relname = '{meta}' AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = '{schema}')
), trusted (oid) AS (
    SELECT relowner FROM meta UNION SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = current_user
), rights AS (
    SELECT (pg_catalog.aclexplode(relacl)).* FROM meta
    UNION ALL SELECT (pg_catalog.aclexplode(attacl)).* FROM pg_catalog.pg_attribute
    WHERE attrelid = (SELECT oid FROM meta)
)
SELECT FROM rights WHERE privilege_type IN ('INSERT', 'UPDATE') AND grantee NOT IN (SELECT oid FROM trusted)
UNION ALL
SELECT FROM pg_catalog.pg_auth_members
WHERE roleid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'pg_write_all_data')
    AND member NOT IN (SELECT oid FROM trusted)
LIMIT 1
"""
_UNDEFINED_TABLE = "42P01"
_LOGIN_SECONDS = 3.0
LONGEST_SECONDS = 5.0


class NoLedgerError(Exception):
    """The database has no ledger: nothing was ever applied to it."""


class Found(NamedTuple):
    """A database that is as declared.

    Attributes:
        place: Host, port and name of the database.
        seconds: How long it took to connect.
        is_embedded: Whether the server is embedded.
    """

    record: Record
    place: tuple[str, str, str]
    seconds: float
    is_embedded: bool


def look(
    declared: Declared,
    variables: Mapping[str, str],
    tell: Callable[[bool], None],
    command: str = RUN,
    *,
    longest_seconds: float = LONGEST_SECONDS,
    is_over: Callable[[], bool] = bool,
) -> Found | None:
    """Returns what was found if the database is as declared; None if that is not known.

    Args:
        tell: Called with whether the server was reached.
        command: As the record names it.
        longest_seconds: How long to wait for answers.
        is_over: Asked meanwhile: whether the answer is not wanted any more.

    Raises QuickError, ValueError, KeyError or TypeError if the server or the record is not as expected, and
    NoLedgerError.
    """
    started = time.monotonic()
    parameters = {
        **KEEPALIVES,
        "dbname": declared.url,
        "fallback_application_name": "bootstrapper",
        "client_encoding": "UTF8",
    }
    tell(False)
    with Connection(parameters, started + min(_LOGIN_SECONDS, longest_seconds), is_over) as connection:
        tell(True)
        seconds = time.monotonic() - started
        connection.deadline = started + longest_seconds
        first = _ask(connection, [*map(Statement, _first(connection, declared.schema)), _record(declared)])
        *_, server, foreign, writers, kept = (result.rows for result in first)
        if foreign or writers or not kept or kept[0][0] is None:
            return None
        found = record.read(kept[0][0])
        if command not in found.answers:
            return None
        pid, *properties = ((value or b"").decode() for value in server[0])
        if properties != list(found.server) or found.pooled != (pid != str(connection.backend_pid)):
            return None
        if inputs.digest(found.inputs, declared.folder, variables) != found.digest:
            return None
        answers = connection.ask([*found.asked(command), Statement(b"ROLLBACK")])
        if record.digest(answers[:-1]) != found.answers[command]:
            return None
        return Found(found, connection.place(), seconds, declared.is_embedded)


def _ask(connection: Connection, statements: Sequence[Statement]) -> Sequence[Result]:
    try:
        return connection.ask(statements)
    except QuickError as error:
        if error.sqlstate == _UNDEFINED_TABLE:  # all others ask the catalogue
            raise NoLedgerError from error
        raise


def _first(connection: Connection, schema: str) -> Sequence[bytes]:
    """Returns what makes the session ours until the transaction ends, and asks whether the ledger may be trusted.

    What the record asks runs with our rights: its owner has to be trusted as for a run that writes.
    """
    tables = "{" + ",".join(table_name(schema, name) for name in TABLES) + "}"
    foreign = FOREIGN.format(schema=f"'{schema}'", tables=f"'{tables}'", has_code=HAS_CODE, writes="true")
    writers = _WRITERS.format(schema=schema, meta=table_name(schema, "meta"))
    session = adoption(connection.server_version, "true")
    return (BEGIN_LOOK, *FIRST, *session, _SERVER, foreign.encode(), writers.encode())


def _record(declared: Declared) -> Statement:
    meta = table_name(declared.schema, "meta")
    query = _RECORD.format(schema=declared.schema, meta=meta, most=record.MOST_BYTES)
    return Statement(query.encode(), [declared.key.encode()], [0], [0])
