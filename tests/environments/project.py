"""A project on disk that runs in an environment of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.environments.kinds import Kind
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import write_env, write_revision


@dataclass(frozen=True)
class OwnProject:
    """A folder with a history, a database, and the interpreter that has the kind's Alembic."""

    kind: Kind
    folder: Path
    database: str
    python: Path

    def write(self, *, before: str = "", **upgrades: str) -> None:
        """Each further argument is a revision that follows the one before it."""
        write_env(self.folder, self.kind.env(before))
        down = None
        for name, upgrade in upgrades.items():
            write_revision(self.folder, name, down, upgrade=upgrade)
            down = name

    def trial(self, **options: object) -> AbstractContextManager[Trial]:
        return trial(self.folder, self.database, script_location="migrations", python=str(self.python), **options)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query.encode()).fetchall()

    def tables(self) -> set[str]:
        return {row[0] for row in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def version(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT version_num FROM alembic_version")
