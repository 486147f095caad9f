"""A worker that is started before the run is loaded: taken at a first apply, as one started then, or ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bootstrapper.migrations.worker import early
from bootstrapper.migrations.worker.process import WorkerProcess
from bootstrapper.programs import ahead
from bootstrapper.quick import crowd
from tests.cli.project import Project
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.waiting import eventually

BOOTSTRAP = """\
version: 1
name: early
database: {url: "${DATABASE_URL}"}
env_files: [.env]
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
"""
FACTS = """
import json, os, signal, sys, threading
found = {
    "environment": dict(os.environ),
    "path": sys.path,
    "arguments": sys.argv,
    "folder": os.getcwd(),
    "flags": list(sys.flags),
    "main": sys.modules["__main__"].__file__,
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "buffering": [sys.stdout.line_buffering, sys.stdout.write_through],
    "is_early": sys.orig_argv[-1] == "ahead",
    "modules": sorted(sys.modules),
}
with open("facts.json", "w") as file:
    json.dump(found, file)
"""
LOADED_WITH_AN_ENGINE = {"psycopg", "psycopg_binary", "sqlalchemy", *sys.stdlib_module_names}


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    project = Project(tmp_path, database)
    project.write(BOOTSTRAP)
    project.write("COLOUR=blue\n", ".env")
    write_env(tmp_path, FACTS + ENV)
    write_revision(tmp_path, "first", upgrade=create_table("first"))
    return project


def apply(project: Project, **variables: str) -> dict[str, Any]:
    """Applies to an empty database, and returns what env.py saw."""
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS first, alembic_version")
        connection.execute("DROP SCHEMA IF EXISTS bootstrapper CASCADE")
    done = project.spawn("apply", TMPDIR=str(project.folder), **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((project.folder / "facts.json").read_text())
    return found


def apply_early(project: Project) -> dict[str, Any]:
    """Tries again where the login took so long that the quick look left it to the ordinary run."""
    for _ in range(3):
        found = apply(project)
        if found["is_early"]:
            break
        for place in project.folder.glob("bootstrapper-*/quick.*"):
            place.unlink()  # it may say that the server was not reached just now
    return found


def test_env_py_sees_the_same_in_a_worker_that_was_started_early(project: Project) -> None:
    started = [apply_early(project), apply(project, BOOTSTRAPPER_QUICK="off")]
    assert [each.pop("is_early") for each in started] == [early.helps(), False]
    modules = [set(each.pop("modules")) for each in started]
    started[1]["environment"].pop("BOOTSTRAPPER_QUICK")
    names = [each["environment"].pop("PGAPPNAME") for each in started]
    assert [name.rpartition("/")[0] for name in names] == ["bootstrapper/early", "bootstrapper/early"]
    assert started[0] == started[1]
    assert started[0]["environment"]["COLOUR"] == "blue"
    assert modules[0] >= modules[1]
    assert {name.partition(".")[0] for name in modules[0] - modules[1]} <= LOADED_WITH_AN_ENGINE


def test_a_step_with_variables_of_its_own_gets_a_worker_that_is_started_with_them(project: Project) -> None:
    project.write(BOOTSTRAP.replace("migrations}", "migrations, env: {COLOUR: red}}"))
    found = apply(project)
    assert found["environment"]["COLOUR"] == "red"
    assert not found["is_early"]


CHILDREN = "import os; print(open(f'/proc/self/task/{os.getpid()}/children').read().split())"


def test_a_worker_that_was_not_needed_is_gone_before_the_process_becomes_another_program(project: Project) -> None:
    project.write(BOOTSTRAP.replace("{revision: head}", '{sql: "SELECT true"}'))
    done = project.spawn("run", "--", sys.executable, "-c", CHILDREN, TMPDIR=str(project.folder))
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@contextmanager
def started(folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that waits, with a descriptor that stands for its place."""
    place = os.open(os.devnull, os.O_RDONLY)
    early.start(str(folder), {**os.environ, **variables}, place)
    (waiting,) = ahead._waiting
    try:
        yield waiting.started.process
    finally:
        ahead.dismiss()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(place)
        assert waiting.started.process.returncode is not None


@pytest.mark.parametrize(
    ("variables", "is_taken"),
    [
        pytest.param({}, True, id="the same"),
        pytest.param({"DATABASE_URL": "postgresql://elsewhere/here"}, True, id="a variable that it is told"),
        pytest.param({"COLOUR": "red"}, False, id="another value"),
        pytest.param({"SHAPE": "round"}, False, id="another variable"),
    ],
)
def test_it_is_taken_only_where_the_same_one_would_be_started(
    tmp_path: Path, variables: Mapping[str, str], *, is_taken: bool
) -> None:
    with started(tmp_path, COLOUR="blue", DATABASE_URL="postgresql://elsewhere/there") as waiting:
        environment = {
            **early.UNBUFFERED,
            **os.environ,
            "COLOUR": "blue",
            "DATABASE_URL": "postgresql://elsewhere/there",
        }
        worker = WorkerProcess(
            sys.executable, {"command": "history"}, directory=tmp_path, environment={**environment, **variables}
        )
        with worker:
            assert (worker._process is waiting) == is_taken
            assert not ahead._waiting


def test_it_is_not_taken_for_another_folder_or_interpreter(tmp_path: Path) -> None:
    for folder, python in ((tmp_path.parent, sys.executable), (tmp_path, "/usr/bin/env")):
        with started(tmp_path):
            environment = {**early.UNBUFFERED, **os.environ}
            command = [python, str(early.PROGRAM)]
            assert ahead.take(command, directory=folder, environment=environment, told=early.TOLD) is None
            assert not ahead._waiting


def test_it_holds_nothing_but_its_pipes(tmp_path: Path) -> None:
    with socket.socket() as ours:
        ours.set_inheritable(True)
        with started(tmp_path) as waiting:
            held = {str(place.readlink()).partition(":")[0] for place in Path(f"/proc/{waiting.pid}/fd").iterdir()}
            assert "pipe" in held
            assert "socket" not in held


ALONE = """
import os, sys, time
from bootstrapper.migrations.worker import early
from bootstrapper.programs import ahead
early.start(sys.argv[1], os.environ, os.open(os.devnull, os.O_RDONLY))
print(ahead._waiting[0].started.process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_when_the_run_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ALONE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        os.kill(pid, 0)
        run.send_signal(signal.SIGKILL)
    eventually(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    """A zombie that init has not reaped yet has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_process_of_a_host_has_a_worker_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    first = crowd.alone()
    assert first is not None
    assert crowd.alone() is None
    os.close(first)
    second = crowd.alone()
    assert second is not None
    os.close(second)
