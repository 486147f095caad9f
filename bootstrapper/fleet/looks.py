"""What a worker finds out about one target without changing it: its plan, or how it stands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from bootstrapper.api import quick_start
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.request import Request
from bootstrapper.errors import ExitCode
from bootstrapper.fleet.work import Result, Task, guarded
from bootstrapper.text import listed, one_line

if TYPE_CHECKING:  # loads the engine
    from bootstrapper.api.inspection import Status
    from bootstrapper.plans import Plan

NOTHING = ""
"""The digest of a plan with nothing to do."""

_ALIKE = ("action", "target", "before", "after", "count", "digest", "may", "at_most", "needs", "name")


@dataclass(frozen=True)
class Look(Result):
    """What was found of one target.

    Attributes:
        state: For `plan`, the digest of what would be done, the same for targets that differ in their variables alone;
            for `status`, how the target stands.
        detail: For `plan`, the plan as JSON; for `status`, why it stands so.
        saved: The saved plan as text, if it was asked for.
    """

    state: str = NOTHING
    detail: str = ""
    saved: str | None = None


def plan_one(task: Task) -> Result:
    """Plans one target; never raises, and writes nothing."""
    return guarded(task, partial(_planned, is_to_be_saved=False))


def save_one(task: Task) -> Result:
    """Does the same for a plan that is to be saved, also if there is nothing to do."""
    return guarded(task, partial(_planned, is_to_be_saved=True))


def status_one(task: Task) -> Result:
    """Looks how one target stands; never raises, and writes nothing."""
    return guarded(task, _looked)


def _planned(task: Task, asked: Request, started: float, *, is_to_be_saved: bool) -> Result:
    if not is_to_be_saved and _is_done(asked):
        return Look(task.target, "unchanged", 0, time.monotonic() - started)
    from bootstrapper.api import run  # noqa: PLC0415 - the engine is loaded only where a quick look fails
    from bootstrapper.plans.saved import SavedPlan  # noqa: PLC0415 - as above

    plan = run.plan(asked, is_to_be_saved=is_to_be_saved)
    saved = SavedPlan.of(plan, asked.plan_key).to_json() if is_to_be_saved else None
    state = _digest(plan, task.variables)
    detail = json.dumps(plan.to_data())
    return Look(task.target, "unchanged", 0, time.monotonic() - started, state=state, detail=detail, saved=saved)


def _looked(task: Task, asked: Request, started: float) -> Result:
    if quick_start.has_nothing_to_tell(asked):
        return Look(task.target, "unchanged", 0, time.monotonic() - started, state="head")
    from bootstrapper.api import inspection  # noqa: PLC0415 - the engine is loaded only where a quick look fails

    state, detail = _standing(inspection.status(asked))
    detail = asked.masker.mask(detail)
    return Look(task.target, "unchanged", 0, time.monotonic() - started, state=state, detail=detail)


def _is_done(asked: Request) -> bool:
    """Returns whether a quick look finds nothing to do; the options of a run with nothing to do do not matter to it."""
    return quick_start.apply(replace(asked, allow=())) is not None


def _digest(plan: Plan, variables: Mapping[str, str]) -> str:
    """Returns a digest of what the plan does, in which values of the target stand as its variables."""
    if not plan.pending:
        return NOTHING
    names = {value: name for name, value in sorted(variables.items(), reverse=True) if value}
    longest = sorted(names, key=len, reverse=True)
    values = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)")

    def alike(raw: Any) -> Any:
        if isinstance(raw, str):
            return values.sub(lambda match: f"${{{names[match[0]]}}}", raw)
        if isinstance(raw, list | tuple):
            return [alike(item) for item in raw]
        return {key: alike(item) for key, item in raw.items()} if isinstance(raw, dict) else raw

    steps = [
        [
            step["name"],
            step["state"],
            *([_part(item) for item in step[key]] for key in ("changes", "deferred", "hazards")),
        ]
        for step in plan.to_data()["steps"]
    ]
    return sha256(json.dumps(alike(steps), sort_keys=True).encode()).hexdigest()


def _part(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is done, without the words for it."""
    return {key: item[key] for key in _ALIKE if key in item}


def _standing(found: Status) -> tuple[str, str]:
    """Returns the state of a target, and why it is in it; and that it is frozen, which no state hides."""
    state, why = _state_and_reason(found)
    frozen = "" if found.freeze is None else f"frozen: {one_line(str(found.freeze))}"
    return state, "; ".join(filter(None, (why, frozen)))


def _state_and_reason(found: Status) -> tuple[str, str]:
    last, pending = found.last_run, [step.name for step in found.plan.pending]
    if last is not None and last.outcome == "failed" and (pending or found.errors):
        return "failed", one_line((last.error or "the last run failed").partition("\n")[0])
    if found.errors:
        return "unknown", one_line(found.errors[0].headline)
    behind = [one_line(each.step) for each in found.revisions if each.heads and not each.is_at_head]
    drifted = [each.name for each in found.fixtures if each.state == "drifted"]
    if pending and last is not None and drifted and not behind:
        return "drifted", f"fixtures {listed(map(one_line, drifted))}"
    if pending:
        return "behind", f"changes pending in {listed(map(one_line, pending))}"
    return "head", ""


def state_of(result: Result) -> str:
    """Returns the state of a target for `status`, also of one that could not be looked at."""
    if isinstance(result, Look):
        return result.state
    return {int(ExitCode.UNREACHABLE): "unreachable", int(ExitCode.AHEAD): "ahead"}.get(result.exit_code, "unknown")
