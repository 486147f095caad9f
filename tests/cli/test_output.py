"""Tests of stdout and stderr: closed pipes, a full disk, encodings, control characters."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from bootstrapper.cli.output import escaped, print_data, print_message
from tests.cli.project import Project


def test_a_closed_pipe_does_not_stop_a_run(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        run = subprocess.run(
            project.command("apply"), cwd=project.folder, env=project.variables(), stdout=nowhere, stderr=nowhere
        )
    assert run.returncode == 0
    with psycopg.connect(project.url) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["--version"], ["plugins", "list"]])
def test_help_into_a_closed_pipe_succeeds(offline: Project, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        run = subprocess.run(
            offline.command(*arguments),
            cwd=offline.folder,
            env=offline.variables(),
            stdout=nowhere,
            stderr=subprocess.PIPE,
        )
    assert (run.returncode, run.stderr) == (0, b"")


def test_a_plan_into_a_closed_pipe_is_quiet(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        run = subprocess.run(
            project.command("plan"),
            cwd=project.folder,
            env=project.variables(),
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 0
    assert "Broken" not in run.stderr


def test_a_full_disk_is_an_error(project: Project) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            project.command("plan"),
            cwd=project.folder,
            env=project.variables(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 2
    assert "cannot write to stdout" in run.stderr


def test_output_to_an_ascii_terminal_succeeds(project: Project) -> None:
    run = project.spawn("plan", PYTHONIOENCODING="ascii")
    assert run.returncode == 0, run.stderr
    assert "127.0.0.1" in run.stdout
    assert " - database " in run.stdout


def test_only_our_own_colours_are_not_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert escaped("\x1b[31merror:\x1b[0m no\x1b[35m") == "\x1b[31merror:\x1b[0m no\\x1b[35m"
    stream = io.StringIO()
    print_message("one\ntwo", stream)
    assert stream.getvalue() == "one\\ntwo\n"
    print_data("one\ntwo\r")
    assert capsys.readouterr().out == "one\ntwo\\r\n"
