"""A small project on disk, and the program run in it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from bootstrapper.cli import main
from tests.waiting import at_most

ROOT = Path(__file__).parents[2]

BOOTSTRAP = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: wait
    with: {timeout: 5s}
  - uses: lock
    with: {timeout: 10s}
  - uses: sql
    name: notes
    with: {statement: "CREATE TABLE notes (id int PRIMARY KEY, body text)"}
    check: {table: notes}
  - uses: sql
    name: first-note
    with: {statement: "INSERT INTO notes VALUES (1, 'Grüße')"}
    check: {sql: "SELECT EXISTS (SELECT 1 FROM notes)"}
"""


@dataclass(frozen=True)
class Project:
    """A folder with a bootstrap.yaml, and the value of DATABASE_URL."""

    folder: Path
    url: str

    def write(self, text: str = BOOTSTRAP, name: str = "bootstrap.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def variables(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        left_out = ("BOOTSTRAPPER_", "PG", "CI", "NO_COLOR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
        return {**kept, "PYTHONPATH": path, "DATABASE_URL": self.url, **(extra or {})}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "bootstrapper", *arguments]

    def spawn(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the program in a process, as a shell does."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.variables(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=at_most(60),
            check=False,
        )

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the program in this process, which saves the start of an interpreter."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.variables(variables), clear=True),
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
