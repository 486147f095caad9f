"""The functions of the package, as a program calls them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import bootstrapper
from bootstrapper import BootstrapperError, Stop
from bootstrapper.errors import (
    GuardError,
    InvalidFileError,
    PendingError,
    RunInterrupted,
    RunTerminated,
    StalePlanError,
    UnreachableError,
    UsageError,
)
from bootstrapper.events import Event, StepStarted
from tests.cli.project import BOOTSTRAP, Project
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject
from tests.waiting import at_most, eventually

SLOW = """
version: 1
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: sql
    name: quick
    with: {statement: "CREATE TABLE quick (id int)"}
    check: {table: quick}
  - uses: sql
    name: slow
    with: {statement: "CREATE TABLE slow AS SELECT pg_sleep(600)::text"}
    check: {table: slow}
"""


@pytest.fixture
def variables(project: TrialProject) -> dict[str, str]:
    project.write(BOOTSTRAP)
    return {"DATABASE_URL": project.database, "BOOTSTRAPPER_FILE": str(project.folder / "bootstrap.yaml")}


def test_a_database_is_planned_applied_and_looked_at(variables: dict[str, str]) -> None:
    pending = bootstrapper.plan(variables=variables)
    assert [step.name for step in pending.pending] == ["notes", "first-note"]
    outcome = bootstrapper.apply(variables=variables, timeout=at_most(60))
    assert [step.name for step in outcome.applied] == ["notes", "first-note"]
    assert bootstrapper.apply(variables=variables).applied == ()
    assert bootstrapper.follow(variables=variables).is_reached
    found = bootstrapper.status(variables=variables)
    assert found.last_run is not None
    assert found.last_run.run_id == outcome.run_id
    assert bootstrapper.wait(variables=variables).database.database == found.plan.database.database


def test_the_health_is_read_if_it_is_asked_for(variables: dict[str, str]) -> None:
    assert bootstrapper.status(variables=variables).health is None
    found = bootstrapper.status(variables=variables, health=True)
    assert isinstance(found.health, bootstrapper.Health)
    assert 0 < found.health.connections < found.health.limit
    assert (found.health.long_transactions, found.invalid_objects) == ((), ())
    assert asyncio.run(bootstrapper.astatus(variables=variables, health=True)).health is not None


def test_what_was_changed_by_hand_in_the_schema_is_returned(variables: dict[str, str], project: TrialProject) -> None:
    with pytest.raises(UsageError, match="no step that uses 'migrate'"):
        bootstrapper.drift(variables=variables)
    project.write("steps: [{uses: lock}, {uses: migrate, with: {script_location: migrations}}]\n")
    write_env(project.folder)
    write_revision(project.folder, "first", upgrade=create_table("users"))
    with pytest.raises(GuardError, match="is at no revision"):
        bootstrapper.drift(variables=variables)
    bootstrapper.apply(variables=variables)
    assert bootstrapper.drift(variables=variables).differences == ()
    project.rows("ALTER TABLE users ADD COLUMN by_hand int")
    found = bootstrapper.drift(variables=variables)
    assert isinstance(found, bootstrapper.Drift)
    assert found.revisions == ("first",)
    assert found.database.database == project.database.rpartition("/")[2]
    assert found.differences == (bootstrapper.Difference("added", "column public.users.by_hand"),)


def test_only_the_steps_that_are_named_are_applied(variables: dict[str, str], project: TrialProject) -> None:
    outcome = bootstrapper.apply(variables=variables, steps=["notes"])
    assert [step.name for step in outcome.applied] == ["notes"]
    assert bootstrapper.apply(variables=variables, skip=["first-note"]).applied == ()
    assert project.rows("SELECT * FROM notes") == []


def test_one_step_may_be_named_without_a_list(variables: dict[str, str]) -> None:
    assert [step.name for step in bootstrapper.plan(variables=variables, steps="notes").pending] == ["notes"]


def test_the_url_is_given_for_a_driver(variables: dict[str, str], project: TrialProject) -> None:
    assert bootstrapper.url(variables=variables) == project.database
    assert bootstrapper.url(variables=variables, driver="asyncpg").startswith("postgresql+asyncpg://")


def test_every_public_name_is_listed() -> None:
    assert set(bootstrapper.__all__) <= set(dir(bootstrapper))
    assert all(hasattr(bootstrapper, name) for name in bootstrapper.__all__)


def test_a_single_look_says_what_is_pending(variables: dict[str, str], project: TrialProject) -> None:
    with pytest.raises(PendingError, match=r"^changes are pending in notes, first-note$"):
        bootstrapper.follow(variables=variables, once=True)
    assert not project.has("bootstrapper.lock")


def test_the_file_the_environment_and_the_variables_come_from_the_process(
    variables: dict[str, str], project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(BOOTSTRAP + "environments: {test: {}}\n")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DATABASE_URL", project.database)
    monkeypatch.delenv("BOOTSTRAPPER_FILE", raising=False)
    monkeypatch.setenv("BOOTSTRAPPER_ENVIRONMENT", "test")
    assert bootstrapper.validate().environment == "test"
    assert bootstrapper.plan().environment == "test"
    assert bootstrapper.plan(Path("bootstrap.yaml"), environment="test").environment == "test"


def test_an_error_has_its_exit_code_and_says_whether_it_is_retryable(project: TrialProject) -> None:
    project.write("steps: [{uses: nothing}]\n")
    with pytest.raises(InvalidFileError) as invalid:
        bootstrapper.validate(project.folder / "bootstrap.yaml", variables={})
    assert (invalid.value.exit_code, invalid.value.retryable) == (2, False)
    project.write(BOOTSTRAP)
    nowhere = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"}
    with pytest.raises(UnreachableError) as unreachable:
        bootstrapper.apply(project.folder / "bootstrap.yaml", variables=nowhere, timeout=0.5)
    assert (unreachable.value.exit_code, unreachable.value.retryable) == (5, True)
    with pytest.raises(PendingError) as pending:
        bootstrapper.follow(
            project.folder / "bootstrap.yaml", variables={"DATABASE_URL": project.database}, timeout=0.5
        )
    assert (pending.value.exit_code, pending.value.retryable) == (4, False)


def test_events_are_logged_with_the_run_and_handed_on(
    variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    with caplog.at_level(logging.INFO, logger="bootstrapper"):
        outcome = bootstrapper.apply(variables=variables, on_event=events.append)
    records = [record for record in caplog.records if record.name == "bootstrapper"]
    assert [vars(record)["event"] for record in records if record.message.startswith("notes: ")] == [
        "step_started",
        "step_applied",
    ]
    assert len(records) == len(events)
    assert vars(records[0])["run_id"] is None
    assert {vars(record)["run_id"] for record in records[3:]} == {str(outcome.run_id)}
    assert vars(records[-1])["facts"]["outcome"] == "done"


def test_a_callback_that_raises_does_not_end_the_run(
    variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(event: Event) -> None:
        raise ZeroDivisionError

    assert len(bootstrapper.apply(variables=variables, on_event=wrong).applied) == 2
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


def test_nothing_is_printed_and_no_signal_handler_or_variable_is_touched(project: TrialProject) -> None:
    project.write(BOOTSTRAP + "  - uses: nothing\n")
    code = (
        "import os, signal, bootstrapper\n"
        "before = [signal.getsignal(number) for number in signal.valid_signals()], dict(os.environ), os.getcwd()\n"
        "try:\n    bootstrapper.apply()\nexcept bootstrapper.BootstrapperError:\n    pass\n"
        "os.environ['BOOTSTRAPPER_FILE'] = 'good.yaml'\n"
        "bootstrapper.apply()\n"
        "del os.environ['BOOTSTRAPPER_FILE']\n"
        "after = [signal.getsignal(number) for number in signal.valid_signals()], dict(os.environ), os.getcwd()\n"
        "raise SystemExit(before != after)\n"
    )
    project.write(BOOTSTRAP, "good.yaml")
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=Project(project.folder, project.database).variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=at_most(60),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.fixture
def slow(project: TrialProject) -> dict[str, str]:
    project.write(SLOW)
    return {"DATABASE_URL": project.database, "BOOTSTRAPPER_FILE": str(project.folder / "bootstrap.yaml")}


@pytest.mark.parametrize(("reason", "kind"), [("SIGTERM", RunTerminated), ("a request to stop", RunInterrupted)])
def test_a_run_that_is_stopped_rolls_back_and_releases_the_lock(
    slow: dict[str, str], project: TrialProject, reason: str, kind: type[BootstrapperError]
) -> None:
    stop, failed = Stop(), []

    def run() -> None:
        try:
            bootstrapper.apply(variables=slow, stop=stop)
        except BootstrapperError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    assert eventually(lambda: project.rows(f"{sleeping} AND state = 'active'") == [(1,)])
    stop.set(reason)
    thread.join(at_most(2))
    assert [type(error) for error in failed] == [kind]
    assert project.has("quick")
    assert not project.has("slow")
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]
    assert project.rows("SELECT run_id FROM bootstrapper.lock") == [(None,)]
    assert eventually(lambda: project.rows(sleeping) == [(0,)])


def test_a_run_is_stopped_while_it_waits_for_the_lock(slow: dict[str, str], project: TrialProject) -> None:
    events: list[Event] = []
    first, second = Stop(), Stop()
    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(bootstrapper.apply, variables=slow, stop=first, on_event=events.append)
        assert eventually(lambda: any(isinstance(event, StepStarted) and event.step == "slow" for event in events))
        waiter = pool.submit(bootstrapper.apply, variables=slow, stop=second)
        waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'bootstrapper/%'"
        assert eventually(lambda: len(project.rows(waiting)) >= 1)
        second.set()
        assert isinstance(waiter.exception(at_most(2)), RunInterrupted)
        assert not holder.done()
        first.set()
        assert isinstance(holder.exception(at_most(4)), RunInterrupted)


def test_a_run_is_stopped_while_it_waits_for_the_server(project: TrialProject) -> None:
    project.write(BOOTSTRAP.replace("timeout: 5s", "timeout: 10m"))
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            bootstrapper.wait,
            project.folder / "bootstrap.yaml",
            variables={"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"},
            on_event=lambda event: stop.set(),
            stop=stop,
        )
        assert isinstance(asked.exception(at_most(5)), RunInterrupted)


def test_a_run_that_is_stopped_ends_its_programs(project: TrialProject, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    program = f"import os, time; open('{mark}', 'w').write(str(os.getpid())); time.sleep(600)"
    project.write(
        "steps:\n  - uses: lock\n  - uses: command\n    with:\n"
        f'      run: [{sys.executable}, -c, "{program}"]\n'
        "    check: {table: never_made}\n"
    )
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            bootstrapper.apply,
            project.folder / "bootstrap.yaml",
            variables={**os.environ, "DATABASE_URL": project.database},
            stop=stop,
        )
        assert eventually(lambda: mark.exists() and mark.read_text())
        stop.set()
        assert isinstance(asked.exception(at_most(4)), RunInterrupted)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), signal.SIGKILL)


def test_threads_apply_different_files_to_different_databases(tmp_path: Path, new_database: Callable[[], str]) -> None:
    projects = [TrialProject(tmp_path / str(number), new_database()) for number in range(4)]
    for number, project in enumerate(projects):
        (project.folder / "plugins").mkdir(parents=True)
        (project.folder / "plugins/own.py").write_text(
            "from bootstrapper import Step, Change, hookimpl\n\n\n"
            "class Own(Step):\n"
            "    uses = 'own'\n\n"
            "    def changes(self, context):\n"
            f"        row = context.connection.execute(\"SELECT to_regclass('own_{number}') IS NULL\").fetchone()\n"
            f"        return [Change.create('own_{number}')] if row[0] else []\n\n"
            "    def apply(self, context, changes):\n"
            f"        context.connection.execute('CREATE TABLE own_{number} (id int)')\n\n\n"
            "@hookimpl\ndef bootstrapper_steps():\n    return [Own]\n"
        )
        project.write(BOOTSTRAP.replace("steps:", "plugins: [./plugins]\nsteps:") + "  - uses: own\n")

    def apply(each: TrialProject) -> bootstrapper.Outcome:
        return bootstrapper.apply(each.folder / "bootstrap.yaml", variables={"DATABASE_URL": each.database})

    with ThreadPoolExecutor(len(projects)) as pool:
        outcomes = list(pool.map(apply, projects))
    assert [len(outcome.applied) for outcome in outcomes] == [3] * 4
    assert [project.has(f"own_{number}") for number, project in enumerate(projects)] == [True] * 4


def test_threads_that_apply_the_same_file_do_it_once(variables: dict[str, str], project: TrialProject) -> None:
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda _: bootstrapper.apply(variables=variables), range(6)))
    assert sorted(len(outcome.applied) for outcome in outcomes) == [0, 0, 0, 0, 0, 2]
    assert project.rows("SELECT count(*) FROM notes") == [(1,)]


COMPUTES = """
import time
from bootstrapper import Change, Step, StepModel, hookimpl


class ComputesOptions(StepModel):
    mark: str


class Computes(Step[ComputesOptions]):
    uses = "computes"

    def changes(self, context):
        row = context.connection.execute("SELECT to_regclass('computed') IS NULL").fetchone()
        return [Change.create("computed")] if row[0] else []

    def apply(self, context, changes):
        open(self.options.mark, "w").close()
        time.sleep(1)
        context.connection.execute("CREATE TABLE computed AS SELECT pg_sleep(600)::text")


@hookimpl
def bootstrapper_steps():
    return [Computes]
"""


def test_a_stop_between_two_statements_ends_the_next_one(
    project: TrialProject, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "mark"
    project.write(COMPUTES, "plugins/computes.py")
    project.write(f"plugins: [./plugins]\nsteps:\n  - uses: lock\n  - uses: computes\n    with: {{mark: {mark}}}\n")
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        file, variables = project.folder / "bootstrap.yaml", {"DATABASE_URL": project.database}
        asked = pool.submit(bootstrapper.apply, file, variables=variables, stop=stop)
        assert eventually(mark.exists)
        stop.set()
        assert isinstance(asked.exception(at_most(3)), RunInterrupted)
    assert [record.levelname for record in caplog.records if "computes: " in record.message][-1] == "WARNING"
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]
    assert project.rows("SELECT run_id FROM bootstrapper.lock") == [(None,)]


@pytest.mark.parametrize("name", ["plan", "apply", "follow", "status"])
def test_a_stop_ends_a_look_that_waits_for_a_lock(variables: dict[str, str], project: TrialProject, name: str) -> None:
    bootstrapper.apply(variables=variables)
    stop = Stop()
    with psycopg.connect(project.database) as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute("LOCK TABLE bootstrapper.runs, bootstrapper.lock, notes")
        asked = pool.submit(getattr(bootstrapper, name), variables=variables, stop=stop)
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        assert eventually(lambda: asked.done() or project.rows(waits))
        stop.set()
        assert isinstance(asked.exception(at_most(3)), RunInterrupted)


def test_a_statement_that_an_administrator_cancels_is_not_a_bug(
    variables: dict[str, str], project: TrialProject
) -> None:
    bootstrapper.apply(variables=variables)
    ours = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(project.database) as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute("LOCK TABLE bootstrapper.runs, bootstrapper.lock, notes")
        asked = pool.submit(bootstrapper.status, variables=variables)
        assert eventually(lambda: project.rows(f"SELECT pg_cancel_backend(pid) {ours}"))
        error = asked.exception(at_most(30))
    assert isinstance(error, BootstrapperError)


def test_a_stop_that_two_runs_share_is_not_set_by_cancelling_one(
    variables: dict[str, str], project: TrialProject
) -> None:
    stop = Stop()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await bootstrapper.afollow(variables=variables, stop=stop)
        assert not stop.is_set
        assert len((await bootstrapper.aapply(variables=variables, stop=stop)).applied) == 2

    asyncio.run(use())


def test_a_saved_plan_is_applied_once_and_with_its_own_steps(variables: dict[str, str], project: TrialProject) -> None:
    file = project.folder / "plan.json"
    digest = bootstrapper.save_plan(bootstrapper.plan(variables=variables, steps="notes"), file, variables=variables)
    outcome = bootstrapper.apply(variables=variables, saved_plan=file)
    assert ([step.name for step in outcome.applied], outcome.was_applied) == (["notes"], False)
    assert project.rows("SELECT plan FROM bootstrapper.runs") == [(digest,)]
    again = bootstrapper.apply(variables=variables, saved_plan=file)
    assert (again.applied, again.was_applied) == ((), True)


def test_a_saved_plan_that_does_not_fit_any_more_is_refused(variables: dict[str, str], project: TrialProject) -> None:
    file = project.folder / "plan.json"
    bootstrapper.save_plan(bootstrapper.plan(variables=variables), file, variables=variables)
    with pytest.raises(UsageError, match="cannot be combined"):
        bootstrapper.apply(variables=variables, saved_plan=file, skip=["notes"])
    with psycopg.connect(project.database, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (id int PRIMARY KEY, body text)")
    with pytest.raises(StalePlanError) as caught:
        bootstrapper.apply(variables=variables, saved_plan=file)
    assert (caught.value.step, caught.value.exit_code) == ("notes", 8)
    assert project.rows("SELECT * FROM notes") == []
