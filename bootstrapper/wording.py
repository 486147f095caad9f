"""How plans and errors are put into words, the same for every reader.

What a server, a file, a program or a plugin says can neither break a line nor reach the terminal behind it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from bootstrapper.errors import BootstrapperError
from bootstrapper.plan import SQL, Action, Answer, Change, Deferred, Finding, Plan, PlannedStep, State, total

_MOST_TARGETS = 20
_LONGEST_VALUE = 200  # a document of a megabyte would bury the change that it belongs to
_LONGEST_LINE = 2000  # as would what a server says of it

# Cc: escape sequences and line breaks. Cs: lone surrogates, which no terminal takes. Zl, Zp: line breaks.
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They reorder the text around them, so that a reviewer reads something else than what will happen.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_VERBS = {Action.CREATE: "to create", Action.UPDATE: "to update", Action.DELETE: "to delete", Action.RUN: "to run"}
_PAST = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.RUN: "ran"}
_DOWNGRADE = "downgrade"  # Downgrade.uses: what it deletes is in the database, and the revision's file stays


def one_line(text: str, longest: int | None = _LONGEST_LINE) -> str:
    """The text with everything that would break or reorder a line shown as an escape, cut where it is very long."""
    line = cut(text, longest) if longest is not None else text
    return line if line.isascii() and line.isprintable() else "".join(map(_shown, line))


def cut(text: str, longest: int = _LONGEST_LINE) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def error_lines(error: BootstrapperError, mask: Callable[[str], str]) -> list[str]:
    """What is wrong, line by line."""
    return [one_line(mask(line)) for line in error.lines]


def _shown(character: str) -> str:
    if unicodedata.category(character) in _UNSHOWN or character in _REORDERING:
        return character.encode("unicode_escape").decode()
    return character


def value(text: str | None) -> str:
    """A value as people read it: NULL, quoted where it would be mistaken for something else, cut where very long."""
    if text is None:
        return "NULL"
    if len(text) > _LONGEST_VALUE:
        return one_line(text, longest=_LONGEST_VALUE)
    shown = one_line(text)
    return f'"{shown}"' if shown != shown.strip() or shown in ("", "NULL") else shown


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail


def not_set(names: Iterable[str]) -> str:
    """Which variables have no value here."""
    shown = [f"${name}" for name in names]
    return f"{listed(shown)} {'is' if len(shown) == 1 else 'are'} not set here"


def with_reason(text: str, reason: str) -> str:
    return f"{text}: {one_line(reason)}" if reason else text


def answer(question: str, given: Answer) -> str:
    """`check: no, 2 rows are missing`."""
    return f"{question}: {given.verdict}{f', {one_line(given.reason)}' if given.reason else ''}"


def finding(found: Finding) -> str:
    """`! index public.a: is invalid`."""
    return f"! {one_line(found.target)}: {one_line(found.message)}"


def columns(change: Change) -> Iterator[str]:
    """One line a column: its value, or what it is and what it will be."""
    names = [name for name in dict.fromkeys((*change.before, *change.after)) if name != SQL]
    width = max((len(one_line(name)) for name in names), default=0)
    for name in names:
        yield f"{one_line(name):<{width}}  {_column(name, change.before, change.after)}"


def _column(name: str, before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    if name not in before:
        return value(after[name])
    if name not in after:
        return value(before[name])
    return f"{value(before[name])} -> {value(after[name])}"


def sql_lines(change: Change) -> Iterator[str]:
    """The statements that a change stands for, where the plan was asked for them."""
    for line in (change.after.get(SQL) or "").splitlines():
        yield one_line(line.rstrip(), longest=None)


def bounds(deferred: Deferred) -> str:
    """What the deferred changes may at most be."""
    may = listed(sorted(deferred.may), "or") if deferred.may else "change anything"
    return f"may {may}" + ("" if deferred.at_most is None else f", at most {counted(deferred.at_most, 'change')}")


def deferred_head(deferred: Deferred) -> str:
    """What the deferred changes wait for, or which earlier steps may bring them about, and then what they may be."""
    if deferred.after:
        return f"? after {one_line(listed(deferred.after))}: {bounds(deferred)}"
    return with_reason(f"? needs {one_line(deferred.needs)}", deferred.reason)


def targets(deferred: Deferred) -> Iterator[str]:
    """What the deferred changes would be about, a line each; the rest is counted."""
    yield from (f"? {one_line(target)}" for target in deferred.targets[:_MOST_TARGETS])
    left = (deferred.at_most or len(deferred.targets)) - _MOST_TARGETS
    if left > 0 and len(deferred.targets) >= _MOST_TARGETS:
        yield f"and {left} more"


def verbs(uses: Collection[str]) -> Mapping[Action, str]:
    """What is to be done, for steps of these types."""
    return _VERBS | {Action.DELETE: "to take back"} if _DOWNGRADE in uses else _VERBS


def past(uses: str) -> Mapping[Action, str]:
    """What was done, for a step of this type."""
    return _PAST | {Action.DELETE: "took back"} if uses == _DOWNGRADE else _PAST


def glyph(step: PlannedStep) -> str:
    if step.state is State.PENDING:
        only_creates = step.changes and all(change.action is Action.CREATE for change in step.changes)
        return "+" if only_creates else ">"
    return {State.DONE: "=", State.DEFERRED: "?", State.SKIPPED: "-", State.UNKNOWN: "?"}[step.state]


def totals(plan: Plan) -> str:
    """The last line of every plan."""
    if not plan.pending:
        return "Nothing to do."
    by_action = verbs({step.uses for step in plan.steps})
    parts = [f"{plan.count(action):,} {verb}" for action, verb in by_action.items()]
    deferred = sum(len(step.deferred) for step in plan.steps)
    return f"Plan: {', '.join([*parts, *([f'{deferred} deferred'] if deferred else [])])}."


def headline(step: PlannedStep) -> str:
    """How many changes the step has, by action; where it has none, its state and why."""
    if not step.has_changes:
        return "; ".join([_settled(step), *_answers(step)])
    if not step.has_own_changes:
        return _own_reason(step)
    counts = {verb: total(step.changes, action) for action, verb in verbs({step.uses}).items()}
    parts = [f"{count:,} {verb}" for verb, count in counts.items() if count]
    return ", ".join([*parts, *([f"{len(step.deferred)} deferred"] if step.deferred else [])])


def reasons(step: PlannedStep) -> list[str]:
    """Why a step has changes, line by line."""
    if not step.has_changes:
        return []
    own = _own_reason(step) if step.has_own_changes else ""  # else the headline says it
    return [*([own] if own else []), *_answers(step)]


def _settled(step: PlannedStep) -> str:
    """What is pending without changes is a scope around the rest."""
    own = _own_reason(step)
    if step.state is State.PENDING:
        return own or "will be entered"
    return f"{step.state}: {own}" if own else step.state.value


def _answers(step: PlannedStep) -> list[str]:
    asked = [("when", step.when), ("check", step.check)]
    return [answer(question, given) for question, given in asked if given is not None]


def _own_reason(step: PlannedStep) -> str:
    """The step's reason, unless one of its answers says the same."""
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
