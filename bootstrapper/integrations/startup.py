"""What all integrations do when an application starts: bring up its database, log, and end the process on failure."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn, get_args

from bootstrapper.api.arguments import File, OnEvent, request_of
from bootstrapper.api.event_log import LOGGER
from bootstrapper.api.functions import apply, follow
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Stop
from bootstrapper.errors import BootstrapperError, ExitCode, RunInterrupted

Mode = Literal["apply", "follow", "check"]

_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_FRESH_SECONDS = 60.0
_done: dict[tuple[int, Path, str | None, int], float] = {}
"""When this process, or the one that it was forked from, has brought up what: its id, the file, the environment, and a
hash of the variables."""
_SET_BY_DJANGO = {"DJANGO_SETTINGS_MODULE", "TZ"}
"""What Django sets in the process that it is set up in, which may be a fork."""


@dataclass(frozen=True)
class Startup:
    """How an application brings up its database.

    Attributes:
        file: The configuration; without one, `BOOTSTRAPPER_FILE`, else `bootstrap.yaml` in the working directory.
        environment: One of its `environments`; without one, `BOOTSTRAPPER_ENVIRONMENT`.
        mode: `apply` makes the changes, `follow` waits until another run has made them, `check` fails if they are
            not made.
        timeout: The limit in seconds; without one, that of the file, or 300 for `follow`.
    """

    file: File | None = None
    environment: str | None = None
    mode: Mode = "apply"
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode is {self.mode!r}; valid are {', '.join(get_args(Mode))}")

    def run(self, *, on_event: OnEvent | None = None, stop: Stop | None = None) -> None:
        """Brings up the database; does nothing if the parent of this process just has, in whichever mode.

        A process that is forked later may serve another release, as after a reload, and looks for itself.

        Raises the BootstrapperError that describes why the application cannot start; it is logged.
        """
        show_log()
        asked = request_of(self.file, self.environment, None)
        variables = {item for item in asked.variables.items() if item[0] not in _SET_BY_DJANGO}
        what = (asked.file.absolute(), asked.environment, hash(frozenset(variables)))
        if time.monotonic() - _done.get((os.getppid(), *what), -math.inf) < _FRESH_SECONDS:
            return
        try:
            self._act(on_event, stop)
        except BootstrapperError as error:
            log_failure(error)
            raise
        _done[os.getpid(), *what] = time.monotonic()

    def run_in_process(self, *, stop: Stop | None = None) -> None:
        """Brings up the database in the main thread of a server; ends the process if that fails.

        SIGTERM and SIGINT end the run within two seconds.
        """
        stop = stop or Stop()
        try:
            with stopped_by_signals(stop):
                self.run(stop=stop)
        except BootstrapperError as error:
            end_process(error.exit_code)

    def _act(self, on_event: OnEvent | None, stop: Stop | None) -> None:
        if self.mode == "apply":
            act: Callable[..., object] = apply
        else:
            act = partial(follow, once=self.mode == "check")
        act(self.file, startup=True, environment=self.environment, timeout=self.timeout, on_event=on_event, stop=stop)


def show_log() -> None:
    """Prints the log to stderr, with time and process id, if the application has configured none that gets it."""
    if is_logged():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(_FORMAT))
    LOGGER.addHandler(handler)
    if LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.INFO)


def is_logged() -> bool:
    """Returns whether a handler gets the log."""
    handlers = (*LOGGER.handlers, *logging.root.handlers)
    return any(not isinstance(handler, logging.NullHandler) for handler in handlers)


class _Formatter(logging.Formatter):
    """Adds the id of the run that holds the lock."""

    def format(self, record: logging.LogRecord) -> str:
        text, run_id = super().format(record), getattr(record, "run_id", None)
        return f"{text} [run {run_id}]" if run_id and run_id not in text else text


def log_failure(error: BootstrapperError) -> None:
    """Logs why the application cannot start, with the hint, the exit code and the code of the error."""
    hint = f"\n  hint: {error.hint}" if error.hint else ""
    number = int(error.exit_code)
    facts = {"code": error.code, "exit_code": number, "retryable": error.retryable}
    extra = {"event": "error", "facts": facts, "run_id": None}
    level = logging.WARNING if isinstance(error, RunInterrupted) else logging.ERROR
    text = "the database is not ready (exit code %d, %s): %s%s"
    LOGGER.log(level, text, number, error.code, error, hint, extra=extra)


def end_process(code: ExitCode) -> NoReturn:
    """Raises SystemExit with the exit code."""
    raise SystemExit(int(code))


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Sets the stop on SIGTERM and SIGINT while the block runs, then calls the handler that the server has installed.

    Does nothing outside the main thread, where Python does not allow it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not None and handler is not signal.SIG_IGN:
            signal.signal(number, _stopping(stop, handler))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and handler is not signal.SIG_IGN:
                signal.signal(number, handler)


def _stopping(
    stop: Stop, handler: Callable[[int, FrameType | None], object] | int
) -> Callable[[int, FrameType | None], None]:
    """Returns a handler that sets the stop and calls that of the server; Python's own would end the process at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set(signal.Signals(number).name)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(number, frame)

    return handle
