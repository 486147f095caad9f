"""What the benchmarks share: whole processes timed and weighed, and the printed table."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import Server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
DATABASE = "benchmark"
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

_PEERS = Path(__file__).parent / "peers"
_PROJECT = """version: 1
name: benchmark

database:
  url: ${DATABASE_URL}

steps:
  - uses: wait
  - uses: lock
  - uses: seed

fixtures:
"""
# An installed tool is compiled; a checkout is only where Python may write down what it compiled.
_COMPILING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_PEAK = re.compile(r"VmHWM:\s+(\d+)")
_SHARE = re.compile(r"^Pss:\s+(\d+)", re.MULTILINE)
_SAMPLE_SECONDS = 0.005


@dataclass(frozen=True)
class Run:
    """One process, and all that it started.

    Attributes:
        mebibytes: The sum of what each process held at its peak, pages that they share counted for each.
        cpu_seconds: The CPU time of all of them, without the server's.
    """

    seconds: float
    mebibytes: float
    cpu_seconds: float


@dataclass(frozen=True)
class Tool:
    """How to start it, and in which folder; a slow one is measured in one round only."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_slow: bool = False
    exit_code: int = 0

    def run(self) -> Run:
        """Ends the benchmark where the exit code is not the expected one: a failure is quick and proves nothing."""
        peaks: dict[int, int] = {}
        seconds, cpu_seconds = self._run(lambda pid: _note_peaks(pid, peaks))
        return Run(seconds, sum(peaks.values()) / 1024, cpu_seconds)

    def weigh(self) -> float:
        """Runs it untimed; returns the MiB that all its processes held together at most, each page counted once.

        A page that several processes share counts for each in proportion (Pss), so that the sum is right. Reading that
        takes the kernel a millisecond for each process, every five milliseconds.
        """
        together = [0]
        self._run(lambda pid: together.append(_shares(pid)))
        return max(together) / 1024

    def _run(self, look: Callable[[int], None]) -> tuple[float, float]:
        """Returns the time and the CPU time; `look` is called with the process id while it runs."""
        used = _cpu_seconds()
        began = time.perf_counter()
        process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env={**_COMPILING, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        ended = threading.Event()
        scale = threading.Thread(target=_weigh, args=(process.pid, look, ended))
        scale.start()
        _, errors = process.communicate()
        seconds = time.perf_counter() - began
        ended.set()
        scale.join()
        if process.returncode != self.exit_code:
            raise SystemExit(f"{self.name} ended with {process.returncode}: {errors.decode(errors='replace')[-2000:]}")
        return seconds, _cpu_seconds() - used


def _cpu_seconds() -> float:
    """The CPU time of all child processes that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _weigh(pid: int, look: Callable[[int], None], ended: threading.Event) -> None:
    while not ended.wait(_SAMPLE_SECONDS):
        look(pid)


def _shares(pid: int) -> int:
    """Returns the proportional shares of a process and all its children, in KiB."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        share = _SHARE.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return 0
    return (int(share[1]) if share else 0) + sum(_shares(int(child)) for child in children)


def _note_peaks(pid: int, peaks: dict[int, int], parent: bytes = b"") -> None:
    """Notes what a process and all its children held at most so far, in KiB by pid.

    Between fork and exec a child is called as its parent, and reports the peak of that: it is passed over.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if command == parent:
            return
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    peak = _PEAK.search(status)
    if peak:
        peaks[pid] = int(peak[1])
    for child in children:
        _note_peaks(int(child), peaks, command)


def django_database(port: int, user: str, password: str) -> dict[str, str]:
    """What Django's settings call the database."""
    address = {"ENGINE": "django.db.backends.postgresql", "NAME": DATABASE, "HOST": "127.0.0.1", "PORT": str(port)}
    return address | {"USER": user, "PASSWORD": password}


def bootstrapper(
    name: str, *arguments: str, folder: Path, server: Server, database: str = DATABASE, exit_code: int = 0
) -> Tool:
    """A command of bootstrapper in the folder of its project."""
    variables = {"DATABASE_URL": server.url(database)}
    return Tool(name, [str(BIN / "bootstrapper"), *arguments], folder, variables, exit_code=exit_code)


def psql(name: str, *arguments: str, folder: Path, server: Server, database: str = DATABASE) -> Tool:
    program = shutil.which("psql", path=str(server.bin)) or shutil.which("psql")
    if program is None:
        raise SystemExit("psql is neither next to the server nor on PATH")
    command = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments]
    return Tool(name, command, folder, _libpq_variables(server, database))


def peer(script: str, *arguments: str, folder: Path, server: Server, database: str = DATABASE) -> Tool:
    """A script of the folder `peers`, in the environment of bootstrapper."""
    command = [sys.executable, str(_PEERS / f"{script}.py"), *arguments]
    return Tool(script, command, folder, _libpq_variables(server, database))


def _libpq_variables(server: Server, database: str) -> dict[str, str]:
    """The address as libpq reads it; no password in a list of arguments."""
    address = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGDATABASE": database}
    return address | {"PGUSER": server.user, "PGPASSWORD": server.password}


def write_project(folder: Path, fixtures: str) -> None:
    """A bootstrap.yaml with these fixtures, whose names are indented by two spaces."""
    folder.mkdir(parents=True)
    (folder / "bootstrap.yaml").write_text(_PROJECT + fixtures)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        show("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
