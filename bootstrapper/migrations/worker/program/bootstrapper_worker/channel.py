"""The pipes to the parent: its request in, events out."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from typing import Any

ORPHANED = 70


class Stop(Exception):  # noqa: N818 - the parent makes an error of it
    """Stops the work; `kind` tells the parent why."""

    def __init__(self, kind: str, reason: str, **facts: Any) -> None:
        super().__init__(reason)
        self.report = {"kind": kind, "reason": reason, **facts}


class Events:
    """The event pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def send(self, name: str, **facts: Any) -> None:
        self._file.write(json.dumps({"event": name, **facts}) + "\n")
        self._file.flush()


def receive(descriptor: int) -> dict[str, Any]:
    """Reads the request, and from then on watches for the end of the parent.

    Code that never yields to another thread does not outlive the parent either, where the kernel supports it: the
    kernel kills this process at the next event on the pipe, which is its end.
    """
    os.set_inheritable(descriptor, False)
    control = os.fdopen(descriptor, "rb")
    line = control.readline()
    if not line:
        os._exit(ORPHANED)  # started ahead, and not needed
    request: dict[str, Any] = json.loads(line)

    def watch() -> None:
        control.read()
        os._exit(ORPHANED)  # in the middle of whatever runs: the server rolls it back

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    return request
