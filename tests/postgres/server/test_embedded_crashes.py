"""The embedded server when things go wrong: kills, races, foreign files, refusals."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bootstrapper.errors import EmbeddedServerError
from bootstrapper.postgres.server import cluster, reaper
from bootstrapper.postgres.server.cluster import Postmaster
from bootstrapper.postgres.server.embedded import EmbeddedServer
from tests.postgres.server.embedding import FAST, START, ended, python
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """Never started yet; stopped afterwards."""
    server = EmbeddedServer(tmp_path / "postgres", settings=FAST)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    server = EmbeddedServer(tmp_path_factory.mktemp("crashes") / "postgres", settings=FAST)
    server.start()
    yield server.folder
    server.stop()


@pytest.fixture
def stopped(folder: Path) -> EmbeddedServer:
    """A server with a cluster, which tests have to leave fit for the next one."""
    server = EmbeddedServer(folder, settings=FAST)
    server.stop()
    return server


def pid_of(server: EmbeddedServer) -> int:
    found = Postmaster.read(server.data)
    assert found is not None
    return found.pid


def test_ten_processes_at_once_get_one_server(server: EmbeddedServer) -> None:
    processes = [python(START, server.folder) for _ in range(10)]
    said = {process.communicate(timeout=at_most(60))[0] for process in processes}
    target = server.target()
    assert target is not None
    assert said == {f"{target.url()}\n"}
    assert not (server.folder / "server.log.1").exists()  # a second start would have put the first log there


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGKILL"])
def test_it_survives_the_end_of_its_starter_and_its_terminal(stopped: EmbeddedServer, name: str) -> None:
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # ignored in tests that nohup started
    starter = python(f"{heard}{START}import time; time.sleep(60)", stopped.folder)
    assert starter.stdout is not None
    url = starter.stdout.readline().strip()
    os.killpg(starter.pid, signal.Signals[name])
    starter.communicate(timeout=at_most(10))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("seen", ["unfinished-*/data/PG_VERSION", "data", "data/postmaster.pid"])
def test_the_start_after_a_killed_first_one_succeeds(server: EmbeddedServer, seen: str) -> None:
    starter = python(START, server.folder)
    assert eventually(lambda: list(server.folder.glob(seen)))
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate(timeout=at_most(10))
    target = server.start()
    psycopg.connect(target.conninfo()).close()
    assert not [path for path in server.folder.glob("unfinished-*") if (path / "password").exists()]


def test_a_start_takes_the_server_that_a_killed_start_left_coming_up(
    stopped: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pid file is not there yet at each look, and is when a second server has failed because of it."""
    EmbeddedServer(stopped.folder).start()
    read, has_ended, over = Postmaster.read, cluster.has_ended, []

    def noted(pid: int) -> bool:
        over.extend([pid] if has_ended(pid) else [])
        return bool(over)

    monkeypatch.setattr(cluster, "has_ended", noted)
    monkeypatch.setattr(Postmaster, "read", lambda data: read(data) if over else None)
    target = stopped.start()
    assert over
    psycopg.connect(target.conninfo()).close()


def test_a_killed_server_starts_again_with_its_data(stopped: EmbeddedServer) -> None:
    target = stopped.start()
    with psycopg.connect(target.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    sockets = json.loads((stopped.folder / "server.json").read_text())["sockets"]
    os.kill(pid_of(stopped), signal.SIGKILL)
    assert eventually(lambda: not stopped.is_running)
    with psycopg.connect(stopped.start().conninfo()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)
    assert not Path(sockets).exists()


def test_another_process_with_the_id_of_a_dead_server_is_left_alone(stopped: EmbeddedServer) -> None:
    stopped.start()
    pid_file = stopped.data / "postmaster.pid"
    content = pid_file.read_text()
    stopped.stop()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        pid_file.write_text(f"{stranger.pid}\n{content.split(chr(10), 1)[1]}")
        assert not stopped.is_running
        stopped.stop()
        stopped.start()
        assert pid_of(stopped) != stranger.pid
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_data_of_another_major_version_is_not_touched(stopped: EmbeddedServer) -> None:
    version = stopped.data / "PG_VERSION"
    ours = version.read_text()
    version.write_text("13\n")
    before = {path: path.stat().st_mtime_ns for path in stopped.data.rglob("*")}
    with pytest.raises(EmbeddedServerError, match=rf"is from PostgreSQL 13, .* \(found {ours.strip()}\."):
        stopped.start()
    assert {path: path.stat().st_mtime_ns for path in stopped.data.rglob("*")} == before
    version.write_text(ours)


def test_a_server_that_does_not_start_says_why(stopped: EmbeddedServer) -> None:
    settings = stopped.data / "postgresql.conf"
    before = settings.read_text()
    settings.write_text(f"{before}\nnonsense = 1\n")
    with pytest.raises(EmbeddedServerError, match='unrecognized configuration parameter "nonsense"'):
        stopped.start()
    settings.write_text(before)


def test_a_full_disk_leaves_no_half_cluster(server: EmbeddedServer) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n" + START
    said, _ = python(limited, server.folder).communicate(timeout=at_most(60))
    assert "EmbeddedServerError: embedded server: initdb failed" in said
    assert "File too large" in said
    assert not server.data.exists()
    assert not list(server.folder.glob("unfinished-*"))


def test_a_lock_held_for_too_long_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedServerError, match="another process is still starting or stopping it"):
            EmbeddedServer(tmp_path, timeout_seconds=0.1).start()


def test_a_server_that_is_not_ready_in_time_is_an_error_and_found_later(stopped: EmbeddedServer) -> None:
    stopped.start()
    os.kill(pid_of(stopped), signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match="did not stop within"):
            EmbeddedServer(stopped.folder, timeout_seconds=0.1).stop()
    finally:
        os.kill(pid_of(stopped), signal.SIGCONT)
    assert eventually(lambda: not stopped.is_running)


@pytest.mark.parametrize("damage", ["", "[]", '{"port": 1}'])
def test_a_damaged_state_is_an_error_and_makes_no_new_server(tmp_path: Path, damage: str) -> None:
    (tmp_path / "server.json").write_text(damage)
    with pytest.raises(EmbeddedServerError, match=r"server\.json is damaged"):
        EmbeddedServer(tmp_path).start()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["data/PG_VERSION", "data/notes.txt"])
def test_a_data_folder_of_unknown_origin_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / name).write_text("18\n")
    with pytest.raises(EmbeddedServerError, match="was changed since an earlier start"):
        EmbeddedServer(tmp_path).start()
    assert (tmp_path / name).read_text() == "18\n"


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="file"):
        EmbeddedServer(tmp_path / "file" / "postgres").start()


def test_a_scratch_server_does_not_outlive_a_killed_process(tmp_path: Path) -> None:
    script = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from bootstrapper.postgres.server.embedded import scratch
with scratch():
    print(flush=True)
    time.sleep(60)
"""
    process = python(script, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    [folder] = tmp_path.iterdir()
    running = Postmaster.read(folder / "data")
    sockets = Path(json.loads((folder / "server.json").read_text())["sockets"])
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=at_most(10))
    assert running is not None
    assert eventually(lambda: ended(running.pid) and not folder.exists())
    assert not sockets.exists()


def test_a_project_that_was_moved_while_its_server_ran_keeps_it(server: EmbeddedServer, tmp_path: Path) -> None:
    target = server.start()
    moved = EmbeddedServer(tmp_path / "moved")
    shutil.move(server.folder, moved.folder)
    assert moved.start() == target
    moved.stop()
    assert not moved.is_running


@pytest.mark.parametrize("written", ["-1", "0", "1", "ours", None])
def test_only_the_server_of_the_folder_is_ended_whatever_a_dump_wrote_into_postmaster_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    pid_file = tmp_path / "postmaster.pid"
    if written is None:
        os.mkfifo(pid_file)
    else:
        pid = str(os.getpid()) if written == "ours" else written
        pid_file.write_text(f"{pid}\n{tmp_path}\n1\n5432\n")
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    reaper.end(tmp_path, seconds=0.05)
    assert killed == []
    assert written in (None, "ours") or Postmaster.read(tmp_path) is None
