"""Runs the quick look and, as its oracle, the ordinary run."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import psycopg

from bootstrapper.quick.answer import Answer, answer
from tests.cli.project import Project

TIME = re.compile(r"\(\d+ ms\)")
ENVIRONMENT = ("-e", "here")
READERS = ("plan", "status")
_TRIES = 3


class _Pipe(io.StringIO):
    encoding = "utf-8"


class _Terminal(_Pipe):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Looks(Project):
    """A project whose database is looked at in both ways."""

    def variables(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A folder of its own for what processes of this host have in common: others may be at work."""
        return super().variables({"TMPDIR": str(self.folder), **(extra or {})})

    def quick(self, *options: str, **variables: str) -> Sequence[str] | None:
        """Returns what the quick look prints; None if it leaves the answer to the ordinary run."""
        return self._quick("apply", options, variables)

    def is_quick(self, command: str, **variables: str) -> bool:
        """Returns whether the quick look answers one of READERS; it prints nothing then."""
        found = self._quick(command, ("--exit-code", "-q"), variables)
        assert not found
        return found is not None

    def _quick(self, command: str, options: Sequence[str], variables: Mapping[str, str]) -> Sequence[str] | None:
        """Looks again a few times: a login that took a second is left to the ordinary run as well."""
        arguments = [command, *ENVIRONMENT, "-f", str(self.folder / "bootstrap.yaml"), *options]
        with patch.dict(os.environ, self.variables(variables), clear=True):
            for _ in range(_TRIES):
                found = answer(arguments, self.variables(variables), _Pipe())
                if found is not None:
                    return [TIME.sub("(- ms)", line) for line in found.lines]
                for place in self.folder.glob("bootstrapper-*/quick.*"):
                    place.unlink()  # it may say that the server was not reached just now
        return None

    def quick_run(self, *program: str) -> Answer | None:
        """Returns the answer to `run`."""
        file = str(self.folder / "bootstrap.yaml")
        return answer(["run", *ENVIRONMENT, "-f", file, "--", *program], self.variables(), _Pipe())

    def answers_on_terminal(self) -> bool:
        """Returns whether the quick look answers there."""
        arguments = ["apply", *ENVIRONMENT, "-f", str(self.folder / "bootstrap.yaml")]
        return answer(arguments, self.variables(), _Terminal()) is not None

    def ordinary(self, *options: str, **variables: str) -> tuple[int, Sequence[str]]:
        """Returns the exit code of a plan, and what `apply` prints where that has nothing to do."""
        file = str(self.folder / "bootstrap.yaml")
        planned = self.run("plan", *ENVIRONMENT, "-f", file, "--exit-code", **variables)
        if planned.returncode != 0:
            return planned.returncode, ()
        applied = self.run("apply", *ENVIRONMENT, "-f", file, *options, **variables)
        return applied.returncode, [TIME.sub("(- ms)", line) for line in applied.stderr.splitlines()]

    def reads(self, command: str, **variables: str) -> tuple[int, str, str]:
        """Returns exit code, stdout and stderr of one of READERS, as an ordinary run."""
        file = str(self.folder / "bootstrap.yaml")
        done = self.run(command, *ENVIRONMENT, "-f", file, "--exit-code", "-q", **variables)
        return done.returncode, done.stdout, done.stderr

    def apply(self, **variables: str) -> None:
        applied = self.run("apply", *ENVIRONMENT, "-f", str(self.folder / "bootstrap.yaml"), **variables)
        assert applied.returncode == 0, applied.stderr

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())
