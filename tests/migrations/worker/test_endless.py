"""An env.py that never ends holds neither the run nor the lock."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from bootstrapper.errors import MigrationError
from tests.cli.project import Project
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.programs.test_runner import is_running
from tests.projects import TrialProject
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

STEPS = "steps: [{uses: lock}, {uses: migrate, with: {script_location: migrations}}]"
PLACE = "import os; open('here', 'w').write(f'{os.getpid()}\\n')\n"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
SELFISH = "import re; re.match('(a+)+$', 'a' * 80 + 'b')\n"  # no other thread of the process has its turn in it


def endless(project: TrialProject, body: str) -> None:
    project.write(STEPS)
    write_env(project.folder)
    write_revision(project.folder, "first", upgrade=create_table("notes"))
    project.write(PLACE + body, "migrations/env.py")


def worker_of(folder: Path) -> int:
    place = folder / "here"
    assert eventually(lambda: place.exists() and place.read_text().endswith("\n"), 20)
    return int(place.read_text())


@pytest.mark.parametrize("body", ["while True: pass\n", DEAF + SELFISH], ids=["busy", "deaf"])
def test_the_lock_is_released_at_the_deadline_of_the_run(project: TrialProject, body: str) -> None:
    endless(project, body)
    with pytest.raises(MigrationError, match="deadline exceeded"):
        project.apply(timeout_seconds=at_most(3))
    assert not is_running(worker_of(project.folder))
    assert project.rows("SELECT l.run_id, r.outcome FROM bootstrapper.lock AS l, bootstrapper.runs AS r") == [
        (None, "failed")
    ]


def test_a_worker_that_never_yields_to_another_thread_ends_with_a_killed_run(project: TrialProject) -> None:
    endless(project, SELFISH)
    runner = Project(project.folder, project.database)
    run = subprocess.Popen(
        runner.command("apply"), cwd=runner.folder, env=runner.variables(), stderr=subprocess.DEVNULL
    )
    worker = worker_of(project.folder)
    run.send_signal(signal.SIGKILL)
    run.wait()
    try:
        assert eventually(lambda: not is_running(worker))
    finally:
        if is_running(worker):
            os.kill(worker, signal.SIGKILL)
    project.write(ENV, "migrations/env.py")
    project.apply()
    assert project.has("notes")
