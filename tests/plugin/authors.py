"""A project with one plugin, as its author tries it, and what the author sees."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import dedent, indent

import psycopg
import pytest

from tests.cli.project import Project

IMPORTS = """\
import argparse
import sys

from bootstrapper import (
    Answer, Bounds, Change, Check, Context, Deferred, Finding, Gate, Probe, Problem, Renderer, Scope, Step,
    StepFailedError, StepModel, Value, hookimpl,
)
from bootstrapper.plans import Action
"""

FILE = """\
version: 1
name: authors
database: {{url: "${{DATABASE_URL}}"}}
plugins: [./plugins]
steps:
  - uses: wait
  - uses: lock
{steps}
"""

STEP = """
class MarkOptions(StepModel):
    text: str = "mark"

class Mark(Step[MarkOptions]):
    uses = "mark"

    def changes(self, context):
        {changes}

    def apply(self, context, changes):
        {apply}

    {more}

@hookimpl
def bootstrapper_steps():
    return [Mark]
"""

EMPTY = "context.connection.execute(\"SELECT to_regclass('marks')\").fetchone() == (None,)"
CHANGES = f'return [Change.create("table marks")] if {EMPTY} else []'
APPLY = 'context.connection.execute("CREATE TABLE marks (text text)")'


class Author:
    """Writes a plugin and the file around it, and runs the program in its folder."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.plugin = project.folder / "plugins" / "mark.py"

    def write(self, code: str, steps: str = "- uses: mark") -> Path:
        self.plugin.parent.mkdir(exist_ok=True)
        self.plugin.write_text(IMPORTS + dedent(code))
        self.project.write(FILE.format(steps=indent(dedent(steps).strip(), "  ")))
        return self.plugin

    def step(self, changes: str = CHANGES, apply: str = APPLY, more: str = "", steps: str = "- uses: mark") -> Path:
        filled = STEP.format(
            changes=indent(changes, " " * 8).strip(),
            apply=indent(apply, " " * 8).strip(),
            more=indent(more, " " * 4).strip(),
        )
        return self.write(filled, steps)

    def line_of(self, text: str) -> int:
        """Returns the line of the plugin that holds the text."""
        lines = self.plugin.read_text().splitlines()
        return next(number for number, line in enumerate(lines, start=1) if text in line)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.project.run(*arguments, **variables)

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Runs the program, which has to fail with this exit code, and returns what it says."""
        done = self.run(*arguments)
        assert (done.returncode, "bug in bootstrapper" in done.stderr) == (code, False), done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    def tables(self) -> list[str]:
        """Returns the tables of the database, without those of the ledger."""
        with psycopg.connect(self.project.url) as connection:
            query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            return sorted(row[0] for row in connection.execute(query))


@pytest.fixture
def author(tmp_path: Path, database: str) -> Author:
    """The author of a plugin, with an empty database."""
    return Author(Project(tmp_path, database))
