"""The settings of our sessions, whatever the server, the role and the address say."""

from urllib.parse import quote

import psycopg
import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.postgres.connection import settings
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from tests.faults.pgbouncer import PgBouncer
from tests.projects import TrialProject
from tests.servers import Server

SHOWN = ("TimeZone", "DateStyle", "IntervalStyle", "standard_conforming_strings", "statement_timeout")
OURS = ["UTC", "ISO, MDY", "postgres", "on", "0"]
FOREIGN = {
    "TimeZone": "Asia/Tokyo",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "standard_conforming_strings": "off",
    "statement_timeout": "1min",
}


@pytest.fixture
def odd_database(database: str, server: Server) -> str:
    """A database with other settings than ours."""
    name = database.rpartition("/")[2]
    for setting, value in FOREIGN.items():
        server.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    return database


def session(url: str) -> Session:
    return Session(Target.from_url(url), application_name="test", deadline=Deadline.after(20))


def shown(connection: psycopg.Connection[object]) -> list[object]:
    return [connection.execute(f"SHOW {name}".encode()).fetchone()[0] for name in SHOWN]  # type: ignore[index]


def test_a_direct_session_has_our_settings_from_the_first_statement(odd_database: str) -> None:
    made = session(odd_database)
    assert shown(made.connection) == OURS
    made.close()


def test_a_pooled_look_has_our_settings_and_leaves_nothing_behind(odd_database: str, server: Server) -> None:
    with PgBouncer(server, "transaction", pool_size=1) as bouncer:
        made = session(bouncer.url(odd_database))
        with made.read_only() as connection:
            assert shown(connection) == OURS
        with psycopg.connect(bouncer.url(odd_database), autocommit=True) as other:
            assert shown(other) == [FOREIGN[name] for name in SHOWN]
        made.close()


@pytest.mark.parametrize("pooled", [False, True])
def test_a_look_that_goes_on_after_an_error_keeps_its_limits(odd_database: str, server: Server, pooled: bool) -> None:
    with PgBouncer(server, "transaction", pool_size=1) as bouncer:
        made = session(bouncer.url(odd_database) if pooled else odd_database)
        with made.read_only(lock_timeout_seconds=7) as connection:
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1/0")
            made.look_on()
            assert shown(connection) == OURS
            limits = "SELECT current_setting('lock_timeout'), current_setting('transaction_read_only')"
            assert connection.execute(limits).fetchone() == ("7s", "on")
        made.close()


@pytest.mark.parametrize("pooled", [False, True])
def test_a_savepoint_leaves_the_limits_of_the_look_around_it(database: str, server: Server, pooled: bool) -> None:
    with PgBouncer(server, "transaction", pool_size=1) as bouncer:
        made = session(bouncer.url(database) if pooled else database)
        with made.read_only(lock_timeout_seconds=7) as connection:
            with settings.transaction(connection):
                assert shown(connection) == OURS
            assert connection.execute("SHOW lock_timeout").fetchone() == ("7s",)
        made.close()


def test_behind_a_pooler_a_seed_in_parts_finds_the_types_of_the_project(project: TrialProject, server: Server) -> None:
    project.rows("CREATE TYPE mood AS ENUM ('calm', 'glad'); CREATE TABLE people (name text PRIMARY KEY, mood mood)")
    project.write(
        """
steps:
  - uses: lock
  - {uses: seed, with: {batch: 1}}
fixtures:
  people: {key: [name], rows: [{name: ann, mood: calm}, {name: bob, mood: glad}, {name: cat, mood: calm}]}
"""
    )
    direct = project.database
    with PgBouncer(server, "transaction", pool_size=2) as bouncer:
        project.database = bouncer.url(direct)
        project.apply()
        assert project.plan().pending == ()
    project.database = direct
    assert project.rows("SELECT count(*) FROM people") == [(3,)]


def test_lent_settings_are_those_of_the_projects_own_sessions(odd_database: str) -> None:
    made = session(odd_database)
    with made.read_only() as connection:
        with settings.lent(connection):
            assert shown(connection)[:3] == [FOREIGN[name] for name in SHOWN[:3]]
        assert shown(connection) == OURS
    made.close()


@pytest.mark.parametrize("options", ["-c statement_timeout=1", "-c client_encoding=LATIN1 -c lock_timeout=1"])
def test_options_of_the_address_do_not_cut_a_run_short(project: TrialProject, options: str) -> None:
    plain = project.database
    project.database += f"?options={quote(options)}"
    project.write(
        """
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE notes AS SELECT 'ž' AS text FROM pg_sleep(0.05)"}
    check: {table: notes}
"""
    )
    project.apply()
    project.database = plain
    assert project.has("notes")
