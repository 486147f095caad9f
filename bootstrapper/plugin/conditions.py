"""Checks joined by all, any and not, in three-valued logic: unknown is not no. Read from `when` and `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bootstrapper.config.document import Document, Place
from bootstrapper.config.sensitive import hidden
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import Problem
from bootstrapper.plans import Answer, Verdict
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.project import Project
from bootstrapper.text import did_you_mean

Ask = Callable[[Check], Answer]


@dataclass(frozen=True)
class Leaf:
    """One check; `text` is how the file wrote it."""

    check: Check
    text: str

    def evaluate(self, ask: Ask) -> Answer:
        return ask(self.check)

    def checks(self) -> Iterator[Check]:
        yield self.check

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class All:
    parts: tuple[Condition, ...]

    def evaluate(self, ask: Ask) -> Answer:
        """Answers no as soon as one part says no; later parts are not asked then."""
        return _combine(self.parts, ask, decisive=Verdict.NO, otherwise=Verdict.YES)

    def checks(self) -> Iterator[Check]:
        for part in self.parts:
            yield from part.checks()

    def __str__(self) -> str:
        return f"all of [{', '.join(map(str, self.parts))}]"


@dataclass(frozen=True)
class AnyOf:
    parts: tuple[Condition, ...]

    def evaluate(self, ask: Ask) -> Answer:
        """Answers yes as soon as one part says yes; later parts are not asked then."""
        return _combine(self.parts, ask, decisive=Verdict.YES, otherwise=Verdict.NO)

    def checks(self) -> Iterator[Check]:
        for part in self.parts:
            yield from part.checks()

    def __str__(self) -> str:
        return f"any of [{', '.join(map(str, self.parts))}]"


@dataclass(frozen=True)
class Not:
    part: Condition

    def evaluate(self, ask: Ask) -> Answer:
        answer = self.part.evaluate(ask)
        if answer.is_unknown:
            return answer
        return Answer(Verdict.NO if answer.is_yes else Verdict.YES, answer.reason)

    def checks(self) -> Iterator[Check]:
        yield from self.part.checks()

    def __str__(self) -> str:
        return f"not ({self.part})"


Condition = Leaf | All | AnyOf | Not


def _combine(parts: tuple[Condition, ...], ask: Ask, *, decisive: Verdict, otherwise: Verdict) -> Answer:
    answers = []
    for part in parts:
        answer = part.evaluate(ask)
        if answer.verdict is decisive:
            return answer
        answers.append(answer)
    unknown = next((answer for answer in answers if answer.is_unknown), None)
    if unknown is not None:
        return unknown
    return Answer(otherwise, "; ".join(answer.reason for answer in answers if answer.reason))


Validate = Callable[[Place, Any, object], Any]
"""Validates what stands at a place against a type; None, with a problem noted, if it is invalid."""


@dataclass(frozen=True)
class ConditionReader:
    """Reads the conditions of one step; notes every problem with its place instead of raising."""

    document: Document
    kinds: Mapping[str, type[Check]]
    problems: list[Problem]
    validate: Validate
    project: Project
    step: str
    in_when: bool
    is_incomplete: bool = False
    """Whether plugins are missing, so that an unknown check may be right."""

    def read(self, place: Place, raw: object) -> Condition | None:
        """Reads a one-key mapping, a bare key, or a list that means `all`; None if it is invalid or absent."""
        match raw:
            case None:
                return None
            case str():
                return self._leaf(place, raw, None)
            case list():
                return self._joined(All, place, raw)
            case dict() if len(raw) == 1:
                key, argument = next(iter(raw.items()))
                return self._keyed((*place, key), key, argument)
            case _:
                self._note(place, "a check is a mapping with one key, or a list of checks", "Join several with all:.")
                return None

    def _keyed(self, place: Place, key: str, argument: object) -> Condition | None:
        if key in ("all", "any"):
            return self._joined(All if key == "all" else AnyOf, place, argument)
        if key == "not":
            part = self._part(place, argument)
            return Not(part) if part is not None else None
        return self._leaf(place, key, argument)

    def _joined(self, kind: type[All | AnyOf], place: Place, raw: object) -> Condition | None:
        if not isinstance(raw, list) or not raw:
            self._note(place, "needs a list of checks")
            return None
        parts = [self._part((*place, position), item) for position, item in enumerate(raw)]
        return kind(tuple(part for part in parts if part is not None))

    def _part(self, place: Place, raw: object) -> Condition | None:
        """Reads a part of another condition, where nothing may be left out: a missing check would answer yes."""
        if raw is None:
            self._note(place, "a check is missing here")
        return self.read(place, raw)

    def _leaf(self, place: Place, key: str, argument: object) -> Condition | None:
        kind = self.kinds.get(key)
        if kind is None and self.is_incomplete:
            return None
        if kind is None:
            known = [*self.kinds, "all", "any", "not"]
            self._note(place, f"unknown check {key!r}", did_you_mean(key, known))
            return None
        if kind.only_in_when and not self.in_when:
            self._note(place, f"{key} is only possible under `when`")
            return None
        before = len(self.problems)
        validated = self.validate(place, kind.argument_type, argument)
        if len(self.problems) > before:
            return None
        check = kind(validated, self.project, self.step, self.document.source(place))
        return Leaf(check, key if argument is None else f"{key}: {_shown(argument)}")

    def _note(self, place: Place, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(message, self.document.source(place), hint))


def _shown(argument: object) -> str:
    if isinstance(argument, dict):
        return "{" + ", ".join(f"{key}: {_shown(value)}" for key, value in argument.items()) + "}"
    if isinstance(argument, list):
        return "[" + ", ".join(map(_shown, argument)) + "]"
    return hidden(str(argument))
