"""What else may be found behind a host and a port: nothing, silence, strangers, servers that are not ready."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers import (
    SETTINGS,
    Server,
    create_cluster,
    free_port,
    server_bin,
    server_folder,
    spawn,
    start,
    stop,
    unprivileged,
)
from tests.waiting import eventually


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port that answers whatever comes with the same bytes and closes; at once if there are none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_answer, args=(listener, answer), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _answer(listener: socket.socket, answer: bytes) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        with caller:
            if answer:
                caller.recv(1024)
                caller.sendall(answer)


@contextmanager
def standby(**settings: str) -> Iterator[tuple[Server, Callable[[], None]]]:
    """A server in recovery that never ends, not waited for; calling the second part promotes it."""
    with server_folder() as folder:
        server = Server(server_bin(), folder / "data", free_port())
        options = {**SETTINGS, "port": str(server.port), "unix_socket_directories": str(folder), **settings}
        options["max_connections"] = "100"  # not below the one that initdb wrote down for the primary
        create_cluster(server)
        (server.data / "standby.signal").touch()
        arguments = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        command = unprivileged([str(server.bin / "postgres"), "-D", str(server.data), *arguments])
        with (folder / "log").open("ab") as log:
            process = spawn(command, log)
        try:
            yield server, lambda: _promote(server, process)
        finally:
            stop(process)


@contextmanager
def replica(primary: Server) -> Iterator[Server]:
    """A physical standby that follows a running server, and has its databases as they are now."""
    with server_folder() as folder:
        server = Server(primary.bin, folder / "data", free_port())
        copy = [str(primary.programs / "pg_basebackup"), "-D", str(server.data), "-R", "-X", "stream", "-c", "fast"]
        place = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", primary.user]
        environment = {**os.environ, "PGPASSWORD": primary.password}
        subprocess.run(unprivileged([*copy, *place]), check=True, capture_output=True, env=environment)
        process = start(server)
        try:
            yield server
        finally:
            stop(process)


def _promote(server: Server, process: subprocess.Popen[bytes]) -> None:
    assert eventually(lambda: "entering standby mode" in log(server))  # before that the signal would end it
    (server.data / "promote").touch()
    process.send_signal(10)  # SIGUSR1, as pg_ctl promote does


def log(server: Server) -> str:
    return (server.data.parent / "log").read_text(errors="replace")
