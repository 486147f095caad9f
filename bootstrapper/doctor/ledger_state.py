"""Judges the ledger: whose it is, its version, a freeze, and who holds the lock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import Connection, errors

from bootstrapper.doctor.result import Result, of_error, ok, problem, warning
from bootstrapper.errors import BootstrapperError, ExitCode
from bootstrapper.postgres.ledger import frozen, ownership
from bootstrapper.postgres.ledger.ledger import LEDGER_VERSION, UNREADABLE, LedgerNames, complete, exists
from bootstrapper.postgres.lock import lockstate

LEDGER = "ledger"

_VERSION = "SELECT value::int FROM {meta} WHERE key = 'ledger_version'"
_OWNER = """
SELECT pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""


def state(connection: Connection[Any], names: LedgerNames, where: str, *, writes: bool) -> Iterator[Result]:
    """Yields one result: whether a run would be refused, since the ledger is not ours alone, or of another version."""
    try:
        ownership.judge(connection.execute(ownership.question(connection, names, writes=writes)).fetchall(), where)
        version = _version(connection, names)
        if version is not None and version > LEDGER_VERSION:
            complete(connection, names)  # raises what a run would
    except BootstrapperError as error:
        yield of_error(LEDGER, error)
        return
    if not exists(connection, names):
        yield ok(LEDGER, f"does not exist yet in schema {names.schema!r}; the first run creates it")
    elif version is None:
        yield ok(LEDGER, f"in schema {names.schema!r}, and not readable for this role")
    elif version < LEDGER_VERSION:
        yield _older(connection, names, version, writes=writes)
    else:
        yield ok(LEDGER, f"in schema {names.schema!r}, version {version}")


def _version(connection: Connection[Any], names: LedgerNames) -> int | None:
    """Returns the ledger's version; None without a ledger, or if the role cannot read it."""
    try:
        with connection.transaction():
            row = connection.execute(names.fill(_VERSION)).fetchone()
    except UNREADABLE:
        return None
    return row[0] if row is not None else None


def _older(connection: Connection[Any], names: LedgerNames, version: int, *, writes: bool) -> Result:
    """Judges whether the role can bring the tables up to this version, as only their owner can."""
    row = connection.execute(_OWNER, (names.schema, names.table_name("meta"))).fetchone()
    assert row is not None
    owner, is_ours = row
    said = f"has version {version}; the next run that writes brings it to version {LEDGER_VERSION}"
    if is_ours or not writes:
        return ok(LEDGER, said)
    remedy = f"Run the first `apply` of this release as {owner!r}."
    return problem(LEDGER, f"{said}, which needs its owner {owner!r}", ExitCode.REFUSED, remedy)


def lock(connection: Connection[Any], names: LedgerNames) -> Iterator[Result]:
    """Yields who holds the lock, and a freeze; nothing if the role may not read it, which its privileges tell."""
    freeze = frozen.read(connection, names)
    if freeze is not None:
        yield warning("freeze", f"frozen: {freeze}", "Nothing is applied to it until `bootstrapper unfreeze`.")
    try:
        state = lockstate.read_state(connection, names)
    except errors.InsufficientPrivilege:
        return
    if state is None:
        yield ok("lock", "free")
        return
    step = f", in step {state.step!r}" if state.step else ""
    since = f" since {state.since:%Y-%m-%d %H:%M:%S %Z}"
    said = f"held by run {state.run_id} (host {state.host}, process {state.pid}){step}{since}"
    yield warning("lock", said, "Wait for it, or look at it with `bootstrapper lock show`.")
