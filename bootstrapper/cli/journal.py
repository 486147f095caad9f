"""Records a run from its events, for its summary and for `--report`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TextIO

from bootstrapper.config.units import show_seconds
from bootstrapper.errors import ExitCode
from bootstrapper.events import (
    Event,
    RunFinished,
    RunStarted,
    ScopeEntered,
    StepApplied,
    StepFailed,
    StepUnchanged,
    Warned,
)
from bootstrapper.masking import Masker
from bootstrapper.plans import JSONValue, Plan, State
from bootstrapper.text import counted


@dataclass
class Journal:
    """The record of one run, filled by its events.

    Attributes:
        run_id: Of the latest lock that was acquired; also set if the run failed.
        error: The error that ended the run, as in the JSON error line.
    """

    command: str
    started: RunStarted | None = None
    finished: RunFinished | None = None
    steps: list[StepApplied | StepUnchanged | StepFailed] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    plan: Plan | None = None
    run_id: str | None = None
    error: dict[str, JSONValue] | None = None

    def keep(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.started = event
            case RunFinished():
                self.finished = event
            case ScopeEntered(run_id=str(run_id)):
                self.run_id = run_id
            case StepApplied() | StepUnchanged() | StepFailed():
                self.steps.append(event)
            case Warned():
                self.warnings.append(event)

    def summary(self, seconds: float) -> str:
        """Returns `done: 3 steps applied, 1 unchanged, in 2.1 s`."""
        applied = sum(isinstance(event, StepApplied) for event in self.steps)
        quiet = [event for event in self.steps if isinstance(event, StepUnchanged)]
        skipped = sum(event.result.state is State.SKIPPED for event in quiet)
        parts = [f"{counted(applied, 'step')} applied"]
        parts += [f"{len(quiet) - skipped} unchanged"] if len(quiet) > skipped else []
        parts += [f"{skipped} not needed"] if skipped else []
        return f"done: {', '.join(parts)}, in {show_seconds(seconds)}"

    def write(self, file: TextIO, exit_code: ExitCode, masker: Masker) -> None:
        file.write(masker.mask(json.dumps(self._report(exit_code), ensure_ascii=True, indent=2)) + "\n")

    def _report(self, exit_code: ExitCode) -> dict[str, JSONValue]:
        started, finished = self.started, self.finished
        return {
            "command": self.command,
            "exit_code": int(exit_code),
            "server": started.server if started else None,
            "database": started.database if started else None,
            "environment": started.environment if started else None,
            "run_id": self.run_id,
            "outcome": finished.outcome if finished else None,
            "seconds": round(finished.seconds, 3) if finished else None,
            "steps": [_result(event) for event in self.steps],
            "warnings": [event.message for event in self.warnings],
            "plan": json.loads(self.plan.to_json()) if self.plan else None,
            "error": self.error,
        }


def _result(event: StepApplied | StepUnchanged | StepFailed) -> dict[str, JSONValue]:
    if isinstance(event, StepUnchanged):
        skipped = event.result.state is State.SKIPPED
        return {"name": event.step, "result": "skipped" if skipped else "unchanged", "seconds": None}
    result = "failed" if isinstance(event, StepFailed) else "applied"
    return {"name": event.step, "result": result, "seconds": round(event.seconds, 3)}
