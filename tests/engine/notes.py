"""Files with one step, of `sql` or of a plugin that the test writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.acquire import advisory_key
from tests.projects import TrialProject

TWO_TABLES = """
steps:
  - uses: wait
  - uses: lock
  - uses: sql
    name: one
    with: {statement: "CREATE TABLE one (id int)"}
    check: {table: one}
  - uses: sql
    name: two
    with: {statement: "CREATE TABLE two (id int)"}
    check: {table: two}
"""

ONE_TABLE = """
steps:
  - uses: lock
    with: {timeout: 200ms}
  - uses: sql
    name: one
    with: {statement: "CREATE TABLE one ()"}
    check: {table: one}
"""


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Another session holds the advisory lock."""
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (advisory_key(LedgerNames()),))
        yield


def plugin(project: TrialProject, body: str, name: str = "note", folder: str = "plugins") -> None:
    head = "from bootstrapper import *\nfrom bootstrapper import hookimpl\n"
    project.write(head + body, f"{folder}/{name}.py")


STEP = """
class Note(Step):
    uses = "note"
    {attributes}
    def changes(self, context):
        {changes}
    def apply(self, context, changes):
        {apply}

@hookimpl
def bootstrapper_steps():
    return [Note]
"""


NOTE = "plugins: [./plugins]\nsteps:\n  - uses: lock\n    with: {timeout: 200ms}\n  - uses: note\n"


def note(project: TrialProject, apply: str = "pass", changes: str = "", attributes: str = "pass") -> None:
    asked = "return [Change.create('note')] if not context.connection.execute("
    asked += "\"SELECT to_regclass('note') IS NOT NULL\").fetchone()[0] else []"
    plugin(project, STEP.format(apply=apply, changes=changes or asked, attributes=attributes))
    project.write(NOTE)
