"""The lock step: waiting, giving up, and finding the work done."""

from __future__ import annotations

import threading

import pytest

from bootstrapper.api import locking, run
from bootstrapper.api.outcomes import Outcome
from bootstrapper.builtin.steps.lock import Lock
from bootstrapper.errors import (
    ExitCode,
    GuardError,
    LockTimeoutError,
)
from bootstrapper.events import LockAwaited, RunStarted
from bootstrapper.postgres.lock import turnstile
from tests.engine.notes import NOTE, ONE_TABLE, locked, note
from tests.projects import TrialProject
from tests.waiting import at_most, eventually


def test_a_lock_that_is_never_free_has_its_own_exit_code(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    with locked(project.database), pytest.raises(LockTimeoutError) as caught:
        project.apply()
    assert caught.value.exit_code is ExitCode.LOCKED


def test_a_waiting_run_keeps_waiting_while_the_holder_is_between_two_states(project: TrialProject) -> None:
    looks = project.folder / "looks"
    note(project, changes=f"with open({str(looks)!r}, 'a') as file: file.write('x')\n        return []")
    project.write(
        NOTE.replace("200ms", "20s") + "    check: {sql: \"SELECT to_regclass('one') IS NULL\"}\n"
        '  - uses: sql\n    with: {statement: "CREATE TABLE two ()"}\n    check: {table: two}\n'
    )
    failures: list[BaseException] = []

    def run() -> None:
        try:
            project.apply()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    with locked(project.database):
        waiter = threading.Thread(target=run)
        waiter.start()
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in project.events))
        project.rows("CREATE TABLE one ()")  # now the check says no, and the step sees nothing to do
        before = looks.stat().st_size if looks.exists() else 0
        assert eventually(lambda: bool(failures) or (looks.exists() and looks.stat().st_size > before))
        assert not failures
        project.rows("DROP TABLE one")
    waiter.join(at_most(20))
    assert failures == []
    assert project.has("two")


def test_a_run_that_finds_all_done_under_the_lock_leaves_none_behind(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lock, "_is_done_meanwhile", lambda *_: False)  # the other run ends just after that look
    project.write(ONE_TABLE.replace("200ms", "20s"))
    outcomes: list[Outcome] = []
    waiter = threading.Thread(target=lambda: outcomes.append(project.apply()))
    with locked(project.database):
        waiter.start()
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in project.events))
        project.rows("CREATE TABLE one ()")
    waiter.join(at_most(20))
    assert [(outcome.applied, outcome.run_id) for outcome in outcomes] == [((), None)]
    assert project.rows("SELECT count(*) FROM bootstrapper.runs") == [(0,)]


def test_commands_that_only_look_or_break_the_lock_do_not_queue(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queued(*_: object) -> bool:
        raise AssertionError("it queued")

    monkeypatch.setattr(turnstile.Turnstile, "enter", queued)
    project.write(ONE_TABLE)
    project.plan()
    project.status()
    run.wait(project.request())
    assert locking.lock_state(project.request()) is None
    with pytest.raises(GuardError, match="the lock is free"):
        locking.break_lock(project.request(), "0" * 36)
    with pytest.raises(AssertionError, match="it queued"):
        project.apply()


@pytest.mark.parametrize("places", [1, 4])
def test_of_several_waiting_runs_one_does_what_always_runs(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    monkeypatch.setattr(turnstile, "PLACES", places)  # with one, the second queues and has not connected yet
    project.rows("CREATE TABLE log (id int)")
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "INSERT INTO log VALUES (1)"}
    check: never
""")
    outcomes: list[Outcome] = []
    waiters = [threading.Thread(target=lambda: outcomes.append(project.apply())) for _ in range(2)]
    with locked(project.database):
        for waiter in waiters:
            waiter.start()
        assert eventually(lambda: sum(isinstance(event, RunStarted) for event in project.events) == len(waiters))
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in project.events))
    for waiter in waiters:
        waiter.join(at_most(20))
    assert sorted(len(outcome.applied) for outcome in outcomes) == [0, 1]
    project.apply()  # a later one asks for a run of its own
    assert project.rows("SELECT count(*) FROM log") == [(2,)]
