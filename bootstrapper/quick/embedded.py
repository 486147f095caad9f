"""The address of an embedded server that runs, from the files in its folder (`postgres/server/embedded.py`)."""

from __future__ import annotations

import json
import os

SCHEME = "embedded:"
_DEFAULT_FOLDER = ".bootstrapper/postgres"
_DATABASE = "app"


def address_of(text: str, directory: str) -> str | None:
    """Returns the URL of the server; None if it has to be started, or stops with the process that borrowed it.

    Raises OSError, ValueError, IndexError or KeyError where that cannot be found out.

    Args:
        text: What the file declares.
        directory: Where relative paths start.
    """
    folder = os.path.join(directory, text.removeprefix(SCHEME) or _DEFAULT_FOLDER)
    data = os.path.join(folder, "data")
    with open(os.path.join(folder, "server.json"), encoding="utf-8") as file:
        state = json.load(file)
    with open(os.path.join(data, "postmaster.pid"), "rb") as pid_file:
        lines = pid_file.read().split(b"\n")
    process, port = int(lines[0]), int(lines[3])
    if state["lent"] or state["sockets"] is None or not os.path.samefile(f"/proc/{process}/cwd", data):
        return None
    return f"postgresql://postgres:{state['password']}@127.0.0.1:{port}/{_DATABASE}"
