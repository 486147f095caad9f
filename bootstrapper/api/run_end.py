"""The last event of a run: how it ended, and which error ended it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from bootstrapper.engine.masked_errors import told
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import RunFinished
from bootstrapper.plans import PlannedStep


@dataclass
class End:
    """The end of a run that goes well.

    Attributes:
        request: The request of the run, whose events plugins observe.
        applied: The steps that made changes until now.
    """

    request: Request
    outcome: str = "done"
    applied: Sequence[PlannedStep] = ()
    started: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        return monotonic() - self.started


@contextmanager
def run_end(request: Request) -> Iterator[End]:
    """Emits RunFinished after the block, which says how it ended; an error that it raises says that itself."""
    end = End(request.observed())
    kind = reason = None
    try:
        yield end
    except BaseException as error:
        is_signal = isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", 0) >= 130
        end.outcome = "interrupted" if is_signal else "failed"
        kind = type(error).__name__
        reason = told(error, request.masker) if isinstance(error, BootstrapperError) else None
        raise
    finally:
        end.request.tell(RunFinished(end.outcome, end.seconds, len(end.applied), kind, reason))
