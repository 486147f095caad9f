"""Tests of what other users can see while a backup is taken."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.cli.project import Project
from tests.waiting import at_most

PASSWORD = "correct horse"
SPELLINGS = [PASSWORD.encode(), b"correct%20horse", b"correct+horse"]
# Reads the variables of a process as another user.
STRANGER = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
except PermissionError:
    print("denied")
"""

STEPS = """\
version: 1
name: seen
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: backup
"""


def command_lines(root: int) -> dict[int, bytes]:
    """Of a process and all that it started, as the process list shows them to every user at this moment."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines[int(folder.name)] = (folder / "cmdline").read_bytes()
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return {number: line for number, line in lines.items() if root in ancestry(number, parents)}


def ancestry(number: int, parents: dict[int, int]) -> Iterator[int]:
    while number in parents:
        yield number
        number = parents[number]


def program(arguments: bytes) -> str:
    return os.path.basename(arguments.split(b"\0")[0].decode(errors="replace"))  # noqa: PTH119


def test_the_process_list_never_shows_the_password_during_a_backup(tmp_path: Path, database: str) -> None:
    project = Project(tmp_path, database)
    project.write(STEPS)
    assert urlsplit(database).password == "correct%20horse"
    seen: dict[str, list[bytes]] = {}
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE users AS SELECT n FROM generate_series(1, 100000) AS n")
        connection.commit()
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        run = subprocess.Popen(project.command("apply"), cwd=tmp_path, env=project.variables())
        try:
            pid = next(iter(dumps(sampled(run, seen, until=dumps))))
            told = environment_as_a_stranger(pid)
        finally:
            connection.commit()
            sampled(run, seen)
    assert run.wait(at_most(30)) == 0
    assert "pg_dump" in seen
    assert told == b"denied\n"
    lines = [line for found in seen.values() for line in found]
    assert [line for line in lines if any(spelling in line for spelling in SPELLINGS)] == []


def dumps(lines: dict[int, bytes]) -> list[int]:
    """Those that dump, and do not only tell their version."""
    return [number for number, line in lines.items() if program(line) == "pg_dump" and b"--format" in line]


def sampled(
    run: subprocess.Popen[bytes],
    seen: dict[str, list[bytes]],
    until: Callable[[dict[int, bytes]], object] = lambda lines: False,
) -> dict[int, bytes]:
    """Looks at the list again and again, until the run has ended or there is what was waited for."""
    deadline = time.monotonic() + at_most(30)
    while time.monotonic() < deadline:
        lines = command_lines(run.pid)
        for line in lines.values():
            seen.setdefault(program(line), []).append(line)
        if until(lines) or run.poll() is not None:
            return lines
    raise AssertionError("it did not come to this in time")


def environment_as_a_stranger(pid: int) -> bytes:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    command = [sys.executable, "-IS", "-c", STRANGER, f"/proc/{pid}/environ"]
    return subprocess.run(command, capture_output=True, check=True).stdout
