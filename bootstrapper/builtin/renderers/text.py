"""A plan for a person at a terminal, read from top to bottom."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from bootstrapper.builtin.renderers import wording
from bootstrapper.dataclass import dataclass
from bootstrapper.plans import Change, Deferred, Plan, PlannedStep
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.text import not_set, one_line, with_reason

if TYPE_CHECKING:
    from bootstrapper.api.outcomes import Outcome

_STEP = " " * 4
_CHANGE = " " * 8


class TextRenderer(Renderer):
    format = "text"

    def plan(self, plan: Plan) -> str:
        width = max((len(wording.step_name(step)) for step in plan.steps), default=0)
        steps = [line for step in plan.steps for line in _Lines(self.width, self.is_full).step(step, width)]
        refusal = wording.refusal(plan)
        end = [wording.totals(plan), *([refusal] if refusal else [])]
        return "\n".join([wording.title(plan), wording.where(plan), "", *steps, "", *end])

    def outcome(self, outcome: Outcome) -> str:
        return self.plan(outcome.plan)


@dataclass(frozen=True)
class _Lines:
    width: int
    is_full: bool

    def step(self, step: PlannedStep, width: int) -> Iterator[str]:
        head = f"{wording.glyph(step)} {wording.step_name(step):<{width}}  {wording.headline(step)}"
        yield from self._wrapped(head, "", hang=width + 4)
        for reason in wording.reasons(step):
            yield from self._wrapped(reason, _STEP)
        for group in wording.groups(step, is_full=self.is_full):
            if group.title:
                yield from self._wrapped(group.title, _STEP)
            for change in group.listed:
                yield from self._change(change)
            if group.rest:
                yield from self._wrapped(group.rest, _STEP)
        for deferred in step.deferred:
            yield from self._deferred(deferred)
        for line in wording.locks(step):
            yield from self._wrapped(line, _STEP, hang=2)
        notes = [(wording.hazard(hazard), wording.remedy(hazard)) for hazard in step.hazards]
        notes += [(wording.finding(finding), finding.remedy) for finding in step.findings]
        for (line, remedy), following in zip_longest(notes, notes[1:], fillvalue=("", "")):
            yield from self._note(line, "" if following[1] == remedy else remedy)

    def _change(self, change: Change) -> Iterator[str]:
        head = f"{change.action.glyph} {one_line(change.target)}"
        yield from self._wrapped(with_reason(head, change.reason), _STEP, hang=2)
        for line in wording.columns(change):
            yield _CHANGE + line  # never wrapped: the source of a secret or a long value stays in one piece
        yield from ((_CHANGE + line).rstrip() for line in wording.sql_lines(change))
        if change.unset:
            yield from self._wrapped(not_set(change.unset), _CHANGE)

    def _deferred(self, deferred: Deferred) -> Iterator[str]:
        yield from self._wrapped(wording.deferred_head(deferred), _STEP, hang=2)
        if not deferred.after:
            yield _CHANGE + wording.bounds(deferred)
        yield from (_CHANGE + line for line in wording.targets(deferred))
        if deferred.unset:
            yield from self._wrapped(not_set(deferred.unset), _CHANGE)

    def _note(self, line: str, remedy: str) -> Iterator[str]:
        """Yields a hazard or a finding; a remedy that several have is given once, with the last of them."""
        yield from self._wrapped(line, _STEP, hang=2)
        if remedy:
            yield _CHANGE + one_line(remedy)  # in one piece, to be copied

    def _wrapped(self, text: str, indent: str, hang: int = 0) -> list[str]:
        """Returns lines within the width as far as words allow; a word is never cut."""
        return textwrap.wrap(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=indent + " " * hang,
            break_long_words=False,
            break_on_hyphens=False,
        )
