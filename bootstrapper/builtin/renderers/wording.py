"""The wording of plans and errors, the same in every format.

What a server, a file, a program or a plugin says can neither break a line nor reach the terminal behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from bootstrapper.config.units import show_seconds
from bootstrapper.dataclass import dataclass
from bootstrapper.plans import SQL, Action, Answer, Change, Deferred, Finding, Hazard, Plan, PlannedStep, State, total
from bootstrapper.text import column_lines, counted, listed, one_line, with_reason

_MOST_TARGETS = 20
_MOST_LISTED = 20  # changes of a kind, of one table or other origin

_VERBS = {Action.CREATE: "to create", Action.UPDATE: "to update", Action.DELETE: "to delete", Action.RUN: "to run"}
_PAST = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.RUN: "ran"}
# By `uses` of commands: what deleting something from the database is there.
_DELETIONS = {"downgrade": ("to revert", "reverted"), "reset": ("to drop", "dropped")}


def answer(question: str, given: Answer) -> str:
    """`check: no, 2 rows are missing`."""
    return f"{question}: {given.verdict}{f', {one_line(given.reason)}' if given.reason else ''}"


def finding(found: Finding) -> str:
    """`! index public.a: is invalid`."""
    return f"! {one_line(found.target)}: {one_line(found.message)}"


def hazard(found: Hazard) -> str:
    """`! drop-column (allowed): revision 4f1c, migrations/versions/4f1c.py:12: ALTER TABLE ...`."""
    said = {True: " (allowed)", False: " (not allowed)", None: ""}[found.allowed]
    return f"! {found.name.value}{said}: {one_line(found.where)}: {one_line(found.message)}"


def remedy(found: Hazard) -> str:
    """Returns the safer way; empty where the hazard is allowed."""
    return "" if found.allowed else found.remedy


def locks(step: PlannedStep) -> Iterator[str]:
    """Yields a line for each revision or step: `revision 4f1c locks public.users (ACCESS EXCLUSIVE)`."""
    for target in dict.fromkeys(lock.target for lock in step.locks):
        taken = [f"{one_line(lock.relation)} ({one_line(lock.mode)})" for lock in step.locks if lock.target == target]
        yield f"{one_line(target)} locks {', '.join(taken)}"


def refusal(plan: Plan) -> str:
    """Returns what apply refuses the plan for; empty if it does not."""
    names = [name.value for name in plan.refused]
    if not names:
        return ""
    options = " ".join(f"--allow {name}" for name in names)
    command = next((step.uses for step in plan.steps if step.uses in _DELETIONS), None)
    if command is not None:
        return f"`bootstrapper {command}` refuses this plan without {options}."
    return f"`bootstrapper apply` refuses this plan without {options}, or `limits: {{allow: [...]}}` of the step."


def columns(change: Change) -> Iterator[str]:
    """Returns one line a column, without the statements that a change stands for."""
    before, after = (
        {name: text for name, text in side.items() if name != SQL} for side in (change.before, change.after)
    )
    return column_lines(before, after)


def sql_lines(change: Change) -> Iterator[str]:
    """Yields the statements of a change, if the plan was asked for them."""
    for line in (change.after.get(SQL) or "").splitlines():
        yield one_line(line.rstrip(), longest=None)


@dataclass(frozen=True)
class Group:
    """The changes of one origin, such as a fixture.

    Attributes:
        title: The origin with its counts; empty where the step has only one.
        listed: The changes to show.
        rest: What is said of the others; empty if there are none.
    """

    title: str
    listed: Sequence[Change]
    rest: str


def groups(step: PlannedStep, *, is_full: bool) -> Iterator[Group]:
    """Yields the changes of a step by origin, of each the first of every kind unless all are wanted."""
    by_origin: dict[str, list[Change]] = {}
    for change in step.changes:
        by_origin.setdefault(change.origin, []).append(change)
    for origin, changes in by_origin.items():
        title = f"{one_line(origin)}: {_counts(changes, step.uses)}" if len(by_origin) > 1 and origin else ""
        shown, hidden = (changes, []) if is_full else _parted(changes)
        rest = f"and {_counts(hidden, step.uses)}; --full lists more" if hidden else ""
        yield Group(title, shown, rest)


def _parted(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Returns the first changes of every kind, and the others."""
    shown: list[Change] = []
    hidden: list[Change] = []
    seen: Counter[Action] = Counter()
    for change in changes:
        seen[change.action] += 1
        (shown if seen[change.action] <= _MOST_LISTED else hidden).append(change)
    return shown, hidden


def _counts(changes: Sequence[Change], uses: str) -> str:
    counts = {verb: total(changes, action) for action, verb in verbs({uses}).items()}
    return ", ".join(f"{count:,} {verb}" for verb, count in counts.items() if count)


def bounds(deferred: Deferred) -> str:
    """Returns the bounds of deferred changes."""
    may = listed(sorted(deferred.may), "or") if deferred.may else "change anything"
    return f"may {may}" + ("" if deferred.at_most is None else f", at most {counted(deferred.at_most, 'change')}")


def deferred_head(deferred: Deferred) -> str:
    """Returns what deferred changes wait for, or which earlier steps may cause them, with their bounds."""
    if deferred.after:
        return f"? after {one_line(listed(deferred.after))}: {bounds(deferred)}"
    return with_reason(f"? needs {one_line(deferred.needs)}", deferred.reason)


def targets(deferred: Deferred) -> Iterator[str]:
    """Yields the targets of deferred changes, a line each; the rest is counted."""
    yield from (f"? {one_line(target)}" for target in deferred.targets[:_MOST_TARGETS])
    left = (deferred.at_most or len(deferred.targets)) - _MOST_TARGETS
    if left > 0 and len(deferred.targets) >= _MOST_TARGETS:
        yield f"and {left} more"


def verbs(uses: Collection[str]) -> Mapping[Action, str]:
    """Returns the verb of each action still to be done, for steps of these types."""
    own = next((verb for kind, (verb, _) in _DELETIONS.items() if kind in uses), _VERBS[Action.DELETE])
    return _VERBS | {Action.DELETE: own}


def past(uses: str) -> Mapping[Action, str]:
    """Returns the verb of each action that was done, for a step of this type."""
    return _PAST | {Action.DELETE: _DELETIONS[uses][1]} if uses in _DELETIONS else _PAST


def glyph(step: PlannedStep) -> str:
    if step.state is State.PENDING:
        only_creates = step.changes and all(change.action is Action.CREATE for change in step.changes)
        return "+" if only_creates else ">"
    return {State.DONE: "=", State.DEFERRED: "?", State.SKIPPED: "-", State.UNKNOWN: "?"}[step.state]


def totals(plan: Plan) -> str:
    """Returns the last line of a plan."""
    if not plan.pending:
        return "Nothing to do."
    by_action = verbs({step.uses for step in plan.steps})
    parts = [f"{plan.count(action):,} {verb}" for action, verb in by_action.items()]
    deferred = [item for step in plan.steps for item in step.deferred]
    return f"Plan: {', '.join([*parts, *_deferred(deferred)])}."


def _deferred(items: Sequence[Deferred]) -> list[str]:
    """Returns how many there are; of several, with the sum of their bounds, which differ line by line."""
    most = [item.at_most for item in items]
    bound = f" (at most {sum(filter(None, most)):,} changes)" if len(items) > 1 and None not in most else ""
    return [f"{len(items)} deferred{bound}"] if items else []


def headline(step: PlannedStep) -> str:
    """Returns the number of changes by action; without changes, the state and its reason."""
    if not step.has_changes:
        return "; ".join([_settled(step), *_answers(step)])
    if not step.has_own_changes:
        return _own_reason(step)
    parts = [_counts(step.changes, step.uses)] if step.changes else []
    counts = ", ".join([*parts, *_deferred(step.deferred)])
    return counts + (f"; took {show_seconds(step.last_seconds)} last time" if step.last_seconds is not None else "")


def reasons(step: PlannedStep) -> list[str]:
    """Yields the reasons for the changes of a step, a line each."""
    if not step.has_changes:
        return []
    own = _own_reason(step) if step.has_own_changes else ""  # else the headline says it
    return [*([own] if own else []), *_answers(step)]


def _settled(step: PlannedStep) -> str:
    """Returns the headline of a step without changes; a pending one is a scope around the rest."""
    own = _own_reason(step)
    if step.state is State.PENDING:
        return own or "will be entered"
    return f"{step.state}: {own}" if own else step.state.value


def _answers(step: PlannedStep) -> list[str]:
    asked = [("when", step.when), ("check", step.check)]
    return [answer(question, given) for question, given in asked if given is not None]


def _own_reason(step: PlannedStep) -> str:
    """Returns the step's reason, unless one of its answers already says the same."""
    answers = [given.reason for given in (step.when, step.check) if given is not None and given.reason]
    return "" if step.reason.endswith(tuple(answers)) and answers else one_line(step.reason)


def title(plan: Plan) -> str:
    return one_line(plan.name) + (f" · environment {one_line(plan.environment)}" if plan.environment else "")


def where(plan: Plan) -> str:
    database = plan.database
    version = f" · PostgreSQL {database.server_version}" if database.server_version else ""
    return one_line(f"{database.server} · database {database.database}{version}")


def step_name(step: PlannedStep) -> str:
    return one_line(step.name if step.name == step.uses else f"{step.name} ({step.uses})")
