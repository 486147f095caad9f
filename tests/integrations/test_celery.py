"""The Celery example, as its users start it, with messages in files."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from bootstrapper.integrations import celery
from bootstrapper.integrations.startup import Startup
from tests.integrations.servers import example, run, serving
from tests.waiting import at_most

WORKER = ["celery", "--app", "tasks", "worker", "--concurrency", "2", "--loglevel", "INFO", "--without-mingle"]
NOTHING_ANSWERS = "postgresql://app:p@127.0.0.1:1/app"
SEND = "import tasks; print(tasks.greet.delay().id)"
RECEIVE = "import sys, tasks; print(*tasks.app.AsyncResult(sys.argv[1]).get(timeout=60), sep=',')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return example("celery", tmp_path)


def test_a_task_that_was_sent_before_is_taken_when_the_database_is_ready(folder: Path, database: str) -> None:
    sent = run(["python", "-c", SEND], folder, database)
    assert sent.code == 0, sent
    with serving(WORKER, folder, database) as worker:
        received = run(["python", "-c", RECEIVE, sent.stdout.strip()], folder, database)
        assert received.stdout == "Good morning,Guten Morgen\n", worker.output
        assert worker.output.count("apply · ") == 1
        assert worker.output.index("done in ") < worker.output.index("ready.")
        assert worker.end() == 0


def test_other_commands_leave_the_database_alone(folder: Path) -> None:
    ended = run(["celery", "--app", "tasks", "report"], folder, NOTHING_ANSWERS)
    assert (ended.code, "apply · " in ended.stdout + ended.stderr) == (0, False), ended


def test_a_failure_ends_the_worker_with_the_reason_and_the_exit_code(folder: Path) -> None:
    command = [*WORKER, "--logfile", "worker.log", "--pidfile", "worker.pid"]
    with serving(command, folder, NOTHING_ANSWERS, BOOTSTRAPPER_FILE="missing.yaml") as worker:
        assert worker.wait() == 2
        logged = (folder / "worker.log").read_text()
        assert "the database is not ready (exit code 2, BOOT-201): " in logged
        assert "Traceback" not in logged + worker.output
        assert not (folder / "worker.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_start_within_two_seconds(number: signal.Signals, folder: Path) -> None:
    with serving(WORKER, folder, NOTHING_ANSWERS) as worker:
        worker.prints("retrying")
        asked = time.monotonic()
        assert worker.end(number) == 128 + number
        assert time.monotonic() - asked < at_most(2)


def test_a_worker_of_another_application_brings_up_nothing(folder: Path) -> None:
    other = "from celery import Celery\nimport tasks\nother = Celery('other', broker='memory://')\n"
    (folder / "others.py").write_text(other)
    with serving(["celery", "--app", "others:other", "worker", "--pool", "solo"], folder, NOTHING_ANSWERS) as worker:
        worker.prints("celery@")
        assert worker.end() == 0
        assert "bootstrapper" not in worker.output


def test_a_bug_ends_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """Celery would log what a receiver of its signals raises, and go on."""

    class Broken(Startup):
        def run_in_process(self, **_: object) -> None:
            raise ZeroDivisionError

    with pytest.raises(SystemExit, match=r"^3$"):
        celery._run(Broken())
    assert "a bug in bootstrapper" in caplog.text
