"""What happened to the database while a run waited for the lock: it is looked at again, and told as it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from bootstrapper.api import run
from bootstrapper.builtin.steps import lock
from bootstrapper.builtin.steps.lock import Lock
from bootstrapper.errors import ForeignDatabaseError, GuardError
from bootstrapper.events import Event, Warned
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.acquire import Holder, advisory_key
from tests.cli.project import Project
from tests.projects import TrialProject
from tests.servers import Server

STEPS = """
steps:
  - uses: lock
  - uses: sql
    name: one
    with: {statement: "CREATE TABLE one ()"}
    check: {table: one}
"""
RESTORED = """
INSERT INTO bootstrapper.runs (run_id, token, command, inputs, version, host, pid, finished_at, outcome)
VALUES ('01a20000-0000-7000-8000-000000000000', 1, 'restore', '', '', '', 1, clock_timestamp(), 'done')
"""
Meanwhile = Callable[[str], None]


@pytest.fixture
def meanwhile(project: TrialProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meanwhile]:
    """Another session holds the lock; what is done, once a run waits for it, before it is free."""
    with psycopg.connect(project.database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (advisory_key(LedgerNames()),))

        def do(statements: str) -> None:
            def pause(*_: object) -> None:
                other.execute(statements.encode())
                other.execute("SELECT pg_advisory_unlock_all()")

            monkeypatch.setattr(Lock, "_pause", pause)

        yield do


def last_words(project: TrialProject) -> str:
    project.write(STEPS)
    ended = Project(project.folder, project.database).run("apply")
    assert ended.returncode == 0, ended.stderr
    return ended.stderr.splitlines()[-1]


def test_what_was_done_by_hand_is_called_no_other_runs_work(project: TrialProject, meanwhile: Meanwhile) -> None:
    meanwhile("CREATE TABLE one ()")
    assert last_words(project) == "nothing left to do: the changes were made in the meantime"


def test_a_step_that_is_unneeded_under_the_lock_is_reported_with_its_reason(
    project: TrialProject, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile("CREATE TABLE one ()")
    monkeypatch.setattr(Lock, "_is_done_meanwhile", lambda *_: False)  # done just after that look
    assert last_words(project) == "nothing left to do: one is unchanged: table one exists"


def test_a_run_that_waited_applies_nothing_to_a_database_restored_meanwhile(
    project: TrialProject, meanwhile: Meanwhile
) -> None:
    with psycopg.connect(project.database) as connection:
        ledger.create(connection, LedgerNames())
    meanwhile(RESTORED)
    project.write(STEPS)
    with pytest.raises(GuardError, match="the database was restored by run 01a20000-0000-7000-8000-000000000000 after"):
        project.apply()
    assert not project.has("one")
    assert project.rows("SELECT outcome FROM bootstrapper.runs ORDER BY serial DESC LIMIT 1") == [("failed",)]
    assert project.apply().run_id is not None  # it was asked for after the restore
    assert project.has("one")


def test_a_run_that_waited_applies_nothing_to_another_database_that_took_the_name(
    project: TrialProject, new_database: Callable[[], str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other = (url.rpartition("/")[2] for url in (project.database, new_database()))

    def swap(*_: object) -> None:
        server.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_x"')
        server.execute(f'ALTER DATABASE "{other}" RENAME TO "{name}"')
        server.execute(f'ALTER DATABASE "{name}_x" RENAME TO "{other}"')

    busy = iter([Holder()])
    take = lock.try_take
    monkeypatch.setattr(lock, "try_take", lambda *arguments: next(busy, None) or take(*arguments))
    monkeypatch.setattr(Lock, "_pause", swap)
    project.write(STEPS)
    with pytest.raises(GuardError, match="the database was replaced by another database of the same name"):
        project.apply()
    assert not project.has("one")


class Moving:
    """A project whose address a program tells; it may lead to a database on another server."""

    def __init__(self, project: TrialProject, server: Server) -> None:
        self.project = project
        name = f"elsewhere_{os.getpid()}_{time.monotonic_ns()}"
        server.create_database(name)
        self.elsewhere = TrialProject(project.folder, server.url(name))
        (project.folder / "url").write_text(project.database)

    def write(self, steps: str) -> None:
        url = f"{{$command: [cat, {self.project.folder / 'url'}]}}"
        self.project.write(f"version: 1\nname: trial\ndatabase: {{url: {url}}}\n{steps}")
        self.project.variables["PATH"] = os.environ["PATH"]

    def move(self, *_: object) -> None:
        (self.project.folder / "url").write_text(self.elsewhere.database)


@pytest.fixture
def moving(project: TrialProject, path_server: Server) -> Iterator[Moving]:
    made = Moving(project, path_server)
    yield made
    name = made.elsewhere.database.rpartition("/")[2]
    path_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("is_seen_before_the_lock", [True, False])
def test_a_run_that_waited_writes_nothing_to_another_server(
    moving: Moving, monkeypatch: pytest.MonkeyPatch, is_seen_before_the_lock: bool
) -> None:
    busy = iter([Holder()])
    take = lock.try_take
    monkeypatch.setattr(lock, "try_take", lambda *arguments: next(busy, None) or take(*arguments))
    monkeypatch.setattr(Lock, "_pause", moving.move)
    if not is_seen_before_the_lock:
        monkeypatch.setattr(Lock, "_is_done_meanwhile", lambda *_: False)
    moving.write(STEPS)
    with pytest.raises(ForeignDatabaseError, match="is another server than when this run began"):
        moving.project.apply()
    assert not moving.elsewhere.has("one")
    assert (
        not moving.elsewhere.has("bootstrapper.runs") or moving.elsewhere.rows("SELECT * FROM bootstrapper.runs") == []
    )


def test_a_run_that_lost_its_connection_does_not_go_on_on_another_server(moving: Moving) -> None:
    lose = "  - {uses: sql, with: {statement: SELECT pg_terminate_backend(pg_backend_pid())}, check: never}\n"
    moving.write(STEPS.replace("  - uses: sql\n", lose + "  - uses: sql\n", 1))

    def move(event: Event) -> None:
        if isinstance(event, Warned) and "looking again" in event.message:
            moving.move()

    with pytest.raises(ForeignDatabaseError, match="is another server than when this run began"):
        run.apply(replace(moving.project.request(), emit=move))
    assert not moving.elsewhere.has("bootstrapper.runs")


PROTECTED = """
INSERT INTO bootstrapper.runs (run_id, token, command, environment, inputs, version, host, pid, finished_at, outcome)
VALUES ('01a20000-0000-7000-8000-000000000000', 1, 'apply', 'prod', '', '', '', 1, clock_timestamp(), 'done')
"""


@pytest.mark.parametrize("is_seen_before_the_lock", [True, False])
def test_a_database_that_a_protected_environment_wrote_to_meanwhile_stays_its_own(
    project: TrialProject, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch, is_seen_before_the_lock: bool
) -> None:
    with psycopg.connect(project.database) as connection:
        ledger.create(connection, LedgerNames())
    meanwhile(PROTECTED)
    if not is_seen_before_the_lock:
        monkeypatch.setattr(Lock, "_is_done_meanwhile", lambda *_: False)
    project.write("environments: {dev: {}, prod: {protected: true}}\n" + STEPS)
    for _ in range(2):  # the first refusal has not made the database one of this environment
        with pytest.raises(ForeignDatabaseError, match="last written by a run of the protected environment 'prod'"):
            project.apply(environment="dev")
        assert not project.has("one")
        assert project.rows("SELECT environment FROM bootstrapper.runs") == [("prod",)]
    confirmed = project.apply(environment="dev", confirmed=project.database.rpartition("/")[2])
    assert confirmed.run_id is not None
    assert project.has("one")
