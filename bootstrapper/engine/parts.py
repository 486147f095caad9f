"""The parts of a step that commits in parts: each is asked for once the one before it is committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from bootstrapper.plans import Change, Deferred
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Parted
from bootstrapper.postgres.connection.settings import lent
from bootstrapper.postgres.lock.hold import Hold

Part = Sequence[Change | Deferred]


def parts_of(step: Step, context: RunContext, hold: Hold, items: Part) -> Iterator[Part] | None:
    """Returns the parts, which are read from the step as they are taken; None for a step that wants one transaction."""
    if not isinstance(step, Parted):
        return None
    with _looking(step, hold):
        parts = step.parts(Context(context), items)
    return _each(step, hold, iter(parts)) if parts is not None else None


def _each(step: Step, hold: Hold, parts: Iterator[Part]) -> Iterator[Part]:
    while True:
        with _looking(step, hold):
            part = next(parts, None)
        if part is None:
            return
        yield part


@contextmanager
def _looking(step: Step, hold: Hold) -> Iterator[None]:
    with hold.read_only() as connection, lent(connection) if step.borrows_session else nullcontext():
        yield
