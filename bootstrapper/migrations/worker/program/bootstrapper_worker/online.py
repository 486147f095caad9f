"""The commands that work in the database, behind the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alembic import command

from bootstrapper_worker.alembic_hooks import Guard
from bootstrapper_worker.channel import Events
from bootstrapper_worker.configuration import configuration, other_address
from bootstrapper_worker.failure_facts import attempt


def upgrade(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Upgrades the database to the targets; returns what failed, None on success."""

    def work(guard: Guard) -> None:
        for target in request["targets"]:
            command.upgrade(configuration(request), target)
            guard.committed()

    return guarded(request, events, work)


def downgrade(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Reverts revisions, down to the target."""

    def work(guard: Guard) -> None:
        command.downgrade(configuration(request), request["targets"][0])
        guard.committed()

    return guarded(request, events, work)


def revision(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Writes a new revision file and reports its path."""

    def work(guard: Guard) -> None:
        made = command.revision(configuration(request), **request["arguments"])
        for script in made if isinstance(made, list) else [made]:
            if script is not None:
                events.send("written", revision=script.revision, file=str(script.path))

    return guarded(request, events, work)


def guarded(request: dict[str, Any], events: Events, work: Callable[[Guard], None]) -> dict[str, Any] | None:
    """Returns what failed; a refusal of the guard counts, whatever env.py made of that exception.

    An engine that does not support the driver fails before it connects: the work is repeated with a driver for the
    other kind of engine.
    """
    guard = Guard(request, events)
    guard.install()
    failure = attempt(lambda: work(guard))
    if failure is not None and _has_wrong_driver(failure, guard):
        other = other_address(request)
        if other is not None:
            events.send("driver", reason=failure["reason"], driver=other["name"])
            request["addresses"] = [other]
            failure = attempt(lambda: work(guard))
    if guard.fence.failure is not None or failure is None:
        return guard.fence.failure
    kind = "driver" if _has_wrong_driver(failure, guard) else failure["kind"]
    return {"revision": guard.revision, **failure, "kind": kind}


def _has_wrong_driver(failure: dict[str, Any], guard: Guard) -> bool:
    return bool(failure["is_of_driver"]) and not guard.fence.is_connected
