"""Starts a worker for a project and listens to it until it ends."""

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
    """Raises MigrationError where the project's interpreter can not be started."""
    directory, python = project.path(settings.cwd), request.interpreter(settings, project)
    variables = request.environment(settings, project, asked)
    try:
        return WorkerProcess(python, asked, directory=directory, environment=variables)
    except OSError as error:
        raise MigrationError(f"{python} can not be started in {directory}: {error.strerror}") from error


def conversation(worker: WorkerProcess, deadline: Deadline) -> Iterator[Message]:
    """All that the worker says.

    Raises:
        TimeoutError: The deadline passed.
        MigrationError: It ended without saying how it went.
    """
    last_line, has_told = "", False
    for message in worker.messages(deadline):
        if not isinstance(message, str):
            has_told = has_told or message.name in ("failed", "finished")
        elif message.strip():
            last_line = message.strip()
        yield message
    if not has_told:
        said = f": {last_line}" if last_line else ""
        raise MigrationError(
            f"the worker ended with exit code {worker.exit_code}{said}",
            hint="Install Alembic for the interpreter that runs the migrations, or name another with python:."
            if "No module named" in last_line
            else None,
        )
