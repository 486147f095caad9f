"""Start-up of Gunicorn: the database is brought up once, before workers are forked.

from bootstrapper.integrations.gunicorn import on_reload, on_starting  # in gunicorn.conf.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from bootstrapper.api.arguments import File
from bootstrapper.api.event_log import LOGGER
from bootstrapper.deadline import Stop
from bootstrapper.errors import BootstrapperError, RunInterrupted
from bootstrapper.integrations.extras import extra
from bootstrapper.integrations.startup import Mode, Startup, is_logged, stopped_by_signals

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

__all__ = ["hooks", "on_reload", "on_starting"]

Hook = Callable[["Arbiter"], None]


def hooks(
    file: File | None = None,
    *,
    environment: str | None = None,
    mode: Mode = "apply",
    timeout: float | None = None,
) -> tuple[Hook, Hook]:
    """Returns `on_starting` and `on_reload`, with settings: `on_starting, on_reload = hooks("bootstrap.yaml")`.

    Args:
        file: The configuration; without one, `BOOTSTRAPPER_FILE`, else `bootstrap.yaml` in the working directory.
        environment: One of its `environments`; without one, `BOOTSTRAPPER_ENVIRONMENT`.
        mode: `apply` makes the changes, as one of any number of replicas; `follow` waits until another run has made
            them; `check` fails if they are not made.
        timeout: The limit in seconds; without one, that of the file, or 300 for `follow`.
    """
    startup = Startup(file, environment, mode, timeout)

    def on_starting(server: Arbiter) -> None:
        """Brings up the database; ends Gunicorn with the exit code of the error if that fails."""
        _log_to(server)
        try:
            startup.run_in_process()
        except SystemExit:
            if server.pidfile is not None:
                server.pidfile.unlink()
            raise

    def on_reload(server: Arbiter) -> None:
        """Brings up the database while the old workers serve; if that fails, stops them, as Gunicorn does at its end.

        Gunicorn would replace the workers whatever the outcome. A signal to stop is left to Gunicorn.
        """
        _log_to(server)
        stop = Stop()
        try:
            with stopped_by_signals(stop):
                startup.run(stop=stop)
        except RunInterrupted:
            return
        except BootstrapperError as error:
            halt = extra("gunicorn.errors", "gunicorn").HaltServer
            raise halt("the database is not ready", int(error.exit_code)) from None

    return on_starting, on_reload


def _log_to(server: Arbiter) -> None:
    """Lets the error log of Gunicorn have our log, unless the application has configured one."""
    handlers = getattr(getattr(server.log, "error_log", None), "handlers", [])
    if is_logged() or not handlers:
        return
    for handler in handlers:
        LOGGER.addHandler(handler)
    if LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.INFO)


on_starting, on_reload = hooks()
