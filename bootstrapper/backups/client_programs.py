"""Runs PostgreSQL's programs for a backup, and what goes on beside them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bootstrapper.deadline import GIVE_LONGER, Deadline
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.programs import runner

T = TypeVar("T")

_DISTORTING = ("PGCLIENTENCODING", "PGOPTIONS")  # a dump in the server's own encoding, under its own settings


@dataclass(frozen=True)
class Runner:
    """How programs are run: with which environment, until when, and what must not be shown of what they say."""

    environment: Mapping[str, str]
    deadline: Deadline
    mask: Callable[[str], str]

    @classmethod
    def of(cls, context: RunContext) -> Runner:
        """No password ever stands in an argument, where the process list shows it; and the programs speak English."""
        kept = {name: value for name, value in context.project.variables.items() if name not in _DISTORTING}
        target = context.session.target
        environment = {**kept, **target.client_environment(), "PGAPPNAME": context.application_name, "LC_ALL": "C"}
        return cls(environment, context.deadline, context.masker.quote)

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        keep_open: Sequence[int] = (),
        on_line: Callable[[str], None] = lambda line: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Raises BackupError where the program can not be started, does not end in time, or fails."""
        name = Path(command[0]).name
        try:
            ended = runner.run(
                command,
                environment=self.environment,
                deadline=self.deadline,
                stdin=stdin,
                stdout=stdout,
                keep_open=keep_open,
                umask=0o077,
                on_line=on_line,
                on_tick=on_tick,
            )
        except runner.OutOfTimeError as error:
            raise BackupError(f"{name} did not finish in time", hint=GIVE_LONGER) from error
        except OSError as error:
            raise BackupError(f"{command[0]} can not be started: {error.strerror or error}") from error
        if ended.code != 0:
            raise BackupError(f"{name} {ended.how}", details=map(self.mask, ended.last_lines))


def in_background(work: Callable[[], T]) -> Future[T]:
    """Starts work in a thread that does not keep the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name="bootstrapper backup", daemon=True).start()
    return future


def default_path(variables: Mapping[str, str]) -> str:
    return variables.get("PATH", os.defpath)
