"""Plans: reads the database and works out the changes of each step; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from psycopg import Connection
from psycopg.pq import TransactionStatus

from bootstrapper.engine.deferral import bounded
from bootstrapper.engine.dependence import with_dependence
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.lending import Lending
from bootstrapper.engine.probes import Answers, Asked, Decision, ask, ask_probes, begin_with_probes, with_probes
from bootstrapper.engine.server_errors import explained, in_time
from bootstrapper.errors import (
    BootstrapperError,
    NotConvergedError,
    UndecidedError,
    UnreachableError,
)
from bootstrapper.plans import Answer, Change, Deferred, PlannedStep, State
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.conditions import Condition
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.purity import note_impure
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import Gate, LockScope, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Explained
from bootstrapper.postgres.connection.interjection import status_of

MakeContext = Callable[[Entry], RunContext]


class Planner:
    """One look at the database; answers are kept as long as the object lives.

    Its caller keeps the session inside one READ ONLY transaction.

    Attributes:
        served: Names of steps that another run did on our behalf while we waited for it; counts for `never`.
        lending: Whose settings the session has.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        make_context: MakeContext,
        *,
        force: bool = False,
    ) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._make_context = make_context
        self._force = force
        self.served: Collection[str] = ()
        self.lending = Lending()
        self._answers: Answers = {}
        self._batches = self._batch()
        self._planned: dict[str, PlannedStep] = {}
        self._under_way: list[str] = []
        self._turn: str | None = None
        self._at = next(iter(self._entries), "")

    def begin(self, connection: Connection[Any], statements: Sequence[bytes]) -> None:
        """Begins the transaction of the look, in one message with the probes that it is sure to need."""
        asked, lends = self._batches[0], self._is_lent_first()
        self._at = asked[0][0].step if asked else self._at
        self._answers |= begin_with_probes(connection, statements, asked, lends=lends)
        self.lending.begin(is_lent=lends)
        asked.clear()

    def _is_lent_first(self) -> bool:
        """Returns whether the first step that is compared, whatever the checks answer, borrows the session."""
        units = [entry.unit for entry in self._entries.values() if entry.when is None and entry.check is None]
        first = next((unit for unit in units if isinstance(unit, Step)), None)
        return first is not None and first.borrows_session

    @property
    def at(self) -> str:
        """The step that is being looked at, or was last."""
        return self._at

    def plan(self) -> tuple[PlannedStep, ...]:
        """Returns all entries in order, dependent ones with what earlier ones may cause in them."""
        return tuple(self._with_dependence(entry) for entry in self._entries.values())

    def _with_dependence(self, entry: Entry) -> PlannedStep:
        planned = self.plan_entry(entry.name)
        if not isinstance(entry.unit, Step):
            return planned
        units = {name: self._entries[name].unit for name in self._earlier(entry)}
        earlier = [name for name, unit in units.items() if isinstance(unit, Step) and not unit.leaves_others_alone]
        return with_dependence(entry, entry.unit, planned, earlier, self.context(entry))

    def plan_entry(self, name: str) -> PlannedStep:
        """Returns what one gate, scope or step would do if its turn were now."""
        if name not in self._planned:
            self._under_way.append(name)
            self._at = name
            try:
                self._planned[name] = self._plan(self._entries[name])
            finally:
                self._under_way.remove(name)
        return self._planned[name]

    def forget(self) -> None:
        """Drops what was planned: its payloads lead back to this planner, which would keep them all in memory."""
        self._planned.clear()

    def plan_what_can_be(self) -> tuple[tuple[PlannedStep, ...], list[BootstrapperError]]:
        """Returns all entries in order, and the errors of those that could not be looked at, which are unknown."""
        errors = []
        for entry in sorted(self._entries.values(), key=lambda entry: isinstance(entry.unit, LockScope | Scope)):
            try:
                self.plan_entry(entry.name)
            except UnreachableError:
                raise
            except BootstrapperError as error:
                errors.append(error)
                self._planned[entry.name] = _unknown(entry, error)
                self.look_on(self.context(entry))
        return self.plan(), errors

    def look_on(self, context: RunContext) -> None:
        """Begins a new READ ONLY transaction where an error of the server, or a plugin, ended the last one."""
        if status_of(context.connection) in (TransactionStatus.INERROR, TransactionStatus.IDLE):
            context.session.look_on()
            self.lending.begin()

    def pending(self, names: Collection[str]) -> Answer:
        """Answers whether any of these steps has changes, or may have; steps that are left out of the run have none."""
        found = [name for name in names if name in self._entries and self.plan_entry(name).has_changes]
        if found:
            return Answer.yes(f"{', '.join(found)} {'has' if len(found) == 1 else 'have'} changes")
        return Answer.no(f"nothing is pending in {', '.join(names)}")

    def at_turn(self, name: str) -> PlannedStep:
        """Plans one step at its own turn: an unknown check counts as no, since applying the step may answer it.

        Raises UndecidedError if `when` is still unknown and the step has changes.
        """
        entry = self._entries[name]
        self._turn = self._at = name
        planned = self._plan(entry, is_turn=True)
        if planned.has_changes and planned.when is not None and planned.when.is_unknown:
            raise UndecidedError(name, planned.when.reason, source=entry.source)
        return planned

    def _plan(self, entry: Entry, *, is_turn: bool = False) -> PlannedStep:
        match entry.unit:
            case Gate():
                return PlannedStep(entry.name, entry.unit.uses, State.DONE, "passed")
            case LockScope():
                return self._plan_scope(entry, "will be taken")
            case Scope():
                return self._plan_scope(entry, "will be entered")
            case Step() as step:
                return self._plan_step(entry, step, is_turn=is_turn)
            case _:
                raise TypeError(f"{entry.name} is neither gate, scope nor step")

    def _plan_scope(self, entry: Entry, needed: str) -> PlannedStep:
        names = list(self._entries)
        later = names[names.index(entry.name) + 1 :]
        is_needed = any(self.plan_entry(name).has_changes for name in later)
        state, reason = (State.PENDING, needed) if is_needed else (State.DONE, "not needed")
        return PlannedStep(entry.name, entry.unit.uses, state, reason)

    def _plan_step(self, entry: Entry, step: Step, *, is_turn: bool) -> PlannedStep:
        planned = PlannedStep(entry.name, step.uses, State.DONE, when=self._evaluate(entry, entry.when))
        if planned.when is not None and planned.when.is_no:
            return replace(planned, state=State.SKIPPED, reason=f"not needed: {planned.when.reason}")
        if not self._force:
            planned = replace(planned, check=self._evaluate(entry, entry.check))
        if planned.check is not None and planned.check.is_yes:
            return replace(planned, reason=planned.check.reason)
        if planned.check is not None and entry.name in self.served and not _decides(entry.check):
            return replace(planned, reason="done by another run meanwhile")
        found = self._changes(entry, step)
        changes = tuple(item for item in found if isinstance(item, Change))
        deferred = tuple(item for item in found if isinstance(item, Deferred))
        if not is_turn:
            changes, deferred = bounded(planned, changes, deferred)
        if not changes and not deferred and planned.check is not None and _decides(entry.check):
            deferred = self._explain_contradiction(entry, planned.check)
        state = State.DEFERRED if deferred and not changes else State.PENDING if changes else State.DONE
        reason = planned.check.reason if planned.check is not None else ""
        if planned.check is None and state is State.DONE:
            reason = self._done_reason(entry, step)
        return replace(planned, state=state, reason=reason, changes=changes, deferred=deferred)

    def _done_reason(self, entry: Entry, step: Step) -> str:
        if not isinstance(step, Explained):
            return "as declared"
        context = self.context(entry)
        with self.reading(entry, context, borrows=False):
            return step.done_reason(Context(context))

    def _changes(self, entry: Entry, step: Step) -> Sequence[Change | Deferred]:
        context = self.context(entry)
        note_impure(context.project.cache, step, f"step {entry.name}", entry.source)
        with self.reading(entry, context, borrows=step.borrows_session):
            return step.changes(Context(context))

    @contextmanager
    def reading(self, entry: Entry, context: RunContext, *, borrows: bool) -> Iterator[None]:
        """Within it a step reads; an error of the server that it catches itself does not concern what comes next."""
        lent = self.lending.session(context.connection, borrows=borrows)
        with explained(entry, context), in_time(entry, context), lent:
            yield
        self.look_on(context)

    def _earlier(self, entry: Entry) -> list[str]:
        """Returns the steps before this one that have changes; at its own turn they are done.

        Leaves out steps whose own planning asks about this one, which would be a cycle.
        """
        if entry.name == self._turn:
            return []
        names = list(self._entries)
        before = [name for name in names[: names.index(entry.name)] if isinstance(self._entries[name].unit, Step)]
        return [name for name in before if name not in self._under_way and self.plan_entry(name).has_changes]

    def _explain_contradiction(self, entry: Entry, answer: Answer) -> tuple[Deferred, ...]:
        """Defers a step that has no changes although its check says no; an error if no earlier step may change that."""
        earlier = self._earlier(entry)
        if not earlier:
            raise NotConvergedError(
                entry.name, f"check {entry.check}", f"{answer.verdict}: {answer.reason}", source=entry.source
            )
        return (Deferred(f"step {earlier[-1]}", f"{answer.reason}; no changes visible yet"),)

    def _evaluate(self, entry: Entry, condition: Condition | None) -> Answer | None:
        if condition is None:
            return None
        context = self.context(entry)
        return condition.evaluate(lambda check: self._ask(check, context))

    def _ask(self, check: Check, context: RunContext) -> Answer:
        """Answers a check; probes are sent together, those beside other kinds of checks only when needed."""
        note_impure(context.project.cache, check, f"check {check.key} of step {context.step}")
        for batch in self._batches:
            if id(check) in self._answers or not any(check is other for other, _ in batch):
                continue
            with self.lending.session(context.connection, borrows=False):
                self._answers |= ask_probes(context.connection, batch)
            batch.clear()
        if id(check) not in self._answers:
            self._answers[id(check)] = self._ask_itself(check, context)
            self.look_on(context)
        return self._answers[id(check)]()

    def _ask_itself(self, check: Check, context: RunContext) -> Decision:
        if check.about():  # it asks the server nothing but what other steps ask
            return ask(check, context)
        with self.lending.session(context.connection, borrows=check.borrows_session):
            return ask(check, context)

    def _batch(self) -> tuple[list[Asked], list[Asked]]:
        """Returns the probes of conditions that consist of probes only, and those beside other kinds of checks."""
        found: tuple[list[Asked], list[Asked]] = ([], [])
        for entry in self._entries.values():
            for condition in (entry.when, None if self._force else entry.check):
                checks = list(condition.checks()) if condition else []
                probes = with_probes(checks)
                found[len(probes) < len(checks)].extend(probes)
        return found

    def context(self, entry: Entry) -> RunContext:
        """Returns a new context for the entry, which can ask about the other steps of the plan."""
        return replace(self._make_context(entry), pending=self.pending, earlier=partial(self._earlier, entry))


def _unknown(entry: Entry, error: BootstrapperError) -> PlannedStep:
    return PlannedStep(entry.name, entry.unit.uses, State.UNKNOWN, error.headline.partition("\n")[0])


def runs_always(condition: Condition | None) -> bool:
    """Returns whether there is a check that cannot tell if the step is done, as `never`."""
    return condition is not None and not _decides(condition)


def _decides(condition: Condition | None) -> bool:
    """Returns whether the answer tells if the step is done; that of `never` does not."""
    return condition is not None and any(check.asked_after for check in condition.checks())
