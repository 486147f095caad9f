"""A project whose targets are schemas or databases of a server, and its command line."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from tests.cli.project import Project

FLEET = """\
version: 1
name: tenants
database: {{url: "{url}"}}
ledger: {{schema: "${{target.schema}}_ledger"}}
fleet:
  targets: {{file: targets.csv}}
{fleet}
steps:
  - uses: wait
    with: {{timeout: {wait}}}
  - uses: lock
    with: {{timeout: 3s}}
  - uses: sql
    name: schema
    with: {{statement: "CREATE SCHEMA \\"${{target.schema}}\\""}}
    check: {{sql: "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '${{target.schema}}')"}}
  - uses: sql
    name: notes
    with: {{statement: 'CREATE TABLE "${{target.schema}}".notes (id int PRIMARY KEY, body text)'}}
    check: {{table: "${{target.schema}}.notes"}}
  - uses: seed
fixtures:
  notes:
    table: "${{target.schema}}.notes"
    key: [id]
    mode: update
    rows: [{{id: 1, body: "note of ${{target.name}}"}}]
"""


@dataclass(frozen=True)
class Fleet(Project):
    """A project with `targets.csv`."""

    def declare(self, fleet: str = "", url: str = "${DATABASE_URL}", wait: str = "3s") -> None:
        indented = "\n".join(f"  {line}" for line in fleet.strip().splitlines())
        self.write(FLEET.format(fleet=indented, url=url, wait=wait))

    def list(self, targets: Sequence[Mapping[str, str]]) -> None:
        with (self.folder / "targets.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(targets[0]))
            writer.writeheader()
            writer.writerows(targets)

    def environment(self) -> AbstractContextManager[object]:
        """The variables of the project, as those of this process."""
        return patch.dict(os.environ, self.variables(), clear=True)

    def list_schemas(self, number: int) -> None:
        self.list([{"name": f"tenant-{each}", "schema": f"t{each}"} for each in range(number)])

    def notes(self, schema: str, url: str | None = None) -> list[tuple[Any, ...]] | None:
        """Returns the rows of a target; None if it has no table."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            try:
                return connection.execute(f'SELECT id, body FROM "{schema}".notes'.encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return None

    def runs(self, schema: str, url: str | None = None) -> list[tuple[str, str]]:
        """Returns the runs of a target's ledger, each with its outcome."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            found = connection.execute(
                f'SELECT run_id::text, outcome FROM "{schema}_ledger".bootstrapper_runs'.encode()
            )
            return [(str(run), str(outcome)) for run, outcome in found.fetchall()]

    def report(self, name: str = "report.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path(self.folder, name).read_text().splitlines()]

    def results(self, name: str = "report.jsonl") -> dict[str, dict[str, Any]]:
        return {line["target"]: line for line in self.report(name) if line["kind"] == "target"}
