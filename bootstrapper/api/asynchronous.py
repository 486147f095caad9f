"""The functions of the package for asyncio: each runs in a thread of its own, so that the event loop is never blocked.

Cancelling one, as `asyncio.timeout` does, stops the run: the statement at work is cancelled, the open transaction is
rolled back and the lock released, before CancelledError goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from bootstrapper.deadline import Stop

if TYPE_CHECKING:  # loaded in the thread, since the engine takes a while
    from bootstrapper.api.arguments import File, OnEvent
    from bootstrapper.api.inspection import Status
    from bootstrapper.api.outcomes import Followed, Outcome
    from bootstrapper.events import Event
    from bootstrapper.plans import Plan

T = TypeVar("T")


class Options(TypedDict, total=False):
    """What all have in common, as in `functions`; `on_event` is called in the thread of the loop."""

    environment: str | None
    variables: Mapping[str, str] | None
    timeout: float | None
    on_event: OnEvent | None
    stop: Stop | None


class Selection(Options, total=False):
    steps: Collection[str]
    skip: Collection[str]


class PlanOptions(Selection, total=False):
    sql: bool
    allow: Collection[str]


class ApplyOptions(Selection, total=False):
    force: bool
    confirm: str | None
    allow: Collection[str]
    saved_plan: File | None
    startup: bool


class StatusOptions(Options, total=False):
    health: bool


class FollowOptions(Selection, total=False):
    once: bool
    startup: bool


async def aplan(file: File | None = None, **options: Unpack[PlanOptions]) -> Plan:
    """Does what `plan` does, without blocking the event loop."""
    planned: Plan = await _call("plan", file, options)
    return planned


async def aapply(file: File | None = None, **options: Unpack[ApplyOptions]) -> Outcome:
    """Does what `apply` does, without blocking the event loop."""
    outcome: Outcome = await _call("apply", file, options)
    return outcome


async def afollow(file: File | None = None, **options: Unpack[FollowOptions]) -> Followed:
    """Does what `follow` does, without blocking the event loop."""
    followed: Followed = await _call("follow", file, options)
    return followed


async def astatus(file: File | None = None, **options: Unpack[StatusOptions]) -> Status:
    """Does what `status` does, without blocking the event loop."""
    found: Status = await _call("status", file, options)
    return found


async def _call(name: str, file: File | None, options: Options) -> Any:
    stop, given = Stop(), options.get("stop")
    on_event = _in_loop(asyncio.get_running_loop(), options.get("on_event"))

    def call() -> object:
        function = getattr(import_module("bootstrapper.api.functions"), name)
        return function(file, **{**options, "stop": stop, "on_event": on_event})

    with given.calling(lambda: stop.set(given.reason)) if given is not None else nullcontext():
        return await in_thread(call, stop)


async def in_thread(call: Callable[[], T], stop: Stop) -> T:
    """Returns what the call returns in a thread; sets the stop when cancelled, and waits for the call's end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    thread = threading.Thread(target=_settle, args=(loop, future, call), name="bootstrapper", daemon=True)
    thread.start()
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set("a cancellation")
        await _ended(future)
        raise


async def _ended(future: asyncio.Future[Any]) -> None:
    """Returns when the call has ended, however often the wait is cancelled: nothing of the run outlives its task."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    future.exception()  # it was retrieved


def _settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], call: Callable[[], T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - the waiting task raises it
        _tell(loop, partial(future.set_exception, error))
    else:
        _tell(loop, partial(future.set_result, result))


def _tell(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:  # the loop was closed meanwhile, so no task waits for it
        return


def _in_loop(loop: asyncio.AbstractEventLoop, on_event: OnEvent | None) -> OnEvent | None:
    if on_event is None:
        return None

    def hand_over(event: Event) -> None:
        _tell(loop, partial(on_event, event))

    return hand_over
