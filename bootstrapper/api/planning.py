"""A plan as pure data: what the steps of a run would do, and what that was worked out from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from bootstrapper import __version__
from bootstrapper.engine.open import Opened
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep, Selection
from bootstrapper.plugin.traits import HasHeads
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.ledger import chain, ledger
from bootstrapper.postgres.ledger.ledger import RunRecord


def look(
    run: Opened,
    *,
    is_result: bool = True,
    sql: bool = False,
    judges: bool | None = None,
    is_last: bool = False,
    selection: Selection = Selection(),  # noqa: B008 - it is immutable
) -> Plan:
    """The plan as pure data.

    Args:
        is_result: Whether the plan is shown: then it also tells what it was worked out from, the ledger's serial
            and the heads of the migrations, and what the steps found besides. A run that only asks whether something
            is to do does without.
        sql: Whether the changes show their statements.
        judges: Whether the hazards are looked for; None if the plan is shown, or if they may be refused.
        is_last: Whether the connection may be closed if nothing is to do.
        selection: The steps that were asked for, as the plan tells.
    """
    server = run.session.server
    # Before the steps: a run in between makes the plan stale, not wrong.
    record, seconds = _recorded(run) if is_result else (None, {})
    judges = (is_result or run.project.protected) if judges is None else judges
    steps = run.looker.look(for_reader=is_result, sql=sql, judges=judges, is_last=is_last)
    times = [seconds.get((step.name, step.uses)) if step.changes else None for step in steps]
    steps = tuple(replace(step, last_seconds=time) for step, time in zip(steps, times, strict=True))
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


def _recorded(run: Opened) -> tuple[RunRecord | None, Mapping[tuple[str, str], float]]:
    """Returns the last run, and how long each step took when it was last applied; nothing if that cannot be read."""
    names = run.project.ledger
    with run.session.read_only() as connection, suppress(*ledger.UNREADABLE), connection.transaction():
        record = ledger.last_run(connection, names)
        return record, chain.last_seconds(connection, names) if record is not None else {}
    return None, {}
