"""Looks at the steps in READ ONLY transactions: before the lock, at a step's turn, and for plan and status."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

import psycopg

from bootstrapper.engine import lock_waits
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.hazards import judged
from bootstrapper.engine.limits import excesses
from bootstrapper.engine.lock_waits import LockWatch
from bootstrapper.engine.planner import MakeContext, Planner, runs_always
from bootstrapper.engine.undecided import impatient
from bootstrapper.errors import (
    AheadError,
    BlockedError,
    BootstrapperError,
    InvalidFileError,
    RunInterrupted,
    UnreachableError,
)
from bootstrapper.plans import Change, Deferred, PlannedStep, State
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import HasHeads, SeedsFixtures, ShowsSql
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.lock.hold import Hold

_SHORT_LOOK_SECONDS = 3.0


class Looker:
    """Looks at the database for one run; sees through the hold while there is one.

    Args:
        plan: The digest of the saved plan that is applied.

    Attributes:
        hold: The lock that is held; set and taken away by the executor.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        session: Session,
        make_context: MakeContext,
        *,
        force: bool = False,
        plan: str | None = None,
    ) -> None:
        self._entries = tuple(entries)
        self._session = session
        self._make_context = make_context
        self._force = force
        self._plan = plan
        self.hold: Hold | None = None

    def look(
        self, *, for_reader: bool = False, sql: bool = False, judges: bool = False, is_last: bool = False
    ) -> tuple[PlannedStep, ...]:
        """Returns the steps as they stand now, read in one READ ONLY transaction.

        Args:
            for_reader: Whether the findings are wanted as well.
            sql: Whether changes are to show their statements, which may run code of the project.
            judges: Whether the hazards are wanted, which may run code of the project as well.
            is_last: Whether nothing else is asked if no step has changes, so that the connection may be closed then.
        """
        if not self._entries:
            return ()
        with self.looking() as (planner, _):
            planned = planner.plan()
            if for_reader:
                pairs = zip(self._entries, planned, strict=True)
                planned = tuple(self.reviewed(planner, entry, step, sql=sql) for entry, step in pairs)
            if judges:
                pairs = zip(self._entries, planned, strict=True)
                planned = tuple(judged(planner, entry, step) for entry, step in pairs)
            if is_last and not any(step.has_changes for step in planned):
                self._session.hang_up()
            return tuple(step.without_payloads() for step in planned)

    def look_at_what_can_be(self) -> tuple[tuple[PlannedStep, ...], list[BootstrapperError]]:
        """Returns the steps as `look` does, with the errors of those that cannot be looked at."""
        if not self._entries:
            return (), []
        with self.looking(lock_timeout_seconds=_SHORT_LOOK_SECONDS) as (planner, watch):
            planned, errors = planner.plan_what_can_be()
            found = []
            for entry, step in zip(self._entries, planned, strict=True):
                try:
                    is_known = step.state is not State.UNKNOWN
                    found.append(self.reviewed(planner, entry, step) if is_known else step)
                except UnreachableError:
                    raise
                except BootstrapperError as error:
                    errors.append(error)
                    found.append(step)
                    planner.look_on(planner.context(entry))
            context = self.context(self._entries[0])
            told = [lock_waits.judged(error, planner.at, watch, context.deadline) for error in errors]
            return tuple(step.without_payloads() for step in found), told

    @staticmethod
    def reviewed(planner: Planner, entry: Entry, planned: PlannedStep, *, sql: bool = False) -> PlannedStep:
        """Returns a step with its findings, read in the planner's transaction."""
        if not isinstance(entry.unit, Step) or planned.state is State.SKIPPED:
            return planned
        items: Sequence[Change | Deferred] = (*planned.changes, *planned.deferred)
        context = planner.context(entry)
        with planner.reading(entry, context, borrows=entry.unit.borrows_session):
            if sql and items and isinstance(entry.unit, ShowsSql):
                items = entry.unit.with_sql(Context(context), items)
            findings = tuple(entry.unit.findings(Context(context), items))
        findings += tuple(
            replace(each, message=f"{each.message}: apply refuses") for each in excesses(entry, planned, context)
        )
        changes = tuple(item for item in items if isinstance(item, Change))
        deferred = tuple(item for item in items if isinstance(item, Deferred))
        return replace(planned, changes=changes, deferred=deferred, findings=findings)

    def pending_heads(self) -> list[str]:
        """Returns the newest revisions of the steps that have pending ones.

        Raises AheadError if the database is at a revision that the code does not have, whatever else is wrong.
        """
        found: list[str] = []
        for entry in self._entries:
            if isinstance(entry.unit, HasHeads) and self._pending_alone(entry):
                with suppress(InvalidFileError):  # reported by the look that needs the answer
                    found += entry.unit.heads(self.context(entry).project)
        return found

    def pending_items(self) -> list[str]:
        """Returns what has changes to make: fixtures as `fixture users`, steps without any as `step sql`."""
        found: list[str] = []
        for entry in self._entries:
            planned = self._pending_alone(entry) if isinstance(entry.unit, Step) else None
            if planned is None:
                continue
            if isinstance(entry.unit, SeedsFixtures):
                names = {change.origin for change in planned.changes}
                if planned.deferred:  # which of them, is not known yet
                    names |= set(entry.unit.seeds(list(self.context(entry).project.fixtures)))
                found += [f"fixture {name}" for name in sorted(names)]
            else:
                found.append(f"step {entry.name}")
        return found

    def _pending_alone(self, entry: Entry) -> PlannedStep | None:
        """Returns a step that has changes, whatever is wrong with others; None if that is not known.

        Raises AheadError if the database is ahead of the step.
        """
        try:
            with self.looking() as (planner, _):
                planned = planner.plan_entry(entry.name)
        except (AheadError, BlockedError, UnreachableError, RunInterrupted):
            raise
        except BootstrapperError:
            return None  # reported by the look that needs the answer
        return planned if planned.has_changes else None

    @contextmanager
    def reading(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """Opens a READ ONLY transaction for a command without a step; reports the sessions that block it."""
        with self._session.read_only() as connection:
            is_watched = bool(self._entries)
            with lock_waits.told(self.context(self._entries[0]), lambda: name) if is_watched else nullcontext():
                yield connection

    def any_pending(self, entries: Sequence[Entry]) -> bool:
        """Returns whether a step has changes; one that cannot be looked at during another run counts as pending.

        Nothing is refused here: that is decided under the lock. The look does not wait for what the other run locks.

        Raises AheadError if the database is ahead of a step.
        """
        try:
            with impatient(self._session), self.looking(is_watched=False) as (planner, _):
                return any(planner.plan_entry(entry.name).has_changes for entry in entries)
        except (AheadError, InvalidFileError, RunInterrupted, UnreachableError):
            raise
        except BootstrapperError:
            return True

    @contextmanager
    def looking(
        self,
        make_context: MakeContext | None = None,
        *,
        lock_timeout_seconds: float | None = None,
        is_watched: bool = True,
    ) -> Iterator[tuple[Planner, LockWatch]]:
        """Opens a planner inside a READ ONLY transaction, and a watch for the sessions that block it."""
        planner = Planner(self._entries, make_context or self.context, force=self._force)
        with self._begin(planner, lock_timeout_seconds, is_watched=is_watched) as watch:
            planner.served = self._served()
            try:
                yield planner, watch
            finally:
                planner.forget()

    @contextmanager
    def _begin(self, planner: Planner, lock_timeout_seconds: float | None, *, is_watched: bool) -> Iterator[LockWatch]:
        """Opens the transaction; the planner begins it with its own questions, unless that is a matter of the hold."""
        if self.hold is not None:
            with self.hold.read_only(), self._told(planner, is_watched=is_watched) as watch:
                yield watch
        else:
            looking = self._session.looking(lock_timeout_seconds=lock_timeout_seconds)
            with looking as (connection, statements), self._told(planner, is_watched=is_watched) as watch:
                planner.begin(connection, statements)
                yield watch

    def _told(self, planner: Planner, *, is_watched: bool) -> AbstractContextManager[LockWatch]:
        return lock_waits.told(self.context(self._entries[0]), lambda: planner.at, is_watched=is_watched)

    def read_only(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Opens a READ ONLY transaction for a question about the ledger."""
        return self.hold.read_only() if self.hold is not None else self._session.read_only()

    def _served(self) -> Collection[str]:
        """Returns the steps done by runs of the same configuration that took the lock after this one began.

        Of a saved plan, those that an earlier run with it did are never done again.
        """
        if not any(runs_always(entry.check) for entry in self._entries):
            return ()
        project = self._make_context(self._entries[0]).project
        connection = self._session.connection
        try:
            with connection.transaction():
                began_at, inputs = self._session.began_at, project.inputs
                done = ledger.steps_done_since(connection, project.ledger, began_at, inputs, self._plan)
        except ledger.UNREADABLE:
            return ()
        return {entry.name for entry in self._entries if (entry.name, entry.unit.uses) in done}

    def context(self, entry: Entry) -> RunContext:
        return replace(self._make_context(entry), hold=self.hold)
