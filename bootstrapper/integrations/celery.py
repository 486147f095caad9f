"""Start-up of Celery workers: the database is brought up before the pool starts and a task is taken.

bootstrapper.integrations.celery.install(app, "bootstrap.yaml")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bootstrapper.api.arguments import File
from bootstrapper.api.event_log import LOGGER
from bootstrapper.errors import ExitCode
from bootstrapper.integrations.extras import extra
from bootstrapper.integrations.startup import Mode, Startup

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["install"]


def install(
    app: Celery,
    file: File | None = None,
    *,
    environment: str | None = None,
    mode: Mode = "apply",
    timeout: float | None = None,
) -> None:
    """Makes workers of the application bring up the database, once in the main process, before they take tasks.

    A failure is logged, and ends the worker with the exit code of the error. SIGTERM and SIGINT end the start within
    two seconds. Other commands of Celery, and processes that only send tasks, bring up nothing.

    Args:
        app: The application; others in the same process are not affected.
        file: The configuration; without one, `BOOTSTRAPPER_FILE`, else `bootstrap.yaml` in the working directory.
        environment: One of its `environments`; without one, `BOOTSTRAPPER_ENVIRONMENT`.
        mode: `apply` makes the changes, as one of any number of replicas; `follow` waits until another run has made
            them; `check` fails if they are not made.
        timeout: The limit in seconds; without one, that of the file, or 300 for `follow`.
    """
    startup = Startup(file, environment, mode, timeout)

    def bring_up(instance: Any, **_: Any) -> None:
        if instance.app.main == app.main:
            _run(startup)

    # Sent when logging is configured, and before the signal handlers of the worker and its pool.
    extra("celery.signals", "celery").celeryd_after_setup.connect(bring_up, weak=False)


def _run(startup: Startup) -> None:
    """Ends the process at a bug too: Celery logs the exceptions of receivers, and would take tasks."""
    try:
        startup.run_in_process()
    except Exception:  # noqa: BLE001 - of whatever kind
        LOGGER.exception("the database is not ready (exit code %d): a bug in bootstrapper", ExitCode.BUG)
        raise SystemExit(int(ExitCode.BUG)) from None
