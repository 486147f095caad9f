"""Ends a throw-away server when its user is done or dead: python reaper.py FOLDER, then one byte or the end on stdin.

A process of its own, as nothing in a killed process could clean up. It knows nothing of the package, so that it is
ready at once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_SECONDS = 10.0
_POLL_SECONDS = 0.02
_LONGEST_PID = 32  # more than the first line of the file ever has


def main() -> None:
    folder = Path(sys.argv[1])
    os.read(0, 1)
    end(folder / "data")
    with suppress(OSError, ValueError, TypeError, KeyError):
        shutil.rmtree(json.loads((folder / "server.json").read_text())["sockets"])
    shutil.rmtree(folder, ignore_errors=True)


def end(data: Path, seconds: float = _SECONDS) -> None:
    """Ends the server of this folder, which removes its postmaster.pid as its last act."""
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + seconds
    while os.path.lexists(pid_file) and time.monotonic() < deadline:
        with suppress(OSError, IndexError, ValueError):  # it is not written in one piece
            pid = _first_number(pid_file)
            if not _is_server(pid, data):
                return
            os.kill(pid, signal.SIGQUIT)
        time.sleep(_POLL_SECONDS)


def _first_number(file: Path) -> int:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        return int(opened.read(_LONGEST_PID).split()[0])


def _is_server(pid: int, data: Path) -> bool:
    """Whether this process is the server of that folder.

    A restored dump is code that runs as the server's account, and can write any number into the file.
    """
    return pid > 1 and _works_in(pid, data)


def _works_in(pid: int, data: Path) -> bool:
    process = Path("/proc") / str(pid)
    try:
        return (process / "cwd").samefile(data)
    except PermissionError:  # root without CAP_SYS_PTRACE, as in most containers
        return _is_server_of(process, data)
    except OSError:
        return not Path("/proc/self").exists() and os.geteuid() != 0  # only processes of this user can be ended then


def _is_server_of(process: Path, data: Path) -> bool:
    try:
        is_owners = process.stat().st_uid == data.stat().st_uid
        return is_owners and os.fsencode(data) in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


if __name__ == "__main__":
    main()
