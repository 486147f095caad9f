"""What the tests of the embedded server share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FAST = {"fsync": "off", "shared_buffers": "16MB"}
ROOT = Path(__file__).parents[3]

START = """
import sys
from pathlib import Path
from bootstrapper.postgres.server.embedded import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1]), settings={"fsync": "off"}).start().url(), flush=True)
"""


def python(script: str, folder: Path, *, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """The script in a process and a process group of its own."""
    return subprocess.Popen(
        [*launcher, sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def ended(pid: int) -> bool:
    """Whether the process has ended, or is only an entry in the table."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" in status.read_text()
