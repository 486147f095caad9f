"""Reads the request, runs its command, and reports the result."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from bootstrapper_worker.channel import Events, receive
from bootstrapper_worker.dialect import load_dialect
from bootstrapper_worker.offline import history, render
from bootstrapper_worker.online import downgrade, revision, upgrade

FAILED = 1
AHEAD = "ahead"
COMMANDS = {
    "upgrade": upgrade,
    "downgrade": downgrade,
    "revision": revision,
    "render": render,
    "history": history,
}


def main() -> int:
    gc.freeze()
    gc.enable()
    if sys.argv[3:] == [AHEAD]:
        load_dialect()
    events = Events(int(sys.argv[2]))
    request = receive(int(sys.argv[1]))
    os.environ.update(request["environment"])
    sys.argv[1:] = []  # code of the project may look at them
    sys.path.append(str(Path.cwd()))  # last, so that a folder named alembic hides nothing
    failure = COMMANDS[request["command"]](request, events)
    if failure is not None:
        events.send("failed", **failure)
        return FAILED
    events.send("finished")
    return 0


def finish() -> None:
    """Does what the interpreter does at its end, but for taking every object apart, which the run would wait for.

    That is to wait for threads, run exit functions, and flush the streams.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # joins, and tells the threads of executors to end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
