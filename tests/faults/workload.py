"""The project that the fault tests run: double or half work shows at once in its tables.

Nothing in it forgives a second time: tables without unique constraints, an increment, data migrations that just
INSERT. `Workload.full` has everything; `Workload.pooled` leaves the backup out, and `Workload.quick` Alembic too, which
take most of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LABELS = 5
HEAD = """
version: 1
name: faults
database: {url: "${DATABASE_URL}"}
limits: {timeout: %(timeout)s}
"""
SCOPE = """
steps:
  - uses: wait
    with: {timeout: 20s}
  - uses: lock
    with: {timeout: %(timeout)s}
"""
TABLES = """
  - uses: sql
    name: tables
    with:
      statement: |
        CREATE TABLE journal (text text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE TABLE counter (n int NOT NULL);
        INSERT INTO counter VALUES (10);
        CREATE TABLE tenants (slug text PRIMARY KEY, name text NOT NULL, secret text, number serial);
        CREATE TABLE labels (text text NOT NULL, tenant text REFERENCES tenants, id uuid DEFAULT gen_random_uuid());
    check: {table: journal}
"""
BACKUP = """
  - uses: backup
    with: {directory: backups}
    when: {pending: [migrate]}
"""
MIGRATE = """
  - uses: migrate
    with: {script_location: migrations, timeout: 60s}
    check: {revision: head}
"""
DATA = """
  - uses: seed
    with: {fixtures: [tenants, labels]}
  - uses: sql
    name: append
    with: {statement: "INSERT INTO journal (text) VALUES ('appended')"}
    check: {once: append}
  - uses: sql
    name: count
    with: {statement: "UPDATE counter SET n = n + 1"}
    check: {sql: "SELECT n >= 11 FROM counter"}
"""
COMMAND = """
  - uses: command
    name: note
    with: {run: [sh, -c, "echo noted >> notes"]}
    check: {once: note}
"""
FIXTURES = """
fixtures:
  tenants:
    key: [slug]
    rows:
      first: {slug: first, name: First, secret: {$password: {value: "not a secret", scheme: pbkdf2}}}
      second: {slug: second, name: Second}
  labels:
    key: [text]
    rows:
      - {text: one, tenant: {$ref: tenants.first}}
      - {text: two, tenant: {$ref: tenants.first}}
      - {text: three, tenant: {$ref: tenants.second}}
      - {text: four}
      - {text: five}
"""
ENV = '''
"""Connects as the caller says, and falls into the trap that a test may have laid."""

import json
import os
import signal
from pathlib import Path

from alembic import context
from bootstrapper_worker import fence, prepared
from sqlalchemy import create_engine, event, make_url, pool

TRAP = Path(__file__).with_name("trap.json")


def trap(place):
    if not TRAP.exists():
        return
    laid = json.loads(TRAP.read_text())
    if laid["place"] != place:
        return
    TRAP.unlink()
    number = getattr(signal, laid["signal"])
    if laid["whom"] in ("run", "both"):
        os.kill(os.getppid(), number)
    if laid["whom"] in ("worker", "both"):
        os.kill(os.getpid(), number)


context.config.attributes["trap"] = trap
trap("loaded")
engine = create_engine(make_url(context.config.get_main_option("sqlalchemy.url")), poolclass=pool.NullPool)
commits = iter(range(1, 1000))
fences = iter(range(1, 1000))
messages = iter(range(1, 1000))
send = fence.send


def send_between_traps(driver, *statements):
    if not statements[0].startswith("PREPARE"):
        trap(f"fence {next(fences)}")
    result = send(driver, *statements)
    if statements[-1] == "COMMIT":
        trap(f"committed {next(messages)}")
    return result


fence.send = prepared.send = send_between_traps
event.listen(engine, "commit", lambda connection: trap(f"commit {next(commits)}"))


@event.listens_for(engine, "before_cursor_execute")
def before(connection, cursor, statement, parameters, context, executemany):
    if "pg_current_xact_id()" in statement:
        trap(f"fence {next(fences)}")


with engine.connect() as connection:
    trap("connected")
    context.configure(
        connection=connection,
        target_metadata=None,
        on_version_apply=lambda step, **_: trap(f"version {step.up_revision_id}"),
    )
    with context.begin_transaction():
        context.run_migrations()
trap("finished")
'''
REVISION = """
from alembic import context, op

revision = {revision!r}
down_revision = {down!r}


def upgrade():
    trap = context.config.attributes["trap"]
    trap("before {revision}")
{body}
    trap("after {revision}")
"""
CONCURRENTLY = """
    with op.get_context().autocommit_block():
        trap("in the block of {revision}")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS journal_text")
        trap("index dropped")
        op.execute("CREATE INDEX CONCURRENTLY journal_text ON journal (text)")
        trap("index built")
"""
BODIES = {
    "r1": """
    op.execute("CREATE TABLE journal (text text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())")
    op.execute("CREATE TABLE counter (n int NOT NULL)")
    op.execute("INSERT INTO counter VALUES (0)")
    op.execute("CREATE TABLE tenants (slug text PRIMARY KEY, name text NOT NULL, secret text, number serial)")
""",
    "r2": """
    op.execute("INSERT INTO journal (text) VALUES ('migrated')")
    op.execute(
        "CREATE TABLE labels (text text NOT NULL, tenant text REFERENCES tenants, id uuid DEFAULT gen_random_uuid())"
    )
""",
    "r3": CONCURRENTLY.format(revision="r3"),
    "r4": """
    op.execute("ALTER TABLE journal ADD COLUMN note text DEFAULT 'none'")
    op.execute("UPDATE counter SET n = n + 10")
""",
}
LATE = """
    op.execute("ALTER TABLE tenants ADD COLUMN late int DEFAULT 1")
    op.execute("INSERT INTO journal (text) VALUES ('late')")
"""
# Outside a transaction: not even Alembic's own comparison of the version row takes this back.
AT_ONCE = """
    with op.get_context().autocommit_block():
        op.execute("INSERT INTO journal (text) VALUES ('late')")
"""
WORKER_PLACES = (
    "loaded",
    "connected",
    *(f"commit {number}" for number in range(1, 8)),
    *(f"fence {number}" for number in range(1, 11)),
    *(f"committed {number}" for number in range(1, 3)),
    *(f"{place} {revision}" for revision in BODIES for place in ("before", "after", "version")),
    "in the block of r3",
    "index dropped",
    "index built",
    "finished",
)


@dataclass(frozen=True)
class Workload:
    """A project on disk.

    Attributes:
        folder: Holds bootstrap.yaml.
        is_full: Whether it migrates.
    """

    folder: Path
    is_full: bool

    @classmethod
    def full(cls, folder: Path, timeout: str = "60s") -> Workload:
        return cls._migrating(folder, timeout, BACKUP + MIGRATE + DATA + COMMAND)

    @classmethod
    def pooled(cls, folder: Path, timeout: str = "60s") -> Workload:
        """As much of it as goes through a pooler: all but the backup."""
        return cls._migrating(folder, timeout, MIGRATE + DATA + COMMAND)

    @classmethod
    def _migrating(cls, folder: Path, timeout: str, steps: str) -> Workload:
        workload = cls._written(folder, timeout, steps, is_full=True)
        migrations = folder / "migrations"
        (migrations / "versions").mkdir(parents=True)
        (migrations / "env.py").write_text(ENV)
        down = None
        for revision, body in BODIES.items():
            workload.add_revision(revision, down, body)
            down = revision
        return workload

    @classmethod
    def quick(cls, folder: Path, timeout: str = "60s") -> Workload:
        return cls._written(folder, timeout, TABLES + DATA, is_full=False)

    @classmethod
    def _written(cls, folder: Path, timeout: str, steps: str, *, is_full: bool) -> Workload:
        folder.mkdir(parents=True, exist_ok=True)
        values = {"timeout": timeout}
        (folder / "bootstrap.yaml").write_text(HEAD % values + SCOPE % values + steps + FIXTURES)
        return cls(folder, is_full)

    def add_revision(self, revision: str, down: str | None, body: str) -> None:
        text = REVISION.format(revision=revision, down=down, body=body)
        (self.folder / f"migrations/versions/{revision}.py").write_text(text)

    def add_late_revision(self, body: str = LATE) -> None:
        """Puts a database that was at head one revision behind."""
        self.add_revision("r5", "r4", body)
