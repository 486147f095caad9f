"""Tests of kills, failing disks and lost servers during a backup: nothing incomplete is taken for a backup."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from bootstrapper.backups.stores.folder import backups
from bootstrapper.backups.take.verify import checksum
from bootstrapper.deadline import Deadline
from tests.cli.project import Project
from tests.servers import Server, create_cluster, free_port, start, stop, wheel_bin
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

STEPS = """\
version: 1
name: faults
database: {url: "${DATABASE_URL}"}
steps:
  - uses: wait
    with: {timeout: 5s}
  - uses: lock
  - uses: backup
    with: {directory: backups%s}
    timeout: 30s
  - uses: sql
    name: change
    with: {statement: "CREATE TABLE changed (id int)"}
    check: {table: changed}
"""
FORMATS = {
    "custom": "",
    "directory": ", format: directory, jobs: 2",
    "encrypted": ", encrypt: {recipients: [age1rplg24yj34g9ret9j9jwdurdz9aa7vf0qukwyn4jauttu9dhruqq80y46e]}",
}
CALLS = "rename,renameat,renameat2,fsync"


@pytest.fixture
def tried(tmp_path: Path, database: str) -> Project:
    """A project whose database has something to lose."""
    project = Project(tmp_path, database)
    project.write(STEPS % "")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
        connection.execute("INSERT INTO users SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n")
    return project


def has_changed(project: Project) -> bool:
    with psycopg.connect(project.url) as connection:
        return connection.execute("SELECT to_regclass('changed') IS NOT NULL").fetchone() == (True,)


def names(project: Project) -> list[str]:
    folder = project.folder / "backups"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def visible(project: Project) -> list[str]:
    """What would be taken for a backup."""
    return [name for name in names(project) if not name.startswith(".") and not name.endswith(".json")]


def require_whole(project: Project) -> None:
    """Each name in the folder belongs to a backup whose checksum is right."""
    found = backups(project.folder / "backups")
    assert names(project) == sorted(name for backup in found for name in (backup.path.name, f"{backup.path.name}.json"))
    for backup in found:
        assert backup.verified
        assert checksum(backup.path, Deadline.never()) == backup.manifest.sha256


def require_recovered(project: Project) -> None:
    """The next run does it all and leaves nothing of the one before, whose lease is made to run out at once."""
    with psycopg.connect(project.url) as connection:
        connection.execute("UPDATE bootstrapper.lock SET expires_at = clock_timestamp()")
    done = project.spawn("apply")
    assert done.returncode == 0, done.stderr
    assert has_changed(project)
    assert len(visible(project)) == 1
    require_whole(project)


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def traced(project: Project, injection: str) -> subprocess.CompletedProcess[str]:
    """One run whose own system calls, not those of pg_dump, are tampered with."""
    command = ["strace", "--quiet=all", "-e", f"trace={CALLS}", "-e", f"inject={injection}", *project.command("apply")]
    return subprocess.run(command, cwd=project.folder, env=project.variables(), capture_output=True, text=True)


@needs_strace
@pytest.mark.parametrize(
    ("shape", "moment"),
    [
        *(("custom", moment) for moment in ("fsync:1", "fsync:2", "rename:1", "rename:2", "fsync:3")),
        *(("directory", moment) for moment in ("fsync:1", "fsync:3", "rename:2")),
        *(("encrypted", moment) for moment in ("fsync:1", "rename:2")),
    ],
)
def test_a_run_killed_at_any_rename_or_fsync_leaves_a_whole_backup_or_none(
    tried: Project, shape: str, moment: str
) -> None:
    tried.write(STEPS % FORMATS[shape])
    (tried.folder / "backups").mkdir()
    killed = traced(tried, moment.replace(":", ":signal=KILL:when="))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not has_changed(tried)
    for name in visible(tried):
        path = tried.folder / "backups" / name
        assert [(found.path, found.verified) for found in backups(path.parent)] == [(path, True)]
    require_recovered(tried)


@needs_strace
@pytest.mark.parametrize("shape", FORMATS)
def test_a_failing_fsync_of_the_dump_is_an_error_and_nothing_is_named(tried: Project, shape: str) -> None:
    tried.write(STEPS % FORMATS[shape])
    (tried.folder / "backups").mkdir()
    failed = traced(tried, "fsync:error=EIO:when=1")
    assert failed.returncode == 1
    assert "Input/output error" in failed.stderr
    assert names(tried) == []
    assert not has_changed(tried)
    require_recovered(tried)


@needs_strace
@pytest.mark.parametrize("number", [2, 3])
def test_a_failing_fsync_of_manifest_or_folder_stops_the_run_before_the_next_step(tried: Project, number: int) -> None:
    (tried.folder / "backups").mkdir()
    failed = traced(tried, f"fsync:error=EIO:when={number}")
    assert failed.returncode == 1
    assert not has_changed(tried)
    require_recovered(tried)


def test_a_failing_fsync_is_an_error_where_no_tool_can_inject_it(
    tried: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        failed = tried.run("backup", "one.dump")
    assert failed.returncode == 1
    assert "one.dump: Input/output error" in failed.stderr
    assert not list(tried.folder.glob("*one*"))


def wrapped(project: Project, script: str, program: str = "pg_dump") -> dict[str, str]:
    """Variables of a run that finds this script for one of the programs; $REAL is the true one."""
    folder = project.folder / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (folder / name).symlink_to(wheel_bin() / name)
    (folder / program).unlink()
    version = f'[ "$1" = --version ] && echo "{program} (PostgreSQL) 18.99" && exit'
    (folder / program).write_text(f"#!/bin/sh\nREAL='{wheel_bin() / program}'\n{version}\n{script}\n")
    (folder / program).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@contextmanager
def held_table(url: str) -> Iterator[None]:
    """pg_dump waits for it."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield


def waiting_dumps(url: str) -> list[int]:
    """Backends of dumps that wait for a table."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'bootstrapper/%' AND wait_event_type = 'Lock'"
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query + " AND datname = current_database()")]


def process_of(program: str, url: str) -> int | None:
    """The process of this name that was told this database."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            is_about = f"PGDATABASE={url.rpartition('/')[2]}".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        if is_about and arguments[0].endswith(program.encode()):
            return int(folder.name)
    return None


@pytest.mark.parametrize("shape", FORMATS)
def test_pg_dump_killed_while_it_waits_stops_the_run(tried: Project, shape: str) -> None:
    tried.write(STEPS % FORMATS[shape])
    with held_table(tried.url):
        run = subprocess.Popen(
            tried.command("apply"), cwd=tried.folder, env=tried.variables(), stderr=subprocess.PIPE, text=True
        )
        assert eventually(lambda: waiting_dumps(tried.url) != [])
        dump = process_of("pg_dump", tried.url)
        assert dump is not None
        os.kill(dump, signal.SIGKILL)
        _, said = run.communicate(timeout=at_most(30))
    assert run.returncode == 1
    assert "pg_dump was killed by signal 9 (Killed)" in said
    assert names(tried) == []
    assert not has_changed(tried)
    require_recovered(tried)


@pytest.mark.programs
@pytest.mark.parametrize("size", [0, 100, 30000])
def test_pg_dump_killed_after_any_number_of_bytes_stops_the_run(tried: Project, size: int) -> None:
    failed = tried.spawn("apply", **wrapped(tried, f'"$REAL" "$@" | head -c {size}; kill -9 $$'))
    assert failed.returncode == 1
    assert "pg_dump was killed by signal 9 (Killed)" in failed.stderr
    assert names(tried) == []
    assert not has_changed(tried)


@pytest.mark.programs
@pytest.mark.parametrize(
    ("shape", "program"),
    [("custom", "pg_dump"), ("custom", "pg_restore"), ("directory", "pg_dump"), ("encrypted", "pg_restore")],
)
def test_a_run_killed_while_a_program_is_at_work_leaves_neither_program_nor_file(
    tried: Project, shape: str, program: str
) -> None:
    tried.write(STEPS % FORMATS[shape])
    hang = {"pg_dump": '"$REAL" "$@" | head -c 3000; exec sleep 600', "pg_restore": "exec sleep 600"}
    variables = tried.variables(wrapped(tried, hang[program], program))
    run = subprocess.Popen(tried.command("apply"), cwd=tried.folder, env=variables, stderr=subprocess.DEVNULL)
    assert eventually(lambda: process_of("sleep", tried.url) is not None)
    run.kill()
    run.wait()
    assert visible(tried) == []
    assert eventually(lambda: process_of("sleep", tried.url) is None)
    require_recovered(tried)


@pytest.mark.parametrize("shape", FORMATS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_end_leaves_nothing(
    tried: Project, shape: str, number: signal.Signals, code: int
) -> None:
    tried.write(STEPS % FORMATS[shape])
    with held_table(tried.url):
        run = subprocess.Popen(
            tried.command("apply"), cwd=tried.folder, env=tried.variables(), stderr=subprocess.DEVNULL
        )
        assert eventually(lambda: waiting_dumps(tried.url) != [])
        run.send_signal(number)
        assert run.wait(at_most(30)) == code
        assert names(tried) == []
        assert process_of("pg_dump", tried.url) is None
    assert not has_changed(tried)


@pytest.mark.programs
@pytest.mark.parametrize("shape", ["custom", "encrypted"])
def test_a_run_does_not_wait_for_a_pg_restore_that_hangs_when_it_is_told_to_end(tried: Project, shape: str) -> None:
    tried.write(STEPS % FORMATS[shape])
    variables = tried.variables(wrapped(tried, "exec sleep 600", "pg_restore"))
    run = subprocess.Popen(tried.command("apply"), cwd=tried.folder, env=variables, stderr=subprocess.DEVNULL)
    assert eventually(lambda: process_of("sleep", tried.url) is not None)
    run.terminate()
    assert run.wait(at_most(10)) == 143
    assert names(tried) == []
    assert process_of("sleep", tried.url) is None


@pytest.mark.parametrize("shape", FORMATS)
def test_a_run_whose_lock_is_broken_in_the_middle_names_nothing(tried: Project, shape: str) -> None:
    tried.write(STEPS % FORMATS[shape])
    with held_table(tried.url):
        run = subprocess.Popen(
            tried.command("apply"), cwd=tried.folder, env=tried.variables(), stderr=subprocess.PIPE, text=True
        )
        assert eventually(lambda: waiting_dumps(tried.url) != [])
        with psycopg.connect(tried.url) as connection:
            [holder] = connection.execute("SELECT run_id FROM bootstrapper.lock").fetchall()
        broken = tried.spawn("lock", "break", str(holder[0]))
        assert broken.returncode == 0, broken.stderr
        _, said = run.communicate(timeout=at_most(30))
        assert run.returncode == 7, said
        assert process_of("pg_dump", tried.url) is None
    assert names(tried) == []
    assert not has_changed(tried)


def test_a_server_connection_lost_in_the_middle_stops_the_run(tried: Project) -> None:
    with held_table(tried.url):
        run = subprocess.Popen(
            tried.command("apply"), cwd=tried.folder, env=tried.variables(), stderr=subprocess.PIPE, text=True
        )
        assert eventually(lambda: waiting_dumps(tried.url) != [])
        with psycopg.connect(tried.url) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", waiting_dumps(tried.url))
        _, said = run.communicate(timeout=at_most(30))
    assert run.returncode == 1
    assert "pg_dump ended with exit code 1" in said
    assert names(tried) == []
    assert not has_changed(tried)
    require_recovered(tried)


def test_a_server_that_stops_in_the_middle_leaves_nothing_and_the_next_run_does_it_all(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    folder.chmod(0o755)
    server = Server(wheel_bin(), folder / "data", free_port())
    create_cluster(server)
    process = start(server, synchronous_commit="on")
    try:
        project = Project(tmp_path, server.url())
        project.write(STEPS % "")
        server.execute("CREATE TABLE users AS SELECT n FROM generate_series(1, 1000) AS n")
        with suppress(psycopg.OperationalError), psycopg.connect(server.url()) as blocker:
            blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            command = project.command("apply", "--timeout", f"{at_most(6):.0f}s")
            run = subprocess.Popen(command, cwd=tmp_path, env=project.variables())
            assert eventually(lambda: waiting_dumps(server.url()) != [])
            stop(process)
            assert run.wait(at_most(30)) in (1, 5)
        assert names(project) == []
        process = start(server)
        require_recovered(project)
    finally:
        stop(process)
