"""A project of three revisions in a line, each with a table."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.cli.project import Project
from tests.migrations.projects import create_table, write_env, write_revision
from tests.migrations.worker.test_offline_sql import OFFLINE

BOOTSTRAP = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments:
  here: {}
  live: {protected: true}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
"""
TABLES = {"first": "a", "second": "b", "third": "c"}


def three_revisions(folder: Path, database: str) -> Project:
    made = Project(folder, database)
    made.write(BOOTSTRAP)
    write_env(folder, OFFLINE)
    down = None
    for name, table in TABLES.items():
        file = write_revision(folder, name, down, upgrade=create_table(table))
        text = file.read_text()
        file.write_text(text.replace("def downgrade():\n    pass", f"def downgrade():\n    op.drop_table('{table}')"))
        down = name
    return made


def rows(project: Project, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query.encode()).fetchall()


def versions(project: Project) -> list[str]:
    return [str(row[0]) for row in rows(project, "SELECT version_num FROM alembic_version ORDER BY 1")]
