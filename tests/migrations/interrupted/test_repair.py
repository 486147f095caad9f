"""What a revision interrupted in its autocommit block leaves: reported, and repaired with `repair: true`."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from bootstrapper.errors import MigrationError
from bootstrapper.events import Warned
from bootstrapper.plans import Change, Finding
from bootstrapper.plugin.context import Context
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import create_table, write_env, write_revision
from tests.waiting import at_most

pytestmark = pytest.mark.long

BUILDS = """
with op.get_context().autocommit_block():
    op.execute("CREATE INDEX CONCURRENTLY a_id ON a (id)")
import pathlib
if pathlib.Path("die").exists():
    import os
    os._exit(9)
"""


def write_history(directory: Path, upgrade: str = BUILDS) -> None:
    write_env(directory)
    write_revision(directory, "first", upgrade=create_table("a"))
    write_revision(directory, "second", "first", upgrade=upgrade)


def cut_off(migrate: Trial) -> None:
    """The worker dies after the index was built and before the revision's version row."""
    marker = migrate.context.project.directory / "die"
    marker.touch()
    with pytest.raises(MigrationError):
        migrate.apply()
    marker.unlink()


def findings(migrate: Trial) -> list[Finding]:
    with migrate.context.session.read_only():
        return list(migrate.step.findings(Context(migrate.context), migrate.step.changes(Context(migrate.context))))


def test_a_revision_interrupted_after_its_block_is_reported_with_the_statement_that_undoes_it(
    tmp_path: Path, database: str
) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        cut_off(migrate)
        revision, index = findings(migrate)
        assert revision.target == "revision second"
        assert "was interrupted in an autocommit block of run" in revision.message
        assert index == Finding(
            "index public.a_id",
            "was built by revision second before it was interrupted, and will be built again",
            "DROP INDEX CONCURRENTLY public.a_id",
        )
        with pytest.raises(MigrationError, match="already exists"):
            migrate.apply()
        migrate.query("DROP INDEX CONCURRENTLY public.a_id")
        migrate.apply()
        assert findings(migrate) == []


def test_with_repair_the_next_run_undoes_it_and_continues(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        cut_off(migrate)
        assert migrate.pending() == ["repair index public.a_id", "revision second"]
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT version_num FROM alembic_version") == [("second",)]
        assert migrate.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_id'::regclass") == [(True,)]


def test_an_index_that_the_revision_does_not_name_is_left_alone(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        cut_off(migrate)
        migrate.query("CREATE INDEX theirs ON a (id)")
        migrate.apply()
        assert migrate.query("SELECT count(*) FROM pg_index WHERE indexrelid = 'theirs'::regclass") == [(1,)]


def test_a_revision_that_completed_its_block_is_not_reported(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert findings(migrate) == []
        noted = migrate.query("SELECT revision, action FROM bootstrapper.revisions ORDER BY id")
        assert noted == [("first", "upgrade"), ("second", "autocommit"), ("second", "upgrade")]


def test_an_invalid_index_is_reported_by_the_next_plan_and_repaired_with_repair(tmp_path: Path, database: str) -> None:
    write_history(tmp_path, upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        migrate.query("CREATE INDEX broken ON a (id)")
        migrate.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")
        (index,) = findings(migrate)
        assert (index.target, index.remedy) == ("index public.broken", "REINDEX INDEX CONCURRENTLY public.broken")
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        assert migrate.pending() == ["repair index public.broken"]
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'broken'::regclass") == [(True,)]


def test_a_constraint_that_a_revision_leaves_unvalidated_is_validated_in_the_same_run_with_repair(
    tmp_path: Path, database: str
) -> None:
    write_history(tmp_path, upgrade='op.execute("ALTER TABLE a ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")')
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        migrate.apply()
        assert migrate.query("SELECT convalidated FROM pg_constraint WHERE conname = 'positive'") == [(True,)]


def test_a_repair_that_the_server_refuses_is_an_error_with_its_statement(tmp_path: Path, database: str) -> None:
    write_history(tmp_path, upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        migrate.apply()
        migrate.query("INSERT INTO a VALUES (-1)")
        migrate.query("ALTER TABLE a ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert caught.value.sqlstate == "23514"
        assert caught.value.statement == "ALTER TABLE public.a VALIDATE CONSTRAINT positive"


def test_repairs_are_shown_as_changes_with_their_statement(tmp_path: Path, database: str) -> None:
    write_history(tmp_path, upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        migrate.apply()
        migrate.query("ALTER TABLE a ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")
        (change,) = migrate.changes()
        assert isinstance(change, Change)
        assert change.target == "repair constraint public.a.positive"
        assert change.after == {"sql": "ALTER TABLE public.a VALIDATE CONSTRAINT positive;"}


@pytest.mark.parametrize(
    "block",
    [
        'op.execute("REINDEX INDEX CONCURRENTLY a_id")',
        "op.execute(\"COMMENT ON INDEX a_id IS 'not CREATE INDEX'\")",
    ],
)
def test_an_index_that_existed_before_the_block_is_never_dropped(tmp_path: Path, database: str, block: str) -> None:
    write_history(tmp_path, BUILDS.replace('op.execute("CREATE INDEX CONCURRENTLY a_id ON a (id)")', block))
    first = create_table("a") + "\nop.execute('CREATE UNIQUE INDEX a_id ON a (id)')"
    write_revision(tmp_path, "first", upgrade=first)
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        cut_off(migrate)
        assert migrate.pending() == ["revision second"]


def test_an_index_of_the_same_name_in_another_schema_is_kept(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        cut_off(migrate)
        migrate.query("CREATE SCHEMA other CREATE TABLE theirs (id int)")
        migrate.query("CREATE UNIQUE INDEX a_id ON other.theirs (id)")
        assert migrate.pending() == ["repair index public.a_id", "revision second"]


def test_after_a_stamp_an_interrupted_revision_is_no_longer_reported(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        cut_off(migrate)
        migrate.query(
            "INSERT INTO bootstrapper.revisions (run_id, step, revision, action)"
            " SELECT run_id, 'migrate', 'first', 'stamp' FROM bootstrapper.runs LIMIT 1"
        )
        assert findings(migrate) == []


def test_a_repair_ends_at_the_deadline_of_the_step(tmp_path: Path, database: str) -> None:
    write_history(tmp_path, upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations", repair=True, timeout="1s") as migrate:
        with trial(tmp_path, database, script_location="migrations") as first:
            first.apply()
        migrate.query("ALTER TABLE a ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
            started = time.monotonic()
            with pytest.raises((MigrationError, psycopg.Error)):
                migrate.apply()
            assert time.monotonic() - started < at_most(15)


def warnings(migrate: Trial) -> list[str]:
    return [event.message for event in migrate.events if isinstance(event, Warned)]


FAILS_AFTER_ITS_BLOCK = """
with op.get_context().autocommit_block():
    op.execute("CREATE TABLE part (id integer)")
op.execute("SELECT 1/0")
"""


def test_committed_parts_are_reported_at_each_failure(tmp_path: Path, database: str) -> None:
    write_history(tmp_path, FAILS_AFTER_ITS_BLOCK)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        for reason in ("division by zero", "already exists", "already exists"):
            migrate.events.clear()
            with pytest.raises(MigrationError, match=reason):
                migrate.apply()
            [warned] = warnings(migrate)
            assert warned.startswith("revision second was interrupted in an autocommit block of run")
        first = migrate.query("SELECT run_id::text FROM bootstrapper.revisions WHERE action = 'autocommit' ORDER BY id")
        assert str(first[0][0]) in warned


def test_a_file_that_was_replaced_is_not_reported(tmp_path: Path, database: str) -> None:
    write_history(tmp_path, FAILS_AFTER_ITS_BLOCK)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError):
            migrate.apply()
        assert len(findings(migrate)) == 1
        corrected = FAILS_AFTER_ITS_BLOCK.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
        write_revision(tmp_path, "second", "first", upgrade=corrected)
        assert findings(migrate) == []
        with pytest.raises(MigrationError, match="division by zero"):
            migrate.apply()
        assert len(findings(migrate)) == 1, "the current file was interrupted, too"
        write_revision(tmp_path, "second", "first", upgrade=corrected.replace("1/0", "1"))
        assert findings(migrate) == []
        migrate.apply()
        assert migrate.changes() == []


def test_an_index_that_will_be_built_again_is_dropped_even_if_the_file_was_replaced(
    tmp_path: Path, database: str
) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations", repair=True) as migrate:
        cut_off(migrate)
        write_revision(tmp_path, "second", "first", upgrade=BUILDS + create_table("b"))
        assert migrate.pending() == ["repair index public.a_id", "revision second"]
        migrate.apply()
        assert migrate.changes() == []


def test_a_ledger_of_the_second_version_gets_the_column_of_the_file(tmp_path: Path, database: str) -> None:
    write_history(tmp_path)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        cut_off(migrate)
        migrate.query("ALTER TABLE bootstrapper.revisions DROP COLUMN file_sha256")
        migrate.query("UPDATE bootstrapper.meta SET value = '2' WHERE key = 'ledger_version'")
        assert migrate.pending() == ["revision second"]
        with pytest.raises(MigrationError, match="already exists"):
            migrate.apply()
        assert migrate.query("SELECT value FROM bootstrapper.meta WHERE key = 'ledger_version'") == [("6",)]
        revision, _ = findings(migrate)
        assert revision.target == "revision second"
