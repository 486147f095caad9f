"""The trials that each project goes through, every one compared with plain Alembic on an empty database."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.replicas import children
from tests.real_projects.projects import RealProject
from tests.real_projects.truth import Truth, read_truth, read_versions
from tests.servers import Server

LONGEST_SECONDS = 1800
WORKER_ENDS_WITHIN_SECONDS = 10
SHOWN_LINES = 15
MIGRATING_SECONDS = 1.0
"""For so long at least each project's revisions take."""

APPLY = [sys.executable, "-m", "bootstrapper", "apply"]


@dataclass(frozen=True)
class Outcome:
    """What came of a trial; no faults means that it passed."""

    trial: str
    told: str
    seconds: float
    faults: tuple[str, ...] = ()


class Trials:
    """One project on one database, created again for each trial that starts from an empty one."""

    def __init__(self, project: RealProject, server: Server, folder: Path, chance: random.Random) -> None:
        self._project = project
        self._server = server
        self._chance = chance
        self._folder = folder / project.name
        self._url = server.url(project.name)
        self._environment = project.environment(self._url, self._folder / "home")
        self._logs = 0
        self._truth: Truth | None = None
        self._longest = 0.0
        (self._folder / "home").mkdir(parents=True)
        for name in ("bootstrap.yaml", "alembic.ini"):
            if (project.facts / name).is_file():
                shutil.copy(project.facts / name, self._folder)
        (self._folder / "plain.ini").write_text(project.plain_ini(self._url))

    def all(self, *, rounds: int, at_once: int) -> Iterator[Outcome]:
        """The first trial is the truth; without it the others have nothing to compare with."""
        yield (truth := self._timed("plain alembic", self._plain))
        if truth.faults:
            return
        yield (first := self._timed("first apply", self._first))
        self._longest = first.seconds
        yield self._timed("second apply", self._second)
        yield self._timed("init and apply", self._initialised)
        yield self._timed(f"{at_once} at once", lambda: self._crowd(at_once))
        yield self._timed(f"killed {rounds} times", lambda: self._killed(rounds))

    def _timed(self, name: str, trial: Callable[[], tuple[str, list[str]]]) -> Outcome:
        began = time.monotonic()
        told, faults = trial()
        return Outcome(name, told, time.monotonic() - began, tuple(faults))

    def _plain(self) -> tuple[str, list[str]]:
        self._empty()
        command = [str(self._project.python), "-m", "alembic", "-c", "plain.ini", "upgrade", "head"]
        log = self._new_log()
        exit_code = self._start(command, log).wait(LONGEST_SECONDS)
        if exit_code != 0:
            return "failed", [f"exit code {exit_code}", *_last_lines(log)]
        self._truth = read_truth(self._server, self._project.name)
        return str(self._truth), []

    def _first(self) -> tuple[str, list[str]]:
        self._empty()
        return self._compared(self._apply()[1])

    def _second(self) -> tuple[str, list[str]]:
        text, faults = self._apply()
        if not faults and "nothing to do" not in text:
            faults = ["it found something to do", *text.splitlines()[-SHOWN_LINES:]]
        return self._compared(faults, "nothing to do")

    def _initialised(self) -> tuple[str, list[str]]:
        """The file that `init` writes into a checkout, with nothing changed in it, has to be enough."""
        self._empty()
        checkout = self._folder / "checkout"
        unused = shutil.ignore_patterns("node_modules", "frontend", "__pycache__")
        shutil.copytree(self._project.package, checkout / self._project.package.name, ignore=unused)
        (checkout / ".venv").symlink_to(self._project.venv)
        for command in (["init"], ["apply", "-e", "development"], ["plan", "-e", "development", "--exit-code"]):
            log = self._new_log()
            exit_code = self._start([*APPLY[:-1], *command], log, checkout).wait(LONGEST_SECONDS)
            if exit_code != 0:
                return "failed", [f"{command[0]}: exit code {exit_code}", *_last_lines(log)]
        return self._compared([])

    def _crowd(self, count: int) -> tuple[str, list[str]]:
        self._empty()
        logs = [self._new_log() for _ in range(count)]
        crowd = [self._start(APPLY, log) for log in logs]
        faults = []
        for process, log in zip(crowd, logs, strict=True):
            if (exit_code := process.wait(LONGEST_SECONDS)) != 0:
                faults += [f"exit code {exit_code}", *_last_lines(log)]
        did = sum("\ndone: " in log.read_text(errors="replace") for log in logs)
        return self._compared(faults, f"{did} of {count} did it")

    def _killed(self, rounds: int) -> tuple[str, list[str]]:
        """A database that is done is compared, and replaced by an empty one for the kills that follow."""
        assert self._truth is not None
        self._empty()
        faults: list[str] = []
        midway = 0
        for number in range(rounds):
            faults += self._kill(is_migrating=number % 2 == 1)
            now = read_truth(self._server, self._project.name)
            if now.versions != self._truth.versions:
                midway += bool(now.versions)
                continue
            faults += self._differences()
            self._empty()
        faults += self._apply()[1]
        return self._compared(faults, f"{midway} times between the first revision and the last")

    def _kill(self, *, is_migrating: bool) -> list[str]:
        """Most of a run is spent on importing the project: half of the kills wait until it applied a revision."""
        before = read_versions(self._url)
        process = self._start(APPLY, self._new_log())
        if is_migrating:
            while process.poll() is None and read_versions(self._url) == before:
                time.sleep(0.02)
        time.sleep(self._chance.uniform(0, MIGRATING_SECONDS if is_migrating else self._longest))
        workers = [] if process.poll() is not None else children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until = time.monotonic() + WORKER_ENDS_WITHIN_SECONDS
        while alive := [pid for pid in workers if _is_running(pid)]:
            if time.monotonic() > until:
                for pid in alive:
                    os.kill(pid, signal.SIGKILL)
                return [f"a worker went on for more than {WORKER_ENDS_WITHIN_SECONDS} s after its run was killed"]
            time.sleep(0.02)
        return []

    def _apply(self) -> tuple[str, list[str]]:
        log = self._new_log()
        exit_code = self._start(APPLY, log).wait(LONGEST_SECONDS)
        return log.read_text(errors="replace"), [] if exit_code == 0 else [f"exit code {exit_code}", *_last_lines(log)]

    def _compared(self, faults: list[str], told: str = "") -> tuple[str, list[str]]:
        faults = [*faults, *self._differences()]
        verdict = "differs" if faults else "same schema and versions"
        return f"{told}; {verdict}" if told else verdict, faults

    def _differences(self) -> list[str]:
        found = read_truth(self._server, self._project.name)
        return [] if found == self._truth else [f"{found}, where plain Alembic leaves {self._truth}"]

    def _empty(self) -> None:
        name = self._project.name
        self._server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._server.execute(f'CREATE DATABASE "{name}"')

    def _new_log(self) -> Path:
        self._logs += 1
        return self._folder / f"{self._logs}.log"

    def _start(self, command: list[str], log: Path, folder: Path | None = None) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=folder or self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]


def _is_running(pid: int) -> bool:
    """A process that ended and was not waited for is running no more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
