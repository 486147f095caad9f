"""Runs the examples as their users do: a server process on a free port, requests by HTTP, a signal, the exit code."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import free_port
from tests.waiting import at_most, eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = (EXAMPLES.parent / "docs" / "how-to" / "start-flask-django-celery.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Answer:
    """What a request got; status 0 if nothing answered."""

    status: int
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class RunningServer:
    """A program that was started, and the port that it was told."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def output(self) -> str:
        """What it and its children have printed so far, on stdout and stderr."""
        return self.log.read_text(errors="replace")

    def get(self, path: str = "/") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=at_most(10))
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            return Answer(0)
        finally:
            connection.close()

    def answers(self, path: str = "/", seconds: float = 20) -> Answer:
        """Waits for status 200 at the path; fails with the output if it does not come, or the server ends."""
        last = Answer(0)

        def is_there() -> bool:
            nonlocal last
            last = self.get(path)
            return last.status == 200 or self.process.poll() is not None

        assert eventually(is_there, seconds), f"{last}\n{self.output}"
        assert last.status == 200, f"ended with {self.process.returncode}\n{self.output}"
        return last

    def prints(self, text: str, seconds: float = 20) -> bool:
        """Waits for the text in the output; fails with the output if it does not come."""
        assert eventually(lambda: text in self.output, seconds), self.output
        return True

    def wait(self, seconds: float = 20) -> int:
        """Waits for its end; returns the exit code as a shell has it, 128 + the number of a signal."""
        try:
            code = self.process.wait(at_most(seconds))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end\n{self.output}") from None
        return 128 - code if code < 0 else code

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        """Sends the signal and waits for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)


def example(name: str, folder: Path) -> Path:
    """Copies an example into the folder and returns where it is."""
    return Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")))


def documented(start: str) -> list[list[str]]:
    """Returns the commands of the page that begin so."""
    found = [shlex.split(line) for line in PAGE.splitlines() if line.startswith(start)]
    assert found
    return found


@contextmanager
def serving(command: Sequence[str], folder: Path, database: str, **variables: str) -> Iterator[RunningServer]:
    """Starts a program of the environment in the folder; kills it and its children at the end.

    In the arguments, `{port}` stands for a free port.
    """
    port = free_port()
    program, *arguments = (part.replace("{port}", str(port)) for part in command)
    log = folder / f"output-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable if program == "python" else str(BIN / program), *arguments],
            cwd=folder,
            env=environment(database, HOME=str(folder), **variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield RunningServer(process, port, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


def run(command: Sequence[str], folder: Path, database: str, **variables: str) -> Ended:
    """Runs a command of the environment in the folder until its end."""
    program, *arguments = command
    done = subprocess.run(
        [sys.executable if program == "python" else str(BIN / program), *arguments],
        cwd=folder,
        env=environment(database, HOME=str(folder), **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=at_most(30),
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def environment(database: str, **variables: str) -> dict[str, str]:
    """Returns ours without what would lead elsewhere."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BOOTSTRAPPER_"))}
    programs = f"{BIN}{os.pathsep}{os.environ['PATH']}"  # as in an activated environment
    return {**ours, "PATH": programs, "PYTHONUNBUFFERED": "1", "DATABASE_URL": database, **variables}
