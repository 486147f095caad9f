"""The worker with every release and driver: it needs nothing of ours, and keeps the same promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from bootstrapper.errors import FencedOffError, MigrationError
from bootstrapper.events import Warned
from bootstrapper.plugin.context import Context
from bootstrapper.postgres.lock.hold import Hold
from tests.environments.kinds import Environment
from tests.environments.project import OwnProject
from tests.migrations.contexts import Trial
from tests.migrations.projects import create_table
from tests.waiting import eventually

TAKE_OVER = "UPDATE bootstrapper.lock SET token = token + 1"
TAKEN_BETWEEN_THE_REVISIONS = f"""
class Rival(logging.Handler):
    def emit(self, record):
        if "first -> second" in record.getMessage():
            with connection.engine.connect() as other, other.begin():
                other.exec_driver_sql("{TAKE_OVER}")

logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)
logging.getLogger("alembic.runtime.migration").addHandler(Rival())
"""
SHOW_RELEASES = """
import alembic, sqlalchemy
print(alembic.__version__, sqlalchemy.__version__, connection.dialect.driver)
"""


def apply_directly(migrate: Trial, hold: Hold) -> None:
    """Without the executor's own fenced transactions around it: what is left is the worker's fence."""
    migrate.step.apply(Context(replace(migrate.context, hold=hold)), migrate.changes())


def test_a_second_apply_has_nothing_to_do(own: OwnProject) -> None:
    own.write(first=create_table("a"), second=create_table("b"))
    with own.trial() as migrate:
        migrate.apply()
        assert own.tables() == {"a", "b", "alembic_version"}
        assert own.version() == [("second",)]
        assert migrate.progress == [(0, 2), (1, 2), (2, 2)]
        assert migrate.changes() == []


def test_it_runs_with_the_releases_and_the_driver_of_the_project(own: OwnProject) -> None:
    own.write(before=SHOW_RELEASES, first="pass")
    with own.trial() as migrate:
        migrate.apply()
        alembic, sqlalchemy, driver = migrate.lines[0].split()
    found = Environment(f"alembic=={alembic}", f"SQLAlchemy=={sqlalchemy}", driver.removesuffix("_async"))
    assert found == own.kind.environment


def test_an_engine_that_other_code_makes_gets_a_driver_that_it_takes(own: OwnProject) -> None:
    maker = "AsyncEngine(create_engine(url, poolclass=pool.NullPool))" if own.kind.is_async else "create_engine(url)"
    own.write(first=create_table("a"))
    env = own.kind.env().replace("create_async_engine(url, ", "make(url, ").replace("create_engine(url, ", "make(url, ")
    (own.folder / "migrations" / "env.py").write_text("from engines import make\n" + env)
    (own.folder / "engines.py").write_text(
        "from sqlalchemy import create_engine, pool\nfrom sqlalchemy.ext.asyncio import AsyncEngine\n\n\n"
        f"def make(url, poolclass):\n    return {maker}\n"
    )
    with own.trial() as migrate:
        migrate.apply()
        assert migrate.changes() == []
    assert own.tables() == {"a", "alembic_version"}


def test_a_second_connection_of_a_revision_is_warned_about(own: OwnProject) -> None:
    own.write(first=create_table("a"), second="sa.inspect(op.get_bind().engine).get_table_names()")
    with own.trial() as migrate:
        migrate.apply()
        warnings = [event.message for event in migrate.events if isinstance(event, Warned)]
    assert [message.partition(",")[0] for message in warnings] == ["revision second uses a second connection"]


def test_a_lock_taken_over_between_two_revisions_keeps_the_second_from_its_ddl(own: OwnProject) -> None:
    own.write(
        before=TAKEN_BETWEEN_THE_REVISIONS,
        first=create_table("a"),
        second=f"print('DDL runs')\n{create_table('b')}",
    )
    with own.trial() as migrate, migrate.held() as hold:
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
        assert "DDL runs" not in migrate.lines
    assert own.tables() == {"a", "alembic_version"}
    assert own.version() == [("first",)]


def test_a_lock_taken_over_while_the_ddl_runs_takes_the_ddl_back_at_the_version_row(own: OwnProject) -> None:
    own.write(first=create_table("a"), second=f"{create_table('b')}\nop.execute('{TAKE_OVER}')\nprint('DDL ran')")
    with own.trial() as migrate, migrate.held() as hold:
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
        assert "DDL ran" in migrate.lines
    assert own.tables() == {"a", "alembic_version"}
    assert own.version() == [("first",)]


def test_a_lock_taken_over_in_an_autocommit_block_stops_what_follows_the_block(own: OwnProject) -> None:
    block = f"with op.get_context().autocommit_block():\n    op.execute('{TAKE_OVER}')\n"
    own.write(first=create_table("a"), second=f"{block}print('DDL goes on')\n{create_table('b')}")
    with own.trial() as migrate, migrate.held() as hold:
        with pytest.raises(FencedOffError):
            apply_directly(migrate, hold)
        assert "DDL goes on" not in migrate.lines
    assert own.tables() == {"a", "alembic_version"}


def test_an_index_is_built_concurrently_in_an_autocommit_block(own: OwnProject) -> None:
    block = "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY a_id ON a (id)')"
    own.write(first=create_table("a"), second=f"{create_table('b')}\n{block}\n{create_table('c')}")
    with own.trial() as migrate:
        migrate.apply()
        assert migrate.changes() == []
    assert own.rows("SELECT to_regclass('a_id') IS NOT NULL, to_regclass('c') IS NOT NULL") == [(True, True)]


def test_a_revision_that_fails_leaves_the_one_before_and_nothing_of_its_own(own: OwnProject) -> None:
    own.write(first=create_table("a"), second=f"{create_table('b')}\nop.execute('SELECT 1/0')")
    with own.trial() as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        error = caught.value
    assert (error.revision, error.statement, error.sqlstate) == ("second", "SELECT 1/0", "22012")
    assert error.reason == "division by zero"
    assert own.tables() == {"a", "alembic_version"}
    assert own.version() == [("first",)]


def test_the_password_is_not_shown_where_a_failing_statement_has_it(own: OwnProject) -> None:
    own.write(first="op.execute(\"SELECT 'correct horse'::integer\")")
    with own.trial() as migrate:
        with pytest.raises(MigrationError) as caught:
            migrate.apply()
        shown = f"{caught.value}{caught.value.statement}{caught.value.reason}{migrate.lines}"
    assert caught.value.sqlstate == "22P02"
    assert "***" in shown
    assert "correct horse" not in shown


def test_each_revision_is_limited_and_its_backend_is_noted_in_the_lock(own: OwnProject) -> None:
    settings = "current_setting('lock_timeout'), current_setting('statement_timeout')"
    ask = f"SELECT {settings}, worker_backend_pid = pg_backend_pid() FROM bootstrapper.lock"
    ask = f'print(*op.get_bind().exec_driver_sql("{ask}").one())'
    own.write(first=ask, second=ask)
    with own.trial(lock_timeout="1500ms", statement_timeout="7s") as migrate:
        migrate.apply()
        assert migrate.lines == ["1500ms 7s True", "1500ms 7s True"]


def test_a_reader_behind_a_revision_that_waits_gets_through_and_the_revision_later(own: OwnProject) -> None:
    own.write(first="op.execute('CREATE TABLE busy (id integer)')")
    with own.trial(lock_timeout="500ms") as migrate, ThreadPoolExecutor() as threads:
        migrate.apply()
        own.write(first="pass", second=create_table("b"), third="op.execute('ALTER TABLE busy ADD more integer')")
        with psycopg.connect(own.database) as holder:
            holder.execute("SELECT * FROM busy")

            def read_behind_the_revision() -> None:
                try:
                    wait_for_a_waiter(own)
                    with psycopg.connect(own.database, options="-c statement_timeout=5s") as reader:
                        reader.execute("SELECT * FROM busy")
                finally:
                    holder.rollback()

            reading = threads.submit(read_behind_the_revision)
            migrate.apply()
            reading.result()
        assert any("retrying in" in line for line in migrate.lines)
        assert migrate.changes() == []
        assert migrate.progress[-2:] == [(1, 2), (2, 2)]


def wait_for_a_waiter(own: OwnProject) -> None:
    waiting = "SELECT FROM pg_locks WHERE relation = 'busy'::regclass AND NOT granted"
    assert eventually(lambda: own.rows(waiting), 30), "no revision waits for the table"


def test_revisions_that_only_running_them_would_tell_are_read_by_the_projects_alembic(own: OwnProject) -> None:
    own.write(first=create_table("a"), second=create_table("b"))
    computed = own.folder / "migrations" / "versions" / "second_.py"
    computed.write_text(computed.read_text().replace("revision = 'second'", "revision = 'sec' + 'ond'", 1))
    with own.trial() as migrate:
        assert migrate.pending() == ["revision first", "revision second"]
        migrate.apply()
        assert migrate.changes() == []
