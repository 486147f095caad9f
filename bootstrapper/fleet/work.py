"""What a worker does for one target: the ordinary engine, in the worker's own process and environment.

A worker may be another process or another machine: what goes to it and comes back is plain data.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Literal

from bootstrapper.api.arguments import request_of
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.masked_errors import told
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError, ExitCode
from bootstrapper.fleet.checkout import Checkout
from bootstrapper.masking import Masker
from bootstrapper.text import one_line

Outcome = Literal["done", "unchanged", "failed"]


@dataclass(frozen=True)
class Task:
    """One target, and what is asked for it.

    Attributes:
        variables: Those of the target, under the names that the file has for them.
        saved: A saved plan of the target as text, which is applied exactly.
        checkout: What a run reads, as the coordinator has it; None if that does not matter.
        lease: The name of a limit that is shared with other coordinators, and how many targets it lets run at a time.
    """

    file: str
    environment: str | None
    target: str
    variables: dict[str, str] = field(repr=False)
    allow: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    saved: str | None = None
    checkout: Checkout | None = None
    lease: tuple[str, int] | None = None

    def request(self) -> Request:
        """Returns the request of an ordinary run, with the variables of this process and the target.

        Raises FleetError if this process does not read what the coordinator does, as with an older deployment.
        """
        if self.checkout is not None:
            self.checkout.require_here(self.variables)
        asked = request_of(self.file, self.environment, None, self.timeout_seconds, allow=self.allow)
        return replace(asked, variables={**asked.variables, **self.variables}, queues=False)


@dataclass(frozen=True)
class Result:
    """How one target ended.

    Attributes:
        exit_code: That of the same work as a command of its own.
        run_id: Of the run in the ledger of the target; None if nothing was written.
        steps: How many steps changed something.
        message: What went wrong, without secrets.
    """

    target: str
    outcome: Outcome
    exit_code: int
    seconds: float
    run_id: str | None = None
    steps: int = 0
    message: str | None = None

    @property
    def headline(self) -> str:
        """The first line of the message, with the next one if that is what the first announces."""
        first, _, left = (self.message or "").partition("\n")
        return f"{first} {left.splitlines()[0].strip()}" if first.endswith(":") and left else first

    @property
    def is_retryable(self) -> bool:
        return self.exit_code in (ExitCode.UNREACHABLE, ExitCode.LOCKED)


def look_at(tasks: Sequence[Task]) -> list[Result | None]:
    """Returns the results of the targets where a quick look finds nothing to do, None for the others; never raises."""
    from bootstrapper.api import quick_start  # noqa: PLC0415 - as below

    results: list[Result | None] = []
    for task in tasks:
        started = time.monotonic()
        try:
            is_done = quick_start.apply(task.request()) is not None
        except Exception:  # noqa: BLE001 - the work says what is wrong
            is_done = False
        seconds = time.monotonic() - started
        results.append(Result(task.target, "unchanged", 0, seconds) if is_done else None)
    return results


def apply_one(task: Task) -> Result:
    """Brings one target to the declared state; never raises."""
    return guarded(task, _apply)


def _apply(task: Task, asked: Request, started: float) -> Result:
    from bootstrapper.api import quick_start  # noqa: PLC0415 - the engine is loaded only where a quick look fails

    outcome = None if task.saved is not None else quick_start.apply(asked)
    if outcome is None:
        from bootstrapper.api import run  # noqa: PLC0415 - as above

        outcome = run.apply(asked if task.saved is None else _bound(asked, task.saved))
    run_id = None if outcome.run_id is None else str(outcome.run_id)
    steps = len(outcome.applied)
    return Result(task.target, "done" if steps else "unchanged", 0, time.monotonic() - started, run_id, steps)


def _bound(asked: Request, text: str) -> Request:
    """Returns the request to apply a saved plan."""
    from bootstrapper.plans.saved import SavedPlan  # noqa: PLC0415 - few runs read a plan

    saved = SavedPlan.from_json(text)
    return replace(asked, saved=saved, steps=saved.plan.selection.steps, skip=saved.plan.selection.skip)


def guarded(task: Task, work: Callable[[Task, Request, float], Result]) -> Result:
    """Returns the result of work for a target; whatever it raises is the failure of that target alone.

    Args:
        work: Takes the task, its request, and when it began.
    """
    started, masker = time.monotonic(), Masker()
    try:
        asked = task.request()
        masker = asked.masker
        return work(task, asked, started)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the coordinator decides what it means
        return failed(task, masker, error, started)


def failed(task: Task, masker: Masker, error: BaseException, started: float) -> Result:
    """Returns the result of a target that raised; a bug is told with the place where it was raised."""
    code = error.exit_code if isinstance(error, BootstrapperError) else ExitCode.BUG
    said = told(error, masker).replace(f"{Path(task.file).parent}{os.sep}", "")  # as a command beside the file says it
    if isinstance(error, BootstrapperError):
        said += f"\nhint: {masker.mask(error.hint)} [{error.code}]" if error.hint else f" [{error.code}]"
    else:
        said = f"{type(error).__name__}: {said}{_place(error)}"
    return Result(task.target, "failed", int(code), time.monotonic() - started, message=said)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return one_line(f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})") if trace else ""
