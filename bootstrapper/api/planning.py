"""A plan as pure data: what the steps of a run would do, and what that was worked out from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from bootstrapper import __version__
from bootstrapper.engine.open import Opened
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep, Selection
from bootstrapper.plugin.traits import HasHeads
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames, RunRecord


def look(
    run: Opened,
    *,
    is_result: bool = True,
    sql: bool = False,
    is_last: bool = False,
    selection: Selection = Selection(),  # noqa: B008 - it is immutable
) -> Plan:
    """The plan as pure data.

    Args:
        is_result: Whether the plan is shown: then it also tells what it was worked out from, the ledger's serial
            and the heads of the migrations, and what the steps found besides. A run that only asks whether something
            is to do does without.
        sql: Whether the changes show their statements.
        is_last: Whether the connection may be closed if nothing is to do.
        selection: The steps that were asked for, as the plan tells.
    """
    server = run.session.server
    record = _last_run(run) if is_result else None  # before the steps: a run in between makes the plan stale, not wrong
    steps = run.looker.look(for_reader=is_result, sql=sql, is_last=is_last)
    return replace(plan_of(run, server, steps, record, is_result=is_result), selection=selection)


def plan_of(
    run: Opened, server: Server, steps: tuple[PlannedStep, ...], record: RunRecord | None, *, is_result: bool
) -> Plan:
    units = [entry.unit for entry in run.entries if isinstance(entry.unit, HasHeads)] if is_result else []
    return Plan(
        name=run.project.name,
        environment=run.project.environment,
        inputs=run.project.inputs,
        database=identity_of(run, server),
        serial=record.serial if record else None,
        last_run=str(record.run_id) if record else None,
        steps=steps,
        heads=tuple(head for unit in units for head in unit.heads(run.project)),
        version=__version__,
        made_at=datetime.now(UTC).isoformat(timespec="milliseconds") if is_result else "",
    )


def identity_of(run: Opened, server: Server) -> DatabaseIdentity:
    embedded = run.address.embedded
    if embedded is not None and not embedded.exists:  # a throw-away server stands in for it
        return DatabaseIdentity(run.address.server, server.database, server.version, None, 0)
    return DatabaseIdentity(run.address.server, server.database, server.version, server.system_identifier, server.oid)


def _last_run(run: Opened) -> RunRecord | None:
    with run.session.read_only() as connection:
        return _readable(connection, run.project.ledger)


def _readable(connection: Connection[Any], names: LedgerNames) -> RunRecord | None:
    try:
        with connection.transaction():
            return ledger.last_run(connection, names)
    except ledger.UNREADABLE:
        return None
