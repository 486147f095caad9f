"""Holds a run to a saved plan: the same inputs on the same database, and no change that the plan does not show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.engine.dependence import require_bounded
from bootstrapper.engine.entry import Entry
from bootstrapper.errors import GuardError, StalePlanError
from bootstrapper.masking import Masker, masked
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep
from bootstrapper.plans.difference import first_difference
from bootstrapper.plans.saved import KEY_VARIABLE, SavedPlan
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.ledger.later_runs import runs_since
from bootstrapper.postgres.ledger.ledger import UNREADABLE

Standing = Enum("Standing", ["NEW", "BEGUN", "DONE"])
"""What runs with this plan have done: nothing, a part that a run did not finish, or all."""


def require_trusted(saved: SavedPlan, project: Project, key: str | None) -> None:
    """Raises GuardError for a plan that was changed, or that is not signed where it has to be."""
    if not saved.is_intact:
        raise GuardError("the saved plan was changed after it was made; nothing was applied", hint="Make a new plan.")
    if key is None and project.protected:
        raise key_needed(project)
    if key is not None and saved.signature is None:
        raise GuardError(
            f"the saved plan is not signed, and {KEY_VARIABLE} is set",
            hint=f"Make the plan where {KEY_VARIABLE} is set.",
        )
    if key is not None and not saved.is_signed_with(key):
        raise GuardError(
            f"the signature of the saved plan does not match the key in {KEY_VARIABLE}",
            hint="Make the plan and apply it with the same key.",
        )


def key_needed(project: Project) -> GuardError:
    return GuardError(
        f"environment {project.environment!r} is protected: its plans must be signed, but {KEY_VARIABLE} is not set",
        hint=f"Set {KEY_VARIABLE} where plans are made and where they are applied.",
    )


class Contract:
    """A saved plan, as what a run may do."""

    def __init__(self, saved: SavedPlan, entries: Sequence[Entry], masker: Masker) -> None:
        self._saved = saved
        self._masker = masker
        self._shown = {step.name: step for step in saved.plan.steps}
        units = {entry.name: entry.unit for entry in entries}
        pending = [step.name for step in saved.plan.pending]
        self._moving = [name for name in pending if _moves_others(units.get(name))]
        self._standing = Standing.NEW

    @property
    def plan(self) -> Plan:
        return self._saved.plan

    def require_same_inputs(self, now: Plan) -> None:
        """Raises StalePlanError where the plan was made for another database, environment or declaration."""
        plan = self.plan
        if plan.environment != now.environment:
            raise StalePlanError(f"it is of environment {plan.environment!r}, but this run is of {now.environment!r}")
        difference = _other_database(plan.database, now.database)
        if difference is not None:
            raise StalePlanError(difference)
        if plan.heads != now.heads:
            raise StalePlanError(
                f"the newest revision is {_named(now.heads)}, and was {_named(plan.heads)} when planned"
            )
        if plan.version != now.version:
            raise StalePlanError(f"this is bootstrapper {now.version}, and the plan was made by {plan.version}")
        if plan.inputs != now.inputs:
            raise StalePlanError("the configuration, a file that it names, or a variable was changed since it was made")

    def stand(self, connection: Connection[Any], project: Project, besides: UUID | None = None) -> Standing:
        """Returns what runs with this plan have done.

        Raises StalePlanError if other runs had the lock since it was made, or if the ledger was put back.

        Args:
            connection: In a READ ONLY transaction.
            project: Where the ledger is.
            besides: This run, if it has the lock.
        """
        try:
            last = UUID(self.plan.last_run) if self.plan.last_run is not None else None
            later = runs_since(connection, project.ledger, self.plan.serial, last, besides)
        except UNREADABLE:
            return self._standing
        own = [run for run in later.runs if run.plan == self._saved.digest]
        self._standing = Standing.BEGUN if any(run.has_begun for run in own) else Standing.NEW
        if any(run.outcome == "done" for run in own):
            self._standing = Standing.DONE
        elif later.is_put_back:
            raise StalePlanError("the ledger does not have the run any more that was the last one when it was made")
        elif len(own) < len(later.runs):
            first = next(run for run in later.runs if run not in own)
            raise StalePlanError(f"run {first.run_id} ({first.command}) had the lock after the plan was made")
        return self._standing

    def require_as_planned(self, steps: Sequence[PlannedStep]) -> None:
        """Raises StalePlanError unless all steps, before any is taken, would do what the plan shows."""
        for step in steps:
            if self._standing is Standing.NEW:
                self._require_equal(step)
            else:
                self.require_planned(step)

    def with_permissions(self, steps: Sequence[PlannedStep]) -> tuple[PlannedStep, ...]:
        """Returns the steps with the hazards allowed that the plan allows.

        Raises StalePlanError for a hazard that it does not show, unless a run with it has begun, whose rows may be why.
        """
        return tuple(self._with_permissions(step) for step in steps)

    def _with_permissions(self, step: PlannedStep) -> PlannedStep:
        shown = self._shown[step.name].hazards if step.name in self._shown else ()
        permitted = {(hazard.name, hazard.target): hazard.allowed for hazard in shown}
        hazards = []
        for hazard in masked(step.hazards, self._masker.mask):
            is_shown = (hazard.name, hazard.target) in permitted
            if hazard.allowed is not None and not is_shown and self._standing is Standing.NEW:
                raise StalePlanError(f"{hazard.where}: hazard {hazard.name.value} was not planned", step=step.name)
            is_permitted = hazard.allowed is False and permitted.get((hazard.name, hazard.target))
            hazards.append(replace(hazard, allowed=True) if is_permitted else hazard)
        return replace(step, hazards=tuple(hazards))

    def require_planned(self, now: PlannedStep) -> None:
        """Raises StalePlanError where a step at its turn would do something else than the plan shows.

        It must be the same, unless an earlier step of the plan may have changed what it finds: then it has to be within
        what the plan shows.
        """
        before = list(self._shown)[: list(self._shown).index(now.name)] if now.name in self._shown else []
        if self._standing is Standing.NEW and not set(before) & set(self._moving):
            self._require_equal(now)
        else:
            require_bounded(self._of(now.name), self._masked(now))

    def _require_equal(self, now: PlannedStep) -> None:
        shown = self._of(now.name)
        if any(not item.after for item in shown.deferred):
            require_bounded(shown, self._masked(now))
            return
        difference = first_difference(self._masked(shown), self._masked(now))
        if difference is not None:
            raise StalePlanError(difference, step=now.name)

    def _of(self, name: str) -> PlannedStep:
        if name not in self._shown:
            raise StalePlanError("it is not in the plan", step=name)
        return self._shown[name]

    def _masked(self, step: PlannedStep) -> PlannedStep:
        """Returns the step as a plan in a file has it: another process, which knew other secrets, made it."""
        return masked(step.without_payloads(), self._masker.mask)


def _moves_others(unit: object) -> bool:
    return isinstance(unit, Step) and not unit.leaves_others_alone


def _other_database(planned: DatabaseIdentity, now: DatabaseIdentity) -> str | None:
    known = planned.system_identifier is not None and now.system_identifier is not None
    is_same_server = planned.system_identifier == now.system_identifier if known else planned.server == now.server
    if is_same_server and planned.oid in (0, now.oid):
        return None
    what = "another database" if planned.database != now.database else "another database of the same name"
    return f"it is for {planned.database} on {planned.server}, but {now.database} on {now.server} is {what}"


def _named(heads: Collection[str]) -> str:
    return ", ".join(heads) or "none"
