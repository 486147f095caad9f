"""Tests of files that commands write: existing files of other kinds are kept."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bootstrapper.backups.stores.folder import find
from tests.cli.project import BOOTSTRAP, Project

LONG = "x" * 5000


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("bootstrap.yaml")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def directory(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("mine")


SPECIAL: list[Callable[[Path], None]] = [fifo, link, unix_socket, directory]


def identity(path: Path) -> tuple[int, ...]:
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def ledger_of(project: Project) -> object:
    with psycopg.connect(project.url) as connection:
        return connection.execute("SELECT to_regnamespace('bootstrapper')").fetchone()


@pytest.mark.parametrize("make", [*SPECIAL, text])
@pytest.mark.parametrize(
    "command",
    [["apply", "--report"], ["wait", "--report"], ["pull", "notes", "-o"]],
    ids=lambda words: " ".join(words),
)
def test_an_existing_file_of_another_kind_is_refused_before_connecting(
    offline: Project, command: list[str], make: Callable[[Path], None]
) -> None:
    make(offline.folder / "there")
    before = identity(offline.folder / "there")
    for overwrite in [[], *([["--overwrite"]] if make is not text else [])]:
        run = offline.run(*command, "there", *overwrite)
        assert run.returncode == 2, run.stderr
        assert "error: " in run.stderr
        assert "there" in run.stderr
    assert identity(offline.folder / "there") == before


@pytest.mark.parametrize("where", ["/dev/full", "no/such/folder/file", LONG, f"{LONG}/file", "bootstrap.yaml"])
@pytest.mark.parametrize("option", ["--report", "-o"])
def test_an_unwritable_path_is_refused_before_connecting(offline: Project, where: str, option: str) -> None:
    command = ["apply"] if option == "--report" else ["pull", "notes"]
    run = offline.run(*command, option, where, "--overwrite")
    assert run.returncode == 2, run.stderr
    assert len(run.stderr) < 2000
    assert (offline.folder / "bootstrap.yaml").read_text(encoding="utf-8") == BOOTSTRAP


INPUTS = """
environments: {dev: {file: dev.yaml}}
env_files: [dev.env]
"""


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (["restore", "a.dump", "--report", "a.dump"], "a.dump"),
        (["restore", "a.dump", "--report", "a.dump.json"], "a.dump.json"),
        (["restore", "a.dump", "--identity", "key.txt", "--report", "key.txt"], "key.txt"),
        (["plan", "--report", "dev.yaml"], "dev.yaml"),
        (["plan", "--report", "./dev.env"], "dev.env"),
        (["pull", "notes", "-o", "dev.yaml"], "dev.yaml"),
        (["pull", "notes", "-o", "dev.env"], "dev.env"),
        (["plan", "--oops", "--report", "dev.yaml"], "dev.yaml"),
        (["restore", "a.dump", "--oops", "--report", "a.dump"], "a.dump"),
        (["restore", "a.dump", "--oops", "--identity=key.txt", "--report=key.txt"], "key.txt"),
        (["plan", "-fother.yaml", "--oops", "--report", "other.yaml"], "other.yaml"),
        (["plan", "-qfother.yaml", "--oops", "--report", "other.yaml"], "other.yaml"),
    ],
    ids=str,
)
def test_an_input_of_the_command_is_never_replaced(offline: Project, arguments: list[str], read: str) -> None:
    offline.write(BOOTSTRAP + INPUTS)
    offline.write("limits: {}", "dev.yaml")
    offline.write("A=1", "dev.env")
    for name in ("a.dump", "a.dump.json", "key.txt", "other.yaml"):
        offline.write("mine", name)
    before = (offline.folder / read).read_bytes()
    run = offline.run(*arguments, "--overwrite", "-e", "dev", "--timeout", "100ms")
    assert run.returncode == 2, run.stderr
    assert (offline.folder / read).read_bytes() == before


def test_a_backup_does_not_replace_a_file_of_another_kind(project: Project) -> None:
    folder = project.folder
    for make in SPECIAL:
        make(folder / make.__name__)
    text(folder / "text")
    text(folder / "data.json")
    before = {path.name: identity(path) for path in folder.iterdir()}
    for name in [*(make.__name__ for make in SPECIAL), "bootstrap.yaml"]:
        run = project.run("backup", name, "--overwrite")
        assert run.returncode == 2, (name, run.stderr)
    for name in ("text", "data", LONG, f"{LONG}/new.dump", "y" * 240):
        for dry_run in ([], ["--dry-run"]):
            run = project.run("backup", name, *dry_run)
            assert run.returncode == 2, (name, run.stderr)
            assert ("too long" if len(name) > 200 else "already exists") in run.stderr
            assert len(run.stderr) < 2000
    assert {path.name: identity(path) for path in folder.iterdir()} == before
    assert ledger_of(project) == (None,)


def test_a_backup_replaces_a_backup_or_an_empty_file_and_with_overwrite_any_file(project: Project) -> None:
    (project.folder / "one.dump").touch()
    text(project.folder / "two.dump")
    text(project.folder / "two.dump.json")
    for arguments in (["one.dump"], ["one.dump"], ["two.dump", "--overwrite"]):
        run = project.run("backup", *arguments)
        assert run.returncode == 0, run.stderr
        found = find(project.folder / arguments[0])
        assert found is not None
        assert found.verified


def test_a_too_long_name_of_a_backup_directory_is_an_error_before_any_change(project: Project) -> None:
    project.write(
        BOOTSTRAP.replace(
            "  - uses: sql\n    name: notes\n",
            f"""\
  - uses: backup
    with: {{directory: {LONG}}}
  - uses: sql
    name: notes
""",
        )
    )
    for command in ("plan", "apply", "backup"):
        run = project.run(command)
        assert run.returncode in {1, 2}, run.stderr
        assert "File name too long" in run.stderr
    listed = project.run("backups", "list")
    assert listed.returncode in {0, 1, 2}, listed.stderr
    assert ledger_of(project) == (None,)


@pytest.mark.parametrize("command", [["backups", "verify"], ["restore", "--yes"]])
def test_a_too_long_name_of_a_backup_is_a_usage_error(project: Project, command: list[str]) -> None:
    run = project.run(*command, LONG)
    assert (run.returncode, "too long" in run.stderr, len(run.stderr) < 2000) == (2, True, True), run.stderr


@pytest.mark.parametrize("raised", ["EXCEPTION", "WARNING"])
def test_a_long_message_of_the_server_is_truncated_in_text_json_and_report(project: Project, raised: str) -> None:
    statement = f"DO $$ BEGIN RAISE {raised} '%', repeat('x', 100000); END $$"
    project.write(BOOTSTRAP.replace("CREATE TABLE notes (id int PRIMARY KEY, body text)", statement))
    for options in ([], ["--log-format", "json"]):
        run = project.run("apply", "--report", "report.json", *options)
        assert run.returncode == 1
        assert max(map(len, run.stderr.splitlines())) < 5000
    assert (project.folder / "report.json").stat().st_size < 5000
