"""A cluster on disk: created whole or not at all, started, and recognised while it runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import EmbeddedServerError, UnusableServerError
from bootstrapper.postgres.server.clienttools import ClientTools
from bootstrapper.postgres.server.placement import UNFINISHED
from bootstrapper.postgres.server.unprivileged import Identity

SUPERUSER = "postgres"

_INITDB_SECONDS = 60.0
_LINES_SHOWN = 6
_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--data-checksums",
    "--no-instructions",
)
_BUILTIN_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
_BUILTIN_SINCE = 17
_LETTERS = "--lc-ctype=C.UTF-8"
"""Before there was a builtin locale: upper and lower case of all letters, from a locale that not every system has."""


def create(
    folder: Path, data: Path, identity: Identity, programs: ClientTools, *, password: str, durable: bool
) -> None:
    """Creates a cluster beside its place and moves it there, so that a kill never leaves half a cluster."""
    place = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    try:
        secret = place / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        for path in (secret, place):
            identity.take(path)
        made = place / "data"
        command = [str(programs.program("initdb")), f"--pgdata={made}", f"--pwfile={secret}", *_OPTIONS]
        command += [] if durable else ["--no-sync"]
        for locale in _locales(programs.major):
            works, said = identity.run([*command, *locale], seconds=_INITDB_SECONDS)
            if works:
                break
        else:
            raise EmbeddedServerError("initdb failed", details=last_lines(said))
        made.rename(data)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _locales(major: int) -> tuple[tuple[str, ...], ...]:
    """Returns options to try one after the other; all of them sort text by code points."""
    return (_BUILTIN_LOCALE,) if major >= _BUILTIN_SINCE else ((_LETTERS,), ())


def major_of(data: Path) -> int:
    """Returns the major version of the PostgreSQL that created the data; raises UnusableServerError."""
    text = (data / "PG_VERSION").read_text().strip()
    if not text.isdecimal():
        raise UnusableServerError(f"{data / 'PG_VERSION'} is damaged", hint=f"Move {data.parent} away.")
    return int(text)


def remove(folder: Path, data: Path) -> None:
    """Removes a cluster; moves it out of its place first, so that a kill never leaves half a cluster."""
    place = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    data.rename(place / "data")
    shutil.rmtree(place)


def sweep(folder: Path) -> None:
    """Removes what a killed `create` or `remove` left."""
    for path in folder.glob(f"{UNFINISHED}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def launch(
    data: Path, identity: Identity, program: Path, settings: Mapping[str, str], *, log: Path, dead: int | None
) -> int:
    """Starts the server and gives its process id; `log` is new for every start.

    `dead` is a process id of which we know that it is not this server, though a stale postmaster.pid says so and
    another process may have it now. Calling it our grandparent makes PostgreSQL skip it, and keeps its other guards.
    """
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        extra = {} if dead is None else {"PG_GRANDPARENT_PID": str(dead)}
        process = identity.spawn([str(program), "-D", str(data), *arguments], output=output, extra=extra)
        process.returncode = 0  # it outlives us on purpose: Popen shall neither wait for it nor warn
        return process.pid
    finally:
        os.close(output)


def has_ended(pid: int) -> bool:
    """Whether this child of ours is dead; takes it out of the table of processes."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


@dataclass(frozen=True)
class Postmaster:
    """The content of postmaster.pid."""

    pid: int
    port: int

    @classmethod
    def read(cls, data: Path) -> Self | None:
        try:
            lines = (data / "postmaster.pid").read_bytes().split(b"\n")
            pid, port = abs(int(lines[0])), int(lines[3])  # below 0 in single-user mode
        except (FileNotFoundError, IndexError, ValueError):  # it is not written in one piece
            return None
        return cls(pid, port) if pid > 1 else None

    def runs(self, data: Path) -> bool:
        """Whether this process is alive and is the server of `data`; the id may be another process's by now."""
        if not _is_alive(self.pid):
            return False
        process = Path("/proc") / str(self.pid)
        try:
            return (process / "cwd").samefile(data)
        except PermissionError:  # root without CAP_SYS_PTRACE, as in most containers
            return os.fsencode(data) in (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return not Path("/proc/self").exists()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def last_lines(text: str) -> list[str]:
    return text.strip().splitlines()[-_LINES_SHOWN:]
