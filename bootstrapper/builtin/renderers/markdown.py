"""A plan for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bootstrapper.builtin.renderers import wording
from bootstrapper.plans import Change, Deferred, Plan, PlannedStep
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.text import not_set, one_line, with_reason

if TYPE_CHECKING:
    from bootstrapper.api.outcomes import Outcome

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@&])")
_BACKTICKS = re.compile(r"`+")


class MarkdownRenderer(Renderer):
    format = "markdown"

    def plan(self, plan: Plan) -> str:
        head = [f"### {_escaped(wording.title(plan))}", "", _escaped(wording.where(plan)), ""]
        table = ["| | step | state | why |", "|---|---|---|---|", *map(_row, plan.steps)]
        shown = [step for step in plan.steps if step.has_changes or step.findings]
        details = [line for step in shown for line in _details(step, is_full=self.is_full)]
        refusal = wording.refusal(plan)
        end = [f"**{wording.totals(plan)}**", *(["", _escaped(refusal)] if refusal else [])]
        return "\n".join([*head, *table, "", *details, *end])

    def outcome(self, outcome: Outcome) -> str:
        return self.plan(outcome.plan)


def _row(step: PlannedStep) -> str:
    why = "<br>".join(_escaped(reason) for reason in wording.reasons(step))
    name, headline = _escaped(wording.step_name(step)), _escaped(wording.headline(step))
    return f"| `{wording.glyph(step)}` | {name} | {headline} | {why} |"


def _details(step: PlannedStep, *, is_full: bool) -> Iterator[str]:
    """Yields the changes as a block of the `diff` language, which colours additions and deletions."""
    lines = [line for group in wording.groups(step, is_full=is_full) for line in _group(group)]
    lines += [line for deferred in step.deferred for line in _deferred(deferred)]
    lines += [f"# {line}" for line in wording.locks(step)]
    lines += [line for hazard in step.hazards for line in _noted(wording.hazard(hazard), wording.remedy(hazard))]
    lines += [line for finding in step.findings for line in _noted(wording.finding(finding), finding.remedy)]
    fence = "`" * max(3, 1 + max((len(run) for line in lines for run in _BACKTICKS.findall(line)), default=0))
    yield from (f"#### {_escaped(wording.step_name(step))}", "", f"{fence}diff", *lines, fence, "")


def _group(group: wording.Group) -> Iterator[str]:
    if group.title:
        yield f"# {group.title}"
    for change in group.listed:
        yield from _change(change)
    if group.rest:
        yield f"# {group.rest}"


def _change(change: Change) -> Iterator[str]:
    head = f"{change.action.glyph} {one_line(change.target)}"
    yield with_reason(head, change.reason)
    yield from (f"    {line}".rstrip() for line in (*wording.columns(change), *wording.sql_lines(change)))
    if change.unset:
        yield f"    {not_set(change.unset)}"


def _deferred(deferred: Deferred) -> Iterator[str]:
    yield wording.deferred_head(deferred)
    if not deferred.after:
        yield f"    {wording.bounds(deferred)}"
    yield from (f"    {line}" for line in wording.targets(deferred))
    if deferred.unset:
        yield f"    {not_set(deferred.unset)}"


def _noted(line: str, remedy: str) -> Iterator[str]:
    yield line
    if remedy:
        yield f"    {one_line(remedy)}"


def _escaped(text: str) -> str:
    """Returns the text with markup, mentions and links escaped."""
    return _SPECIAL.sub(r"\\\1", text)
