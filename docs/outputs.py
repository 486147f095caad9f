"""Runs the commands whose output README.md shows, on a copy of the sample, and puts what they print into the page.

    python docs/outputs.py

A test compares the page with a real run, times and ids aside.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ("bootstrap.yaml", "pyproject.toml", "config", "migrations", "plugins")
BLOCK = re.compile(r"^```console\n\$ (bootstrapper (?:plan|apply) [^\n]*)\n.+?^```$", re.MULTILINE | re.DOTALL)


def refreshed(text: str) -> str:
    """The page with the outputs of this moment, in the page's order, from an empty database on."""
    with tempfile.TemporaryDirectory(prefix="mnfst-rag-") as name:
        folder = Path(name)
        for each in SAMPLE:
            copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy2
            copy(ROOT / each, folder / each)
        try:
            return BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{run(block[1], folder)}```", text)
        finally:
            run("bootstrapper dev stop -e development", folder)


def run(command: str, folder: Path) -> str:
    """What a command prints on both streams; raises CalledProcessError where it fails."""
    left_out = ("PG", "BOOTSTRAPPER_", "DATABASE_URL")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        env={**kept, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def main() -> None:
    page = ROOT / "README.md"
    page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
