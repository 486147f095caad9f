"""Snapshots of an embedded server's database: what they hold, and what a killed command leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from bootstrapper.backups.snapshots import Snapshots, require_name
from bootstrapper.deadline import Deadline
from bootstrapper.errors import GuardError, UsageError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.embedded import EmbeddedServer
from tests.postgres.server.embedding import FAST
from tests.waiting import at_most

KILLED = """
import os, signal, sys
from bootstrapper.backups import snapshots
from bootstrapper.deadline import Deadline
from bootstrapper.postgres.connection.target import Target

url, what, name, function, moment = sys.argv[1:]
original = getattr(snapshots, function)

def die(*arguments):
    if moment == "after":
        original(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(snapshots, function, die)
getattr(snapshots.Snapshots(Target.from_url(url), Deadline.never()), what)(name)
"""
POINTS = [("copy_properties", "before"), ("_rename", "before"), ("_rename", "after")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    embedded = EmbeddedServer(tmp_path_factory.mktemp("snapshots") / "server", settings=FAST)
    try:
        yield embedded.start()
    finally:
        embedded.stop()


@pytest.fixture
def snapshots(server: Target) -> Iterator[Snapshots]:
    """Snapshots of a database with one table and one row."""
    with outside(server) as connection:
        connection.execute("DROP DATABASE app WITH (FORCE)")
        connection.execute("CREATE DATABASE app")
    ask(server, "CREATE TABLE notes AS SELECT 'first' AS body")
    made = Snapshots(server, Deadline.after(at_most(60)))
    yield made
    for each in made.listed():
        made.remove(each.name)
    assert databases(server) == {"app", "postgres", "template0", "template1"}


@contextmanager
def outside(server: Target) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(server.with_database("postgres").conninfo(), autocommit=True) as connection:
        yield connection


def ask(server: Target, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def notes(server: Target) -> list[object]:
    return [body for (body,) in ask(server, "SELECT body FROM notes ORDER BY body")]


def databases(server: Target) -> set[object]:
    with outside(server) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_a_loaded_snapshot_brings_back_what_was_saved_and_stays(snapshots: Snapshots, server: Target) -> None:
    assert snapshots.save("before") == 0
    for _ in range(2):
        ask(server, "INSERT INTO notes VALUES ('second'); CREATE TABLE others ()")
        snapshots.load("before")
        assert notes(server) == ["first"]
        assert ask(server, "SELECT to_regclass('others')") == [(None,)]
    assert [each.name for each in snapshots.listed()] == ["before"]


def test_settings_grants_and_comment_of_the_database_come_back(snapshots: Snapshots, server: Target) -> None:
    query = """SELECT (SELECT array_agg(setconfig::text) FROM pg_db_role_setting AS s WHERE s.setdatabase = d.oid),
        datacl::text, shobj_description(d.oid, 'pg_database'), datallowconn
        FROM pg_database AS d WHERE datname = 'app'"""
    ask(
        server,
        """ALTER DATABASE app SET search_path = notes, "A b"; REVOKE TEMPORARY ON DATABASE app FROM PUBLIC;
        COMMENT ON DATABASE app IS 'ours'""",
    )
    before = ask(server, query)
    snapshots.save("before")
    ask(server, "ALTER DATABASE app RESET ALL; COMMENT ON DATABASE app IS 'changed'")
    snapshots.load("before")
    assert ask(server, query) == before


def test_an_existing_snapshot_is_replaced_only_on_request(snapshots: Snapshots, server: Target) -> None:
    snapshots.save("one")
    ask(server, "INSERT INTO notes VALUES ('second')")
    with pytest.raises(UsageError, match="snapshot 'one' already exists"):
        snapshots.save("one")
    snapshots.load("one")
    assert notes(server) == ["first"]
    ask(server, "INSERT INTO notes VALUES ('second')")
    snapshots.save("one", replaces=True)
    ask(server, "DELETE FROM notes")
    snapshots.load("one")
    assert notes(server) == ["first", "second"]


def test_connected_sessions_are_terminated_even_if_they_come_back_at_once(snapshots: Snapshots, server: Target) -> None:
    ended = threading.Event()

    def insist() -> None:
        while not ended.is_set():
            with suppress(psycopg.Error), psycopg.connect(server.conninfo()) as connection:
                connection.execute("SELECT pg_sleep(600)")

    pool = [threading.Thread(target=insist) for _ in range(3)]
    for thread in pool:
        thread.start()
    try:
        with psycopg.connect(server.conninfo()) as open_one:
            open_one.execute("INSERT INTO notes VALUES ('not committed')")
            assert snapshots.save("busy") >= 1
            with pytest.raises(psycopg.OperationalError):
                open_one.execute("SELECT 1")
    except psycopg.OperationalError:
        pass  # the end of the block commits a connection that is gone
    finally:
        snapshots.load("busy")
        ended.set()
        with outside(server) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'")
        for thread in pool:
            thread.join(at_most(20))
    assert notes(server) == ["first"]


@pytest.mark.parametrize("what", ["save", "load"])
def test_a_run_is_not_terminated(snapshots: Snapshots, server: Target, what: str) -> None:
    snapshots.save("before")
    with psycopg.connect(server.conninfo(), application_name="bootstrapper/shop") as run:
        with pytest.raises(GuardError, match="a run is connected to database 'app'"):
            snapshots.load("before") if what == "load" else snapshots.save("again")
        assert run.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(("function", "moment"), POINTS)
@pytest.mark.parametrize("what", ["save", "load"])
def test_a_killed_command_leaves_the_old_state_or_the_new_one(
    snapshots: Snapshots, server: Target, what: str, function: str, moment: str
) -> None:
    snapshots.save("before")
    ask(server, "INSERT INTO notes VALUES ('second')")
    name = "before" if what == "load" else "again"
    command = [sys.executable, "-c", KILLED, server.url(), what, name, function, moment]
    killed = subprocess.run(command, capture_output=True, timeout=at_most(60), check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    was_done = moment == "after"
    assert notes(server) == (["first"] if what == "load" and was_done else ["first", "second"])
    saved = ["again", "before"] if what == "save" and was_done else ["before"]
    assert [each.name for each in snapshots.listed()] == saved
    assert not [name for name in databases(server) if "snapshotting" in str(name)]
    snapshots.load("before")
    assert notes(server) == ["first"]


@pytest.mark.parametrize("name", ["", "a b", "../etc", "-x", "ä", "a" * 41, 'a"b', "a\n"])
def test_a_name_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid name of a snapshot"):
        require_name(name)


def test_a_name_may_be_as_long_as_the_server_allows(snapshots: Snapshots) -> None:
    longest = "a" * 40
    require_name(longest)
    snapshots.save(longest)
    assert [each.name for each in snapshots.listed()] == [longest]


@pytest.mark.parametrize("what", ["load", "remove"])
def test_a_missing_snapshot_gets_a_hint(snapshots: Snapshots, what: str) -> None:
    snapshots.save("before")
    with pytest.raises(UsageError, match="snapshot 'befor' does not exist") as caught:
        getattr(snapshots, what)("befor")
    assert caught.value.hint == "Did you mean 'before'?"
