"""The program in a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence

from tests.cli.project import Project
from tests.waiting import at_most


def on_terminal(project: Project, arguments: Sequence[str], typed: bytes = b"", **variables: str) -> tuple[str, int]:
    """Returns the output of the program and its exit code; `typed` is its input."""
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor, not a path
        process = subprocess.Popen(
            project.command(*arguments),
            cwd=project.folder,
            env=project.variables({"TERM": "xterm-256color", "COLUMNS": "100", **variables}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        os.write(master, typed)
        shown = b"".join(iter(lambda: _read(screen.fileno()), b""))
        return shown.decode(), process.wait(at_most(60))


def _read(descriptor: int) -> bytes:
    """Returns nothing at the end, where Linux raises an error because the other side is closed."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
