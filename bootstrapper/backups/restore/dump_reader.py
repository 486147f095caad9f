"""A dump together with what it takes to start PostgreSQL's programs on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.restore.fingerprint import unbroken
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, ClientToolsError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.clienttools import ClientTools, find_tools
from bootstrapper.programs import runner

_DISTORTING = ("PGCLIENTENCODING", "PGOPTIONS", "LANGUAGE")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How one dump is read.

    Attributes:
        variables: The environment that programs get, and the PATH they are looked for in.
        folders: Where they are looked for as well.
        server_major: Of the server that is to take it; 0 where there is none.
        mask: Takes secrets out of what programs say.
    """

    chosen: Chosen
    variables: Mapping[str, str]
    folders: Sequence[Path] = ()
    server_major: int = 0
    deadline: Deadline
    mask: Callable[[str], str]

    def tools(self, *names: str) -> ClientTools:
        """Programs that are no older than those that wrote the dump, and than the server that is to take it.

        Where no manifest tells who wrote it, the newest ones, which read everything. Raises ClientToolsError where
        there are none.
        """
        manifest = self.chosen.manifest
        search_path = os.pathsep.join([*map(str, self.folders), self.variables.get("PATH") or os.defpath])
        wrote = manifest.client_major if manifest else 0
        found = find_tools(names, max(wrote, self.server_major), search_path)
        while manifest is None:
            try:
                found = find_tools(names, found.version[0] + 1, search_path)
            except ClientToolsError:
                break
        return found

    def sealed(self) -> AbstractContextManager[None]:
        """Around all reading of it; raises BackupError at the end where it is not what was found good."""
        return unbroken(self.chosen.path, self.chosen.where, self.chosen.seal, self.deadline)

    def environment(self, target: Target | None = None) -> dict[str, str]:
        """The password is in no argument, and the programs speak English, which we read."""
        kept = {name: value for name, value in self.variables.items() if name not in _DISTORTING}
        own = target.client_environment() if target is not None else {}
        return {**kept, "LC_ALL": "C", "PGAPPNAME": "bootstrapper restore", **own}

    def run(
        self,
        command: Sequence[str],
        *,
        target: Target | None = None,
        stdin: int | None = None,
        on_line: Callable[[str], None] = lambda line: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> runner.Ended:
        """Raises BackupError where the program can not be started, or does not end in time."""
        try:
            return runner.run(
                command,
                environment=self.environment(target),
                deadline=self.deadline,
                stdin=stdin,
                on_line=on_line,
                on_tick=on_tick,
            )
        except runner.OutOfTimeError as error:
            raise BackupError(
                f"{Path(command[0]).name} did not finish in time", hint="Give it longer with --timeout."
            ) from error
        except OSError as error:
            raise BackupError(f"{command[0]} can not be started: {error.strerror or error}") from error

    def failure(self, command: Sequence[str], ended: runner.Ended) -> BackupError:
        """The error for a program that did not end well, with its last words."""
        return BackupError(f"{Path(command[0]).name} {ended.how}", details=map(self.mask, ended.last_lines))
