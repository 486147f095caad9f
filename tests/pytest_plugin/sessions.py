"""Projects whose tests use the plugin, and real pytest sessions in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.projects import HEAD
from tests.servers import Server
from tests.waiting import at_most

PLUGINS = ("-p", "xdist", "-p", "bootstrapper.pytest_plugin.plugin")
STEPS = """
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE words (word text PRIMARY KEY, note text)"}
    check: {table: words}
  - uses: seed
fixtures: {words: {key: [word], rows: [{word: one}, {word: two}]}}
"""
TESTS = """
import psycopg, pytest

@pytest.mark.parametrize("number", range(4))
def test_words(bootstrap_database, number):
    with psycopg.connect(bootstrap_database) as connection:
        assert connection.execute("SELECT word FROM words ORDER BY 1").fetchall() == [("one",), ("two",)]
        connection.execute("DELETE FROM words")
"""
NAMED = """
import pathlib

def test_template(bootstrap_template, bootstrap_database):
    with pathlib.Path("seen").open("a") as seen:
        print(bootstrap_template.name, bootstrap_template.was_made, bootstrap_database.name, file=seen)
"""


@dataclass(frozen=True)
class Seen:
    """What a test of NAMED saw."""

    template: str
    was_made: bool
    database: str


@dataclass
class TestedApplication:
    """A folder with a bootstrap.yaml and tests, on a server."""

    __test__ = False

    folder: Path
    server: Server
    database: str
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + text if name == "bootstrap.yaml" and "version:" not in text else text)
        return path

    def configure(self, **options: str) -> None:
        lines = [f"bootstrap_{name} = {value}\n" for name, value in options.items()]
        self.write("pytest.ini", "".join(["[pytest]\n", *lines]))

    def environment(self) -> Mapping[str, str]:
        given = {"DATABASE_URL": self.database, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **self.variables}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return {**inherited, **given}

    def command(self, *options: str) -> list[str]:
        # pytest's own summary repeats each error, cut to the terminal's width unless a CI service is running it.
        shown = ("-q", "-rN", "-p", "no:cacheprovider", "-W", "error")
        return [sys.executable, "-m", "pytest", *PLUGINS, *shown, *options]

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*options),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str) -> str:
        """Returns what a session prints that has ended."""
        process = self.start(*options)
        return process.communicate(timeout=at_most(120))[0]

    def passes(self, *options: str) -> int:
        """Returns how many tests passed; none may fail."""
        said = self.run(*options)
        ended = re.search(r"^(\d+) passed in ", said, re.MULTILINE)
        assert ended, said
        return int(ended[1])

    def seen(self) -> list[Seen]:
        lines = (self.folder / "seen").read_text().splitlines()
        return [Seen(template, made == "True", name) for template, made, name in map(str.split, lines)]

    def databases(self, prefix: str = "bootstrapper_") -> set[str]:
        rows = self.server.execute(f"SELECT datname FROM pg_database WHERE starts_with(datname, '{prefix}')")
        return {str(name) for (name,) in rows}

    def templates(self) -> set[str]:
        """Returns the templates of this project, which differs from all others in its folder."""
        from bootstrapper.pytest_plugin.inputs import project_key
        from bootstrapper.pytest_plugin.wanted import Wanted

        keys = {
            project_key(Wanted(self.folder, self.folder / "bootstrap.yaml", environment))
            for environment in (None, "test", "other")
        }
        rows = self.server.execute("SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database")
        return {str(name) for name, said in rows if any(key in str(said) for key in keys)}
