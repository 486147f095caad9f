"""Tests of `freeze` and `unfreeze`: no run applies anything to a frozen database, also none that waits already."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import bootstrapper
from bootstrapper.errors import FrozenError, LockTimeoutError
from bootstrapper.postgres.ledger import frozen
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import advisory_key
from tests.cli.project import BOOTSTRAP, Project
from tests.waiting import at_most, eventually

APPLIED = "SELECT to_regclass('notes') IS NOT NULL"
WAITING = "lock: waiting"


@pytest.fixture
def frozen_project(project: Project) -> Project:
    project.write()
    done = project.run("freeze", "incident 4711")
    assert done.returncode == 0, done.stderr
    return project


def has_notes(project: Project) -> bool:
    with psycopg.connect(project.url) as connection:
        return connection.execute(APPLIED).fetchone() == (True,)


def name_of(project: Project) -> str:
    return project.url.rpartition("/")[2]


def started(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command(*arguments), cwd=project.folder, env=project.variables(), text=True, stderr=subprocess.PIPE
    )


def error_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    with process.stderr as stream:
        text = stream.read()
    process.wait(at_most(30))
    return text


def await_line(process: subprocess.Popen[str], part: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if part in line:
            return
    raise AssertionError(f"ended without {part!r}")


def test_an_apply_to_a_frozen_database_says_why_who_and_since_when(frozen_project: Project) -> None:
    done = frozen_project.run("apply")
    assert done.returncode == 9
    assert f"error: database '{name_of(frozen_project)}' is frozen: incident 4711 (by postgres on " in done.stderr
    assert ", since 20" in done.stderr
    assert "UTC); nothing was applied\n" in done.stderr
    assert "bootstrapper unfreeze" in done.stderr
    assert not has_notes(frozen_project)
    with psycopg.connect(frozen_project.url) as connection:
        assert connection.execute("SELECT count(*) FROM bootstrapper.runs").fetchone() == (0,)


def test_unfreeze_says_what_it_lifted_and_lets_runs_apply(frozen_project: Project) -> None:
    lifted = frozen_project.run("unfreeze")
    assert (lifted.returncode, "which was frozen: incident 4711" in lifted.stderr) == (0, True)
    assert frozen_project.run("apply").returncode == 0
    again = frozen_project.run("unfreeze")
    assert (again.returncode, "is not frozen" in again.stderr) == (0, True)


def test_unfreeze_without_a_ledger_has_nothing_to_do(project: Project) -> None:
    project.write()
    assert project.run("unfreeze").returncode == 0


def test_an_earlier_reason_stays(frozen_project: Project) -> None:
    again = frozen_project.run("freeze", "another")
    assert (again.returncode, "already frozen" in again.stderr, "incident 4711" in again.stderr) == (0, True, True)


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_freeze_needs_a_reason(project: Project, reason: str) -> None:
    project.write()
    assert project.run("freeze", reason).returncode == 2


def test_a_reason_cannot_control_a_terminal_and_shows_no_secret(project: Project) -> None:
    project.write()
    assert project.run("freeze", "a\x1b[31m\nb topsecret123", APP_PASSWORD="topsecret123").returncode == 0
    with psycopg.connect(project.url) as connection:
        row = connection.execute("SELECT value::json ->> 'reason' FROM bootstrapper.meta WHERE key = 'frozen'")
        assert row.fetchone() == (r"a\x1b[31m\nb ***",)


def test_plan_status_and_history_work_and_say_that_it_is_frozen(frozen_project: Project) -> None:
    for command in ("plan", "history"):
        done = frozen_project.run(command)
        assert (done.returncode, "is frozen: incident 4711" in done.stderr) == (0, True), done.stderr
    done = frozen_project.run("status")
    assert (done.returncode, "\nfrozen: incident 4711 (by postgres on" in done.stdout) == (0, True)
    told = json.loads(frozen_project.run("status", "--format", "json").stdout)["frozen"]
    assert (told["reason"], told["role"]) == ("incident 4711", "postgres")


def test_a_database_that_is_not_frozen_is_not_said_to_be(project: Project) -> None:
    project.write()
    assert project.run("apply").returncode == 0
    assert "frozen" not in project.run("plan").stderr + project.run("status").stdout
    assert json.loads(project.run("status", "--format", "json").stdout)["frozen"] is None


@pytest.mark.parametrize("command", [("setup",), ("apply", "--step", "notes"), ("run", "--", "true")])
def test_every_command_that_applies_is_refused(frozen_project: Project, command: tuple[str, ...]) -> None:
    assert frozen_project.run(*command).returncode == 9
    assert not has_notes(frozen_project)


def test_a_backup_is_taken_of_a_frozen_database(frozen_project: Project) -> None:
    frozen_project.write(BOOTSTRAP + "  - {uses: backup, check: never}\n")
    assert frozen_project.run("backup", "x.dump").returncode == 0
    assert (frozen_project.folder / "x.dump").exists()
    assert frozen_project.run("apply").returncode == 9  # it has a backup, but other steps as well


@pytest.fixture
def held(project: Project) -> Iterator[psycopg.Connection]:
    """Another session holds the lock."""
    project.write(BOOTSTRAP.replace("timeout: 10s", "timeout: 60s"))
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (advisory_key(LedgerNames()),))
        yield connection


def test_runs_that_wait_for_the_lock_are_refused_once_the_database_is_frozen(
    project: Project, held: psycopg.Connection
) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(started(project, "apply")) for _ in range(3)]
        for process in waiting:
            stack.callback(process.kill)
            await_line(process, WAITING)
        assert project.run("freeze", "incident 4711").returncode == 0
        held.execute("SELECT pg_advisory_unlock_all()")
        for process in waiting:
            assert "is frozen: incident 4711" in error_of(process)
            assert process.returncode == 9
    assert not has_notes(project)


def test_a_run_that_finds_the_lock_free_in_the_middle_of_a_freeze_is_refused(project: Project) -> None:
    project.write()
    with psycopg.connect(project.url) as other:
        other.execute("SET search_path = pg_catalog")
        frozen.freeze(other, LedgerNames(), "incident 4711", host="h", where="w")
        with started(project, "apply") as process:
            await_line(process, WAITING)  # it cannot know yet whether that is committed
            other.commit()
            assert "is frozen: incident 4711" in error_of(process)
            assert process.returncode == 9
    assert not has_notes(project)


def test_a_freeze_waits_for_a_run_that_is_taking_the_lock_and_names_it(project: Project) -> None:
    project.write()
    assert project.run("apply").returncode == 0
    with psycopg.connect(project.url) as taking:
        taking.execute("SELECT pg_advisory_xact_lock_shared(%s)", (frozen.advisory_key(LedgerNames()),))
        with started(project, "freeze", "incident 4711") as freezing:
            asleep = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            with psycopg.connect(project.url, autocommit=True) as looking:
                assert eventually(lambda: looking.execute(asleep).rowcount == 1, 20)
            taking.execute(
                "UPDATE bootstrapper.lock SET run_id = %s, mode = 'pooled', host = 'h', pid = 1, acquired_at = now(),"
                " expires_at = now() + interval '1 hour'",
                (uuid7(),),
            )
            taking.commit()
            said = error_of(freezing)
    assert freezing.returncode == 0
    assert "the lock was taken before: held by run" in said
    assert "bootstrapper lock break" in said


def test_a_freeze_that_cannot_be_made_in_time_can_be_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write()
    monkeypatch.setattr("bootstrapper.api.marking._PATIENCE", "100ms")
    with psycopg.connect(project.url) as taking:
        taking.execute("SELECT pg_advisory_xact_lock_shared(%s)", (frozen.advisory_key(LedgerNames()),))
        assert project.run("freeze", "incident 4711").returncode == LockTimeoutError.exit_code
    assert project.run("freeze", "incident 4711").returncode == 0


def test_a_killed_holder_is_not_said_to_be_at_work(project: Project) -> None:
    project.write()
    assert project.run("apply").returncode == 0
    with psycopg.connect(project.url) as connection:
        connection.execute(
            "UPDATE bootstrapper.lock SET run_id = %s, mode = 'direct', host = 'h', pid = 1, backend_pid = 1,"
            " acquired_at = now()",
            (uuid7(),),
        )
    assert "lock was taken" not in project.run("freeze", "incident 4711").stderr


def test_a_follower_waits_for_a_frozen_database_until_its_deadline(frozen_project: Project) -> None:
    done = frozen_project.run("apply", "--follow", "--timeout", "1s")
    assert done.returncode == 9
    assert done.stderr.count("warning: database") == 1
    assert "changes are still pending in notes, first-note" in done.stderr


def test_a_follower_goes_on_once_the_database_is_unfrozen_and_brought_up(frozen_project: Project) -> None:
    with started(frozen_project, "run", "--follow", "--", "true") as following:
        await_line(following, "is frozen")
        assert frozen_project.run("unfreeze").returncode == 0
        assert frozen_project.run("apply").returncode == 0
        assert "reached" in error_of(following)
    assert following.returncode == 0


def test_an_application_whose_state_is_reached_starts_with_a_frozen_database(project: Project) -> None:
    file, variables = project.write(), {"DATABASE_URL": project.url}
    assert project.run("apply").returncode == 0
    assert project.run("freeze", "incident 4711").returncode == 0
    assert bootstrapper.apply(file, variables=variables, startup=True).applied == ()
    assert bootstrapper.follow(file, variables=variables, startup=True, once=True).is_reached
    assert project.run("apply").returncode == 0


def test_an_application_that_is_ahead_of_a_frozen_database_does_not_start(frozen_project: Project) -> None:
    file, variables = frozen_project.folder / "bootstrap.yaml", {"DATABASE_URL": frozen_project.url}
    with pytest.raises(FrozenError):
        bootstrapper.apply(file, variables=variables, startup=True)
    with pytest.raises(FrozenError):
        bootstrapper.follow(file, variables=variables, startup=True, once=True)


def test_an_earlier_ledger_is_brought_up_so_that_earlier_releases_do_not_write(project: Project) -> None:
    project.write()
    assert project.run("apply").returncode == 0
    version = "SELECT value FROM bootstrapper.meta WHERE key = 'ledger_version'"
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("UPDATE bootstrapper.meta SET value = '5' WHERE key = 'ledger_version'")
        assert project.run("freeze", "incident 4711").returncode == 0
        assert connection.execute(version).fetchone() == ("6",)


def test_a_role_that_only_reads_the_ledger_cannot_freeze(project: Project) -> None:
    project.write()
    assert project.run("apply").returncode == 0
    role, parts = f"reader_{uuid7().hex[-12:]}", conninfo_to_dict(project.url)
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA bootstrapper TO {role}".encode())
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}".encode())
        reader = replace(project, url=f"postgresql://{role}:p@{parts['host']}:{parts['port']}/{parts['dbname']}")
        assert [reader.run(*command).returncode for command in (("freeze", "x"), ("unfreeze",))] == [6, 6]
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
