"""apply --follow: waits for others, takes no lock, writes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bootstrapper.api import run
from bootstrapper.errors import AheadError, PendingError
from bootstrapper.events import ChangesAwaited, GateOpened, RunStarted, Warned
from tests.cli.project import Project
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject
from tests.waiting import at_most

STEPS = "steps:\n  - uses: lock\n  - uses: migrate\n    with: {script_location: migrations%s}\n"


def write(project: TrialProject, more: str = "") -> None:
    project.write(STEPS % more)
    write_env(project.folder)
    write_revision(project.folder, "first", upgrade=create_table("a"))


def test_a_state_that_is_reached_is_enough(project: TrialProject) -> None:
    write(project)
    project.apply()
    assert run.follow(project.request()).is_reached


def test_a_state_that_is_not_reached_in_time_is_an_error_and_nothing_is_written(project: TrialProject) -> None:
    write(project)
    with pytest.raises(PendingError) as caught:
        run.follow(project.request(timeout_seconds=at_most(1)))
    assert (caught.value.steps, caught.value.exit_code) == (("migrate",), 4)
    assert not project.has("bootstrapper.lock")


def test_a_follower_says_once_what_it_waits_for(project: TrialProject) -> None:
    project.write(STEPS.replace("steps:", "steps:\n  - uses: wait") % "")
    write_env(project.folder)
    write_revision(project.folder, "first", upgrade=create_table("a"))
    with pytest.raises(PendingError):
        run.follow(project.request(timeout_seconds=at_most(2)))
    assert [type(event) for event in project.events] == [RunStarted, GateOpened, ChangesAwaited]
    assert project.events[-1] == ChangesAwaited(("migrate",))


def test_a_follower_goes_on_as_soon_as_another_run_is_done(project: TrialProject) -> None:
    write(project)
    reached: list[bool] = []
    follower = threading.Thread(target=lambda: reached.append(run.follow(project.request()).is_reached))
    follower.start()
    project.apply()
    follower.join(at_most(30))
    assert reached == [True]
    assert project.rows("SELECT count(*) FROM bootstrapper.runs") == [(1,)]


def test_a_database_ahead_of_the_code_will_do_with_a_warning(project: TrialProject) -> None:
    write(project)
    project.apply()
    (project.folder / "migrations/versions/first_.py").unlink()
    write_revision(project.folder, "other")
    assert not run.follow(project.request()).is_reached
    assert any(isinstance(event, Warned) and "is at revision first" in event.message for event in project.events)
    with pytest.raises(AheadError):
        project.apply()


def test_the_command_says_that_it_continues_with_a_database_ahead_of_the_file(project: TrialProject) -> None:
    write(project)
    project.apply()
    (project.folder / "migrations/versions/first_.py").unlink()
    write_revision(project.folder, "other")
    followed = Project(project.folder, project.database).run("apply", "--follow")
    assert followed.returncode == 0
    assert "not reached: the database is ahead of bootstrap.yaml" in followed.stderr


def test_the_strict_refuse_a_database_ahead_of_the_code(project: TrialProject) -> None:
    write(project)
    project.apply()
    (project.folder / "migrations/versions/first_.py").unlink()
    write(project, ", ahead: refuse")
    (project.folder / "migrations/versions/first_.py").unlink()
    write_revision(project.folder, "other")
    with pytest.raises(AheadError):
        run.follow(project.request())


def test_the_command_says_when_it_is_reached_and_answers_4_when_not(
    project: TrialProject, new_database: Callable[[], str]
) -> None:
    write(project)
    command = Project(project.folder, project.database)
    waited = command.run("apply", "--follow", "--timeout", f"{at_most(1):.0f}s")
    assert (waited.returncode, "changes still pending in migrate" in waited.stderr) == (4, True)
    assert waited.stderr.count("waiting: for other runs to apply migrate\n") == 1
    project.apply()
    assert "reached: the database matches bootstrap.yaml" in command.run("apply", "--follow").stderr
