"""Events of a run that looks several times."""

from __future__ import annotations

from bootstrapper.events import AttemptFailed, Emit, Event, GateOpened, RunStarted


def once(emit: Emit) -> Emit:
    """Passes events on from a run that looks several times: only the first start, and each gate's first opening.

    A gate that was closed meanwhile is announced again.
    """
    opened: set[str] = set()
    begun = False

    def pass_on(event: Event) -> None:
        nonlocal begun
        if isinstance(event, AttemptFailed):
            opened.discard(event.step)
        elif isinstance(event, GateOpened):
            if event.step in opened:
                return
            opened.add(event.step)
        elif isinstance(event, RunStarted):
            if begun:
                return
            begun = True
        emit(event)

    return pass_on
