"""What happened to the database while a run waited for the lock: it is looked at again, and told as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from bootstrapper.builtin.steps import lock
from bootstrapper.builtin.steps.lock import Lock
from bootstrapper.errors import GuardError
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
