"""Start-up of Flask applications, and `flask bootstrap`.

bootstrapper.integrations.flask.init_app(app, "bootstrap.yaml")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bootstrapper.api.arguments import File
from bootstrapper.integrations.commands import click_command
from bootstrapper.integrations.extras import extra
from bootstrapper.integrations.startup import Mode, Startup

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["init_app"]


def init_app(
    app: Flask,
    file: File | None = None,
    *,
    environment: str | None = None,
    mode: Mode = "apply",
    timeout: float | None = None,
) -> None:
    """Brings up the database now, and adds `flask bootstrap plan|apply|status|...`.

    A failure is logged, and ends the process with the exit code of the error. SIGTERM and SIGINT end the start within
    two seconds. Commands of `flask` other than `run` bring up nothing; neither does the process of the reloader, whose
    child does, at each reload.

    Args:
        app: The application; in a factory, before anything that needs the database.
        file: The configuration; without one, `BOOTSTRAPPER_FILE`, else `bootstrap.yaml` in the working directory.
        environment: One of its `environments`; without one, `BOOTSTRAPPER_ENVIRONMENT`.
        mode: `apply` makes the changes, as one of any number of replicas; `follow` waits until another run has made
            them; `check` fails if they are not made.
        timeout: The limit in seconds; without one, that of the file, or 300 for `follow`.
    """
    app.cli.add_command(click_command(file, environment))
    if _is_served():
        Startup(file, environment, mode, timeout).run_in_process()


def _is_served() -> bool:
    """Returns whether this process serves the application: `flask run` does, and any other server."""
    cli = extra("flask.cli", "flask")
    context = click.get_current_context(silent=True)
    if context is None or not isinstance(context.find_root().command, cli.FlaskGroup):
        return True
    return context.info_name == "run" and not _has_reloader(context)


def _has_reloader(context: click.Context) -> bool:
    """Returns whether `flask run` will start itself again, as the process that serves."""
    helpers = extra("flask.helpers", "flask")
    asked = context.params.get("reload")
    is_child = os.environ.get("WERKZEUG_RUN_MAIN") == "true"
    return not is_child and bool(helpers.get_debug_flag() if asked is None else asked)
