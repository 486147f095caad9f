"""Projects on disk for tests of the whole engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bootstrapper.api import inspection, run
from bootstrapper.api.inspection import Status
from bootstrapper.api.outcomes import Outcome
from bootstrapper.engine.request import Request
from bootstrapper.events import Event
from bootstrapper.plans import Plan
from tests.waiting import at_most

HEAD = """
version: 1
name: trial
database: {url: "${DATABASE_URL}"}
"""


@dataclass
class TrialProject:
    """A folder with a bootstrap.yaml, for one database."""

    folder: Path
    database: str
    variables: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def write(self, text: str, name: str = "bootstrap.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((HEAD if name == "bootstrap.yaml" and "version:" not in text else "") + text)
        return path

    def request(self, **options: Any) -> Request:
        variables: Mapping[str, str] = {"DATABASE_URL": self.database, **self.variables}
        file = self.folder / "bootstrap.yaml"
        settings = {"timeout_seconds": at_most(60), **options}
        return Request(file=file, variables=variables, emit=self.events.append, **settings)

    def plan(self, **options: Any) -> Plan:
        return run.plan(self.request(**options))

    def apply(self, **options: Any) -> Outcome:
        return run.apply(self.request(**options))

    def status(self, **options: Any) -> Status:
        return inspection.status(self.request(**options))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def has(self, relation: str) -> bool:
        return self.rows(f"SELECT to_regclass('{relation}') IS NOT NULL") == [(True,)]
