"""The quick look in the process of an application: before the engine is loaded, which takes ten times as long."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial

from bootstrapper import __version__
from bootstrapper.api.outcomes import Followed, Outcome
from bootstrapper.engine.request import Request
from bootstrapper.events import GateOpened, RunFinished, RunStarted
from bootstrapper.plans import Answer, DatabaseIdentity, Plan, PlannedStep, State, Verdict
from bootstrapper.quick import crowd
from bootstrapper.quick.answer import OFF_VARIABLE, place_of
from bootstrapper.quick.command_line import RUN
from bootstrapper.quick.look import Found


def apply(request: Request) -> Outcome | None:
    """Returns the outcome of a run with nothing to do; None if there is to be an ordinary run."""
    started = time.monotonic()
    found = _look(request)
    if found is None:
        return None
    try:
        plan = _plan(found)
    except (KeyError, TypeError, ValueError, AttributeError):  # not what a run recorded
        return None
    _tell_start(request, found)
    seconds = time.monotonic() - started
    request.tell(RunFinished("unchanged", seconds, 0))
    return Outcome(plan, (), None, seconds, embedded=found.is_embedded)


def has_nothing_to_tell(request: Request) -> bool:
    """Returns whether nothing is to do, and a plan has nothing to say besides, as of a freeze; False if unknown."""
    return _look(request, "plan") is not None


def follow(request: Request, command: str) -> Followed | None:
    """Returns that the state is reached; None if an ordinary run is to wait for it."""
    started = time.monotonic()
    found = _look(request)
    if found is None:
        return None
    _tell_start(request, found, command)
    return Followed(is_reached=True, seconds=time.monotonic() - started)


def _look(request: Request, command: str = RUN) -> Found | None:
    asked = (request.steps, request.skip, request.types, request.force, request.confirmed, request.allow, request.saved)
    is_elsewhere = request.url is not None or request.database is not None
    if any(asked) or is_elsewhere or request.variables.get(OFF_VARIABLE) == "off" or _is_stopped(request):
        return None
    is_over = partial(_is_stopped, request)
    try:
        place = crowd.Place(is_over=is_over)
        with place if request.queues else nullcontext(place) as turn:
            from bootstrapper.quick import declared, look  # noqa: PLC0415 - in turn, as they take their time

            file = declared.read(os.fspath(request.file), request.environment, request.variables, __version__)
            limit = request.timeout_seconds or look.LONGEST_SECONDS
            return look.look(file, request.variables, turn.tell, command, longest_seconds=limit, is_over=is_over)
    except Exception:  # noqa: BLE001 - whatever is wrong, an ordinary run says it
        return None


def _plan(found: Found) -> Plan:
    """Returns the recorded plan; `Plan.from_data` would load the models that check plans of others."""
    data = found.record.plan
    steps = tuple(
        PlannedStep(
            each["name"],
            each["uses"],
            State(each["state"]),
            each["reason"],
            when=_answer(each["when"]),
            check=_answer(each["check"]),
        )
        for each in data["steps"]
    )
    database = DatabaseIdentity(**{**data["database"], "server": place_of(found)[0]})
    return Plan(data["name"], data["environment"], data["inputs"], database, None, steps, version=__version__)


def _answer(data: Mapping[str, str] | None) -> Answer | None:
    return None if data is None else Answer(Verdict(data["verdict"]), data["reason"])


def _is_stopped(request: Request) -> bool:
    return request.stop is not None and request.stop.is_set


def _tell_start(request: Request, found: Found, command: str = "apply") -> None:
    server, database = place_of(found)
    request.tell(RunStarted(command, server, database, request.environment))
    for gate, detail in found.record.gates:
        request.tell(GateOpened(gate, found.seconds, detail))
