"""The worker on real databases: fenced in, patient with locks, and gone when it should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from bootstrapper.errors import FencedOffError, MigrationError, UnreachableError
from bootstrapper.events import Event, StepReported
from bootstrapper.plugin.context import Context
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.lock.hold import Hold
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.waiting import eventually

pytestmark = pytest.mark.long

TAKE_OVER = "UPDATE bootstrapper.lock SET token = token + 1"
SEEN = "CREATE TABLE {} AS SELECT expires_at > clock_timestamp() AS lives FROM bootstrapper.lock"
TAKEN_BEFORE_THE_REVISIONS = ENV.replace(
    "    with context.begin_transaction",
    f"    with engine.connect() as other, other.begin():\n        other.exec_driver_sql('{TAKE_OVER}')\n"
    "    with context.begin_transaction",
)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def sleepers(url: str) -> int:
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()"
        row = connection.execute(query + " AND state = 'active' AND datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


def apply_directly(migrate: Trial, hold: Hold) -> None:
    """Without the executor's own fenced transactions around it: what is left is the worker's fence."""
    migrate.step.apply(Context(replace(migrate.context, hold=hold)), migrate.changes())


def when_reported(migrate: Trial, text: str, action: Callable[[], object]) -> None:
    """Acts once, as soon as a line with this text is reported."""
    todo = [action]

    def emit(event: Event) -> None:
        migrate.events.append(event)
        if isinstance(event, StepReported) and text in event.line and todo:
            todo.pop()()

    migrate.context = replace(migrate.context, emit=emit)


def test_a_worker_whose_lock_was_taken_writes_nothing(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        migrate.query(TAKE_OVER)
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
    assert tables(database) == set()


def test_the_fence_comes_before_the_version_table(tmp_path: Path, database: str) -> None:
    autocommit = TAKEN_BEFORE_THE_REVISIONS.replace("poolclass", "isolation_level='AUTOCOMMIT', poolclass")
    write_env(tmp_path, autocommit)  # otherwise the first revision's fence would undo the table's creation
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with (
        trial(tmp_path, database, script_location="migrations") as migrate,
        migrate.held() as hold,
        pytest.raises(FencedOffError),
    ):
        apply_directly(migrate, hold)
    assert tables(database) == set()


def test_the_fence_comes_before_the_ddl_of_a_revision(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        apply_directly(migrate, hold)
        write_env(tmp_path, TAKEN_BEFORE_THE_REVISIONS)
        write_revision(tmp_path, "second", "first", upgrade=f"print('DDL runs')\n{create_table('b')}")
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
        assert "DDL runs" not in migrate.lines
    assert tables(database) == {"a", "alembic_version"}


def test_the_fence_comes_again_after_an_autocommit_block(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    taking = f"with op.get_context().autocommit_block():\n    op.execute('{TAKE_OVER}')\nprint('DDL goes on')"
    write_revision(tmp_path, "first", upgrade=taking)
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
        assert "DDL goes on" not in migrate.lines
    assert tables(database) == {"alembic_version"}


def test_a_revision_that_outlasts_the_lease_renews_it_as_it_commits(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    over = "UPDATE bootstrapper.lock SET expires_at = clock_timestamp()"
    block = f"with op.get_context().autocommit_block():\n    op.execute('{SEEN.format('b')}')"
    write_revision(tmp_path, "first", upgrade=f"op.execute('{over}')")
    write_revision(tmp_path, "second", "first", upgrade=f"op.execute('{SEEN.format('a')}; {over}')\n{block}")
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        apply_directly(migrate, hold)
        assert migrate.query("SELECT lives FROM a UNION ALL SELECT lives FROM b") == [(True,), (True,)]


def test_another_run_id_with_the_same_token_is_fenced_off(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        migrate.query(f"UPDATE bootstrapper.lock SET run_id = '{uuid4()}'")
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
    assert tables(database) == set()


def test_env_py_that_swallows_the_fence_does_not_hide_it(tmp_path: Path, database: str) -> None:
    indented = "".join(f"    {line}\n" for line in TAKEN_BEFORE_THE_REVISIONS.strip().splitlines())
    write_env(tmp_path, f"try:\n{indented}except Exception:\n    pass\n")
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with (
        trial(tmp_path, database, script_location="migrations") as migrate,
        migrate.held() as hold,
        pytest.raises(FencedOffError),
    ):
        apply_directly(migrate, hold)


def test_each_revision_is_a_transaction_and_env_pys_own_callback_is_kept(tmp_path: Path, database: str) -> None:
    write_env(
        tmp_path,
        "def note(ctx, step, heads, run_args):\n    print('noted', step.up_revision_id)\n\n"
        + ENV.replace("connection=connection", "connection=connection, on_version_apply=note"),
    )
    number = 'print("number", op.get_bind().exec_driver_sql("SELECT pg_current_xact_id()::text").scalar())'
    write_revision(tmp_path, "first", upgrade=number)
    write_revision(tmp_path, "second", "first", upgrade=number)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert [line for line in migrate.lines if line.startswith("noted")] == ["noted first", "noted second"]
        assert len({line for line in migrate.lines if line.startswith("number")}) == 2


def test_each_revision_is_limited_and_its_backend_is_noted_in_the_lock(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    settings = "current_setting('lock_timeout'), current_setting('statement_timeout')"
    ask = f"SELECT {settings}, worker_backend_pid = pg_backend_pid() FROM bootstrapper.lock"
    ask = f'print(*op.get_bind().exec_driver_sql("{ask}").one())'
    write_revision(tmp_path, "first", upgrade=ask)
    write_revision(tmp_path, "second", "first", upgrade=ask)
    options = {"script_location": "migrations", "lock_timeout": "1500ms", "statement_timeout": "7s"}
    with trial(tmp_path, database, **options) as migrate:
        migrate.apply()
        assert migrate.lines == ["1500ms 7s True", "1500ms 7s True"]


def test_a_run_that_loses_the_lock_in_a_revision_does_not_commit_it(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=f"{create_table('b')}\nop.execute('{TAKE_OVER}')")
    with trial(tmp_path, database, script_location="migrations") as migrate, migrate.held() as hold:
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
        assert migrate.query("SELECT version_num FROM alembic_version") == [("first",)]
        assert migrate.query("SELECT revision FROM bootstrapper.revisions") == [("first",)]
    assert tables(database) == {"a", "alembic_version"}


def test_a_constraint_that_fails_at_the_commit_of_a_revision_is_reported(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    deferred = "CREATE TABLE b (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO b VALUES (1), (1)"
    write_revision(tmp_path, "second", "first", upgrade=f"op.execute('{deferred}')")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError, match="duplicate key") as caught:
            migrate.apply()
        assert (caught.value.sqlstate, caught.value.revision) == ("23505", "second")
        assert migrate.query("SELECT version_num FROM alembic_version") == [("first",)]


def test_the_projects_code_runs_with_the_garbage_collector_on(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "import gc\nprint('collects', gc.isenabled())\n" + ENV)
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.lines == ["collects True"]


def test_the_lock_timeout_of_the_step_applies_to_the_fence(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("first"))
    options = {"script_location": "migrations", "lock_timeout": "100ms", "ddl_retries": 0}
    with trial(tmp_path, database, **options) as migrate, migrate.held() as hold, psycopg.connect(database) as other:
        other.execute("SELECT * FROM bootstrapper.lock FOR UPDATE")
        with pytest.raises(MigrationError) as caught:
            apply_directly(migrate, hold)
        other.rollback()
    assert caught.value.sqlstate == "55P03"


ALTER = "op.execute('ALTER TABLE busy ADD COLUMN more integer')"
ALTER_OTHER = ALTER.replace("busy", "other.busy")  # a table beside the revisions' own makes no first contact


def test_a_revision_is_retried_after_a_lock_timeout(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade="op.execute('CREATE TABLE busy (id integer)')")
    with trial(tmp_path, database, script_location="migrations", lock_timeout="100ms") as migrate:
        migrate.apply()
        write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
        write_revision(tmp_path, "third", "second", upgrade=ALTER)
        with psycopg.connect(database) as reader:
            reader.execute("SELECT * FROM busy")
            when_reported(migrate, "retrying in", reader.rollback)
            migrate.apply()
        assert migrate.changes() == []
        assert migrate.progress[-2:] == [(1, 2), (2, 2)]


def test_without_retries_a_lock_timeout_is_an_error(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=ALTER_OTHER)
    options = {"script_location": "migrations", "lock_timeout": "100ms", "ddl_retries": 0}
    with psycopg.connect(database) as reader, trial(tmp_path, database, **options) as migrate:
        reader.execute("CREATE SCHEMA other CREATE TABLE busy (id integer)")
        reader.commit()
        reader.execute("SELECT * FROM other.busy")
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert caught.value.sqlstate == "55P03"
        assert caught.value.hint == (
            "Revision first was rolled back; the database is at no revision as before. Apply again."
        )


def test_a_revision_that_committed_a_part_is_not_retried(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    committed = "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE part (id integer)')\n"
    write_revision(
        tmp_path, "first", upgrade=committed + "op.execute(\"SET LOCAL lock_timeout = '100ms'\")\n" + ALTER_OTHER
    )
    with psycopg.connect(database) as reader, trial(tmp_path, database, script_location="migrations") as migrate:
        reader.execute("CREATE SCHEMA other CREATE TABLE busy (id integer)")
        reader.commit()
        reader.execute("SELECT * FROM other.busy")
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert caught.value.sqlstate == "55P03"
        assert caught.value.hint is not None
        assert "part of it was committed" in caught.value.hint


SLEEP = "print('about to sleep')\nop.execute('SELECT pg_sleep(61)')"


def test_an_interrupted_run_leaves_neither_worker_nor_statement(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=f"import os\nprint('worker', os.getpid())\n{SLEEP}")

    def interrupt() -> None:
        assert eventually(lambda: sleepers(database) == 1)
        raise KeyboardInterrupt

    with trial(tmp_path, database, script_location="migrations") as migrate:
        when_reported(migrate, "about to sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            migrate.apply()
        worker = int(migrate.lines[0].split()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert eventually(lambda: sleepers(database) == 0)


def test_a_worker_is_stopped_at_the_deadline(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=SLEEP)
    with (
        trial(tmp_path, database, script_location="migrations", timeout="1500ms") as migrate,
        pytest.raises(MigrationError, match="deadline exceeded: 0 of 1 revisions"),
    ):
        migrate.apply()
    assert eventually(lambda: sleepers(database) == 0)


def test_a_worker_is_stopped_if_its_run_loses_the_lock(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=SLEEP)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        connection = migrate.context.connection

        def cut_off() -> None:
            assert eventually(lambda: sleepers(database) == 1)
            pid = connection.info.backend_pid
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))

        when_reported(migrate, "about to sleep", lambda: threading.Thread(target=cut_off).start())
        with pytest.raises(UnreachableError, match="the connection that held the lock was lost"):
            migrate.apply()


KILLED = """
import sys
from pathlib import Path
from tests.migrations.contexts import trial
from tests.migrations.worker.test_runner import when_reported
with trial(Path(sys.argv[1]), sys.argv[2], script_location="migrations") as migrate:
    when_reported(migrate, "worker", lambda: print(migrate.lines[0], flush=True))
    migrate.apply()
"""


def test_a_worker_ends_itself_when_its_parent_is_killed(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=f"import os\nprint('worker', os.getpid())\n{SLEEP}")
    command = [sys.executable, "-c", KILLED, str(tmp_path), database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline().split()[1])
        assert eventually(lambda: sleepers(database) == 1)
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: is_gone(worker))


def is_gone(pid: int) -> bool:
    """A process that is not reaped yet has ended, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_output_of_both_streams_is_reported_without_the_password(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "import os, sys\nprint(os.environ['DATABASE_URL'])\nprint('oops', file=sys.stderr)\n" + ENV)
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        shown = "\n".join(migrate.lines)
        assert "oops" in migrate.lines
        assert "postgresql://postgres:***@" in shown
        assert "correct" not in shown


def test_an_error_shows_no_password(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "import os\nraise RuntimeError(os.environ['DATABASE_URL'])\n")
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        assert "RuntimeError: postgresql://postgres:***@" in str(caught.value)
        assert "migrations/env.py:2" in str(caught.value)
        assert "correct" not in str(caught.value)


def test_the_worker_gets_the_projects_arguments_variables_and_folder(tmp_path: Path, database: str) -> None:
    shown = "import os\nprint(context.get_x_argument(as_dictionary=True), os.environ['COLOUR'], os.getcwd())\n"
    write_env(tmp_path / "app", ENV.replace("engine =", shown + "engine =", 1))
    write_revision(tmp_path / "app", "first")
    options = {"script_location": "app/migrations", "x": ["tenant=one"], "env": {"COLOUR": "blue"}, "cwd": "app"}
    with trial(tmp_path, database, **options) as migrate:
        migrate.apply()
        assert migrate.lines == [f"{{'tenant': 'one'}} blue {tmp_path / 'app'}"]


def test_database_url_keeps_its_driver(tmp_path: Path, database: str) -> None:
    scheme = "postgresql+asyncpg"
    write_env(tmp_path, "import os\nprint(os.environ['DATABASE_URL'].partition(':')[0])\n" + ENV)
    write_revision(tmp_path, "first")
    with trial(tmp_path, database.replace("postgresql", scheme, 1), script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.lines[0] == scheme


def test_a_password_with_special_characters_is_passed_unchanged(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    password, role = "a%40@/:?#'é b", f"odd_{Target.from_url(database).dbname}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} SUPERUSER LOGIN".encode())
        connection.execute(psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(psycopg.sql.Identifier(role), password))
    url = Target.from_url(database).replacing(user=role, password=password).url()
    try:
        with trial(tmp_path, url, script_location="migrations") as migrate:
            migrate.apply()
            assert migrate.changes() == []
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}".encode()
            )


def test_an_interpreter_without_alembic_is_named(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    bare = tmp_path / "bin" / "python"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n')
    bare.chmod(0o755)
    with trial(tmp_path, database, script_location="migrations", python="bin/python") as migrate:
        with pytest.raises(MigrationError, match="No module named") as caught:
            migrate.apply()
        assert caught.value.hint is not None
        assert "python:" in caught.value.hint


def test_a_missing_interpreter_is_named(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    with (
        trial(tmp_path, database, script_location="migrations", python="absent/python") as migrate,
        pytest.raises(MigrationError, match=r"cannot start .*absent/python"),
    ):
        migrate.apply()


def test_a_module_of_the_project_may_have_the_name_of_one_of_bootstrapper(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "import settings, history\nprint(settings.NAME, history.NAME)\n" + ENV)
    (tmp_path / "settings.py").write_text("NAME = 'theirs'\n")
    (tmp_path / "history.py").write_text("NAME = 'too'\n")
    write_revision(tmp_path, "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.lines == ["theirs too"]
