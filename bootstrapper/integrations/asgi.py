"""Start-up of ASGI applications: FastAPI, Starlette, Litestar.

app = FastAPI(lifespan=bootstrapper.integrations.asgi.lifespan("bootstrap.yaml"))
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

from bootstrapper.api.arguments import File
from bootstrapper.api.asynchronous import in_thread
from bootstrapper.api.event_log import LOGGER
from bootstrapper.deadline import Stop
from bootstrapper.errors import BootstrapperError, ExitCode
from bootstrapper.integrations.readiness import STATE, Readiness, ReadinessMiddleware
from bootstrapper.integrations.startup import Mode, Startup, end_process, stopped_by_signals

__all__ = ["ReadinessMiddleware", "lifespan"]

_UVICORN = "uvicorn.error"
"""Its logger, to which Starlette's tracebacks go as well."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
State = dict[str, Any]


def lifespan(
    file: File | None = None,
    *,
    environment: str | None = None,
    mode: Mode = "apply",
    timeout: float | None = None,
    background: bool = False,
    inner: Lifespan | None = None,
) -> Lifespan:
    """Returns a lifespan that brings up the database before the application takes requests.

    A failure is logged, and ends the process with the exit code of the error. SIGTERM and SIGINT end the start within
    two seconds. The event loop is never blocked.

    Args:
        file: The configuration; without one, `BOOTSTRAPPER_FILE`, else `bootstrap.yaml` in the working directory.
        environment: One of its `environments`; without one, `BOOTSTRAPPER_ENVIRONMENT`.
        mode: `apply` makes the changes, as one of any number of replicas; `follow` waits until another run has made
            them; `check` fails if they are not made.
        timeout: The limit in seconds; without one, that of the file, or 300 for `follow`.
        background: Whether the application starts at once, and ReadinessMiddleware answers requests until the
            database is ready.
        inner: The application's own lifespan, entered when the database is ready.
    """
    startup = Startup(file, environment, mode, timeout)

    @asynccontextmanager
    async def around(app: Any) -> AsyncIterator[State | None]:
        readiness = Readiness()
        if hasattr(app, "state"):
            setattr(app.state, STATE, readiness)
        work = _in_background if background else _before
        try:
            async with work(startup, readiness, app, inner or _nothing) as state:
                yield state
        except asyncio.CancelledError as error:  # servers print its traceback; the reason is in the log
            raise error.with_traceback(None) from None

    return around


@asynccontextmanager
async def _nothing(app: Any) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _before(startup: Startup, readiness: Readiness, app: Any, inner: Lifespan) -> AsyncIterator[State | None]:
    await _bring_up(startup, readiness)
    async with inner(app) as state:
        readiness.succeed()
        yield state


@asynccontextmanager
async def _in_background(startup: Startup, readiness: Readiness, app: Any, inner: Lifespan) -> AsyncIterator[None]:
    """Enters the inner lifespan in the task that brings up the database, and leaves it there, as its scopes require."""
    is_over = asyncio.Event()

    async def work() -> None:
        await _bring_up(startup, readiness)
        async with AsyncExitStack() as stack:
            try:
                state = await stack.enter_async_context(inner(app))
            except Exception as error:  # noqa: BLE001 - no server would notice it
                LOGGER.exception("the application failed to start")
                readiness.fail(error)
                await _end(error, ExitCode.FAILED)
            readiness.succeed(state)
            await is_over.wait()

    task = asyncio.create_task(work(), name="bootstrapper")
    try:
        yield None
    finally:
        is_over.set()
        if not readiness.is_ready:
            task.cancel()
        try:
            await task
        except (asyncio.CancelledError, Exception):
            if readiness.is_ready:  # the inner lifespan failed to end
                raise


async def _bring_up(startup: Startup, readiness: Readiness) -> None:
    stop = Stop()
    try:
        with stopped_by_signals(stop):
            await in_thread(lambda: startup.run(on_event=readiness.note, stop=stop), stop)
        return
    except BootstrapperError as error:
        failure: Exception = error
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - a bug, of which no server would print more than its traceback
        LOGGER.exception("the database is not ready (exit code %d)", ExitCode.BUG)
        failure, code = error, ExitCode.BUG
    readiness.fail(failure)
    await _end(failure, code)


def _says_more(record: logging.LogRecord) -> bool:
    """Whether a record of the server says more than that a task was cancelled, as all are when the process ends."""
    raised = record.exc_info[1] if record.exc_info else None
    return not isinstance(raised, asyncio.CancelledError) and "CancelledError" not in record.getMessage()


async def _end(error: Exception, code: ExitCode) -> NoReturn:
    """Ends the process in the main thread; elsewhere, as in a test client, raises the error.

    Servers catch what a lifespan raises, and end with a code of their own. What a callback of the loop raises passes
    them; the loop then cancels this task.
    """
    if threading.current_thread() is not threading.main_thread():
        raise error
    loop = asyncio.get_running_loop()
    logging.getLogger(_UVICORN).addFilter(_says_more)
    loop.call_soon(end_process, code)
    try:
        await loop.create_future()
    except asyncio.CancelledError:
        raise asyncio.CancelledError(f"the application cannot start (exit code {code})") from None
    raise AssertionError("the future has no result")
