"""Checks joined by all, any and not, in three-valued logic: unknown is not no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bootstrapper.plans import Answer, Verdict
from bootstrapper.plugin.step import Check

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
        """No as soon as one part says no: later parts are not asked then."""
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
        """Yes as soon as one part says yes: later parts are not asked then."""
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
