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


def main() -> None:
    folder = Path(sys.argv[1])
    os.read(0, 1)
    _end(folder / "data" / "postmaster.pid")
    with suppress(OSError, ValueError, TypeError, KeyError):
        shutil.rmtree(json.loads((folder / "server.json").read_text())["sockets"])
    shutil.rmtree(folder, ignore_errors=True)


def _end(pid_file: Path) -> None:
    """The server removes the file as its last act."""
    deadline = time.monotonic() + _SECONDS
    while pid_file.exists() and time.monotonic() < deadline:
        with suppress(FileNotFoundError, IndexError, ValueError):
            try:
                os.kill(int(pid_file.read_bytes().split()[0]), signal.SIGQUIT)
            except ProcessLookupError:
                return
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
