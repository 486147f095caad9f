"""Where the embedded server listens and what its password is, kept in a file of the server's folder."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import EmbeddedServerError, UnusableServerError
from bootstrapper.postgres.server.unprivileged import Identity

HOST = "127.0.0.1"
UNFINISHED = "unfinished-"
"""Begins the names of files and folders that are being made or removed."""

_PORTS = range(15000, 32000)  # below the ports that systems give to outgoing connections
_TRIES = 50
_SOCKETS = "bs-"
_LONGEST = 70  # the path of a socket in it has room for 107 bytes


@dataclass(frozen=True)
class Placement:
    """What is needed to start the server again and to log in.

    Attributes:
        sockets: The folder of its Unix socket, None while the server is stopped.
        lent: Whether the server stops with the process that borrowed it.
    """

    port: int
    password: str
    sockets: str | None = None
    lent: bool = False

    @classmethod
    def new(cls) -> Self:
        return cls(_free_port(), secrets.token_urlsafe(24))

    @classmethod
    def read(cls, file: Path) -> Self | None:
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise UnusableServerError(
                f"{file} is damaged; it had the only copy of the password",
                hint=f"Remove {file.parent} if its data may be lost; a new server will be created.",
            ) from error

    def write(self, file: Path) -> None:
        """Replaces the file in one step, readable by its owner only; it stays its owner's when root writes it."""
        descriptor, name = tempfile.mkstemp(prefix=UNFINISHED, dir=file.parent)
        with os.fdopen(descriptor, "w") as stream:
            if file.exists():
                owner = file.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            json.dump(asdict(self), stream)
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(file)

    def opened(self, identity: Identity) -> Self:
        """Returns the placement for a start: the same port unless taken, and a new socket folder of the identity."""
        self.closed()
        folder = Path(tempfile.mkdtemp(prefix=_SOCKETS, dir=_short_folder()))
        identity.take(folder)
        return replace(self, port=self.port if is_free(self.port) else _free_port(), sockets=str(folder))

    def closed(self) -> Self:
        """Returns the placement after a stop, or after the death of the server."""
        if self.sockets is not None and Path(self.sockets).name.startswith(_SOCKETS):
            shutil.rmtree(self.sockets, ignore_errors=True)
        return replace(self, sockets=None, lent=False)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    """Returns a port that stays ours: not one that an outgoing connection may get while the server is stopped."""
    for port in random.sample(_PORTS, _TRIES):
        if is_free(port):
            return port
    raise EmbeddedServerError(f"no free port among {_TRIES} tried on {HOST}")


def _short_folder() -> str:
    """Returns /tmp, which every account may enter; the folder that TMPDIR names only if /tmp is not writable."""
    short = "/tmp"  # noqa: S108 - mkdtemp makes a private folder in it
    named = tempfile.gettempdir()
    is_needed = not os.access(short, os.W_OK | os.X_OK) and len(os.fsencode(named)) <= _LONGEST
    return named if is_needed else short
