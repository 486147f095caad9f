"""Starts a worker for a project, and reads its messages until it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bootstrapper.deadline import Deadline
from bootstrapper.errors import MigrationError
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker import request
from bootstrapper.migrations.worker.process import Message, WorkerProcess
from bootstrapper.plugin.project import Project


def start(settings: MigrationSettings, project: Project, asked: Mapping[str, Any]) -> WorkerProcess:
    """Starts the worker; raises MigrationError if the project's interpreter cannot be started."""
    directory, python = project.path(settings.cwd), request.interpreter(settings, project)
    variables = request.environment(settings, project, asked)
    try:
        return WorkerProcess(python, asked, directory=directory, environment=variables)
    except OSError as error:
        raise MigrationError(f"cannot start {python} in {directory}: {error.strerror}") from error


def conversation(worker: WorkerProcess, deadline: Deadline) -> Iterator[Message]:
    """Yields all messages of the worker.

    Raises:
        TimeoutError: The deadline passed.
        MigrationError: The worker ended without reporting its result.
    """
    last_line, has_reported = "", False
    for message in worker.messages(deadline):
        if not isinstance(message, str):
            has_reported = has_reported or message.name in ("failed", "finished")
        elif message.strip():
            last_line = message.strip()
        yield message
    if not has_reported:
        output = f": {last_line}" if last_line else ""
        raise MigrationError(
            f"the worker ended with exit code {worker.exit_code}{output}",
            hint="Install Alembic for the interpreter that runs the migrations, or name another with `python:`."
            if "No module named" in last_line
            else None,
        )
