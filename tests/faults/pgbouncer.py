"""Starts the PgBouncer of the distribution before a test's server, as an ordinary user: it refuses root."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers import Server, free_port, unprivileged

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
admin_users = {admin}
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 500
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
logfile =
"""


def program() -> str:
    found = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert found is not None, "the fault tests need PgBouncer: apt-get install pgbouncer"
    return found


class PgBouncer:
    """A pooler in `session`, `transaction` or `statement` mode.

    Args:
        users: Names and passwords that may log in, besides the server's own user.
    """

    def __init__(
        self, server: Server, mode: str, *, pool_size: int = 5, users: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self._server = server
        self._folder = Path(tempfile.mkdtemp(prefix="bouncer-"))
        known = {server.user: server.password, **(users or {})}
        (self._folder / "users").write_text("".join(f'"{name}" "{secret}"\n' for name, secret in known.items()))
        given = {"port": self.port, "folder": self._folder, "mode": mode, "pool_size": pool_size}
        text = SETTINGS.format(server_port=server.port, admin=server.user, **given)
        (self._folder / "ini").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, url: str) -> str:
        """A server's URL, with this pooler's port in it."""
        return url.replace(f":{self._server.port}/", f":{self.port}/")

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = unprivileged([program(), str(self._folder / "ini")])
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(self.log)

    def stop(self) -> None:
        """At once: clients and servers are cut off."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")
