"""What commands have in common that are a step of their own, which no file declares: `restore`, `reset`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from bootstrapper.api.planning import identity_of
from bootstrapper.engine.open import Opened
from bootstrapper.engine.turn import failed
from bootstrapper.errors import BootstrapperError, GuardError, StepFailedError, UnreachableError
from bootstrapper.events import StepApplied, StepStarted
from bootstrapper.plans import Plan, PlannedStep
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.server_messages import said


@contextmanager
def step_events(context: RunContext, planned: PlannedStep) -> Iterator[None]:
    """Emits the events of the step around the work."""
    started, name = time.monotonic(), planned.name
    context.emit(StepStarted(name, planned.uses, len(planned.changes)))
    try:
        yield
    except BootstrapperError as error:
        context.emit(failed(name, error, context.masker.mask(str(error)), time.monotonic() - started))
        raise
    context.emit(StepApplied(name, replace(planned, findings=()), time.monotonic() - started))


def plan_with(run: Opened, step: PlannedStep) -> Plan:
    """Returns the plan of this step alone."""
    project = run.project
    return Plan(project.name, project.environment, project.inputs, identity_of(run, run.session.server), None, (step,))


def require_same(run: Opened, plan: Plan, nothing: str) -> None:
    """Raises GuardError if the address leads to another database than the plan's, as after a failover.

    Args:
        nothing: What was not done, such as "nothing was restored".
    """
    server = run.session.server
    if (server.system_identifier, server.oid) != (plan.database.system_identifier, plan.database.oid):
        raise GuardError(
            f"database {server.database!r} is not the confirmed one: {nothing}", hint="Run the command again."
        )


@contextmanager
def translated(run: Opened) -> Iterator[None]:
    """Turns errors of psycopg into BootstrapperError."""
    try:
        yield
    except psycopg.OperationalError as error:
        if error.sqlstate is not None and not error.sqlstate.startswith("57P"):
            raise StepFailedError(said(error), sqlstate=error.sqlstate) from error
        raise UnreachableError(run.project.target.where, f"the connection was lost: {said(error)}") from error
    except psycopg.Error as error:
        raise StepFailedError(said(error), sqlstate=error.sqlstate) from error
