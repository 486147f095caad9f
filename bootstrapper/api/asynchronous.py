"""The functions of the package for asyncio: each runs in a thread of its own, so that the event loop is never blocked.

Cancelling one, as `asyncio.timeout` does, stops the run: the statement at work is cancelled, the open transaction is
rolled back and the lock released, before CancelledError goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

from bootstrapper.api import functions
from bootstrapper.api.functions import OnEvent
from bootstrapper.deadline import Stop
from bootstrapper.events import Event

P = ParamSpec("P")
T = TypeVar("T")


def _asynchronous(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Returns the function for asyncio, with the same arguments; `on_event` is called in the loop's thread."""

    @wraps(function)
    async def call(*arguments: P.args, **options: P.kwargs) -> T:
        given = cast("dict[str, Any]", options)
        stop: Stop = given.get("stop") or Stop()
        on_event = _in_loop(asyncio.get_running_loop(), given.get("on_event"))
        return await in_thread(lambda: function(*arguments, **{**given, "stop": stop, "on_event": on_event}), stop)

    call.__name__ = call.__qualname__ = f"a{function.__name__}"
    return call


aplan = _asynchronous(functions.plan)
aapply = _asynchronous(functions.apply)
afollow = _asynchronous(functions.follow)
astatus = _asynchronous(functions.status)


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
