"""Runs PostgreSQL's client programs, and Python work beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import GIVE_LONGER, Deadline
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target
from bootstrapper.programs import runner

T = TypeVar("T")

# PGCLIENTENCODING and PGOPTIONS would change what is dumped; LANGUAGE takes precedence over LC_ALL in messages.
_REMOVED = ("PGCLIENTENCODING", "PGOPTIONS", "LANGUAGE")


@dataclass(frozen=True)
class ClientRunner:
    """Starts programs with one environment and one time limit.

    Attributes:
        mask: Removes secrets from what the programs print.
    """

    environment: Mapping[str, str]
    deadline: Deadline
    mask: Callable[[str], str]

    @classmethod
    def of(cls, context: RunContext) -> ClientRunner:
        """Returns a runner for programs that connect to the context's database."""
        target = context.own_target.current(context.deadline)
        return cls(client_environment(context.project.variables, target), context.deadline, context.masker.quote)

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        keep_open: Sequence[int] = (),
        on_line: Callable[[str], None] = lambda line: None,
        on_tick: Callable[[], None] = lambda: None,
        check: bool = True,
    ) -> runner.Ended:
        """Runs a program to its end; arguments as of `runner.run`.

        Args:
            check: Whether an exit code other than 0 is an error.

        Raises BackupError if the program cannot be started, does not end in time, or fails.
        """
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
            raise BackupError(f"{Path(command[0]).name} did not finish in time", hint=GIVE_LONGER) from error
        except OSError as error:
            raise BackupError(f"cannot start {command[0]}: {error.strerror or error}") from error
        if check and ended.code != 0:
            raise self.failure(command, ended)
        return ended

    def failure(self, command: Sequence[str], ended: runner.Ended) -> BackupError:
        """Returns the error for a program that failed, with the last lines it printed."""
        return BackupError(f"{Path(command[0]).name} {ended.how}", details=map(self.mask, ended.last_lines))


def client_environment(variables: Mapping[str, str], target: Target | None = None) -> dict[str, str]:
    """Returns the environment of a client program: messages in English, the password in no argument."""
    kept = {name: value for name, value in variables.items() if name not in _REMOVED}
    own = target.client_environment() if target is not None else {}
    return {**kept, "PGAPPNAME": "bootstrapper restore", **own, "LC_ALL": "C"}


def in_background(work: Callable[[], T]) -> Future[T]:
    """Starts work in a thread that does not keep the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the future raises it again
            future.set_exception(error)

    threading.Thread(target=run, name="bootstrapper backup", daemon=True).start()
    return future
