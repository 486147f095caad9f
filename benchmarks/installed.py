"""The peers: found where they are, else installed below .venv/benchmarks from their own registries, else left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tools import ROOT, show

_FOLDER = ROOT / ".venv" / "benchmarks"
_DJANGO = ("django>=5.2,<5.3", "psycopg[binary]", "pyyaml")
_YOYO = ("yoyo-migrations>=9,<10", "psycopg[binary]")
_DBMATE = "dbmate@^2.36"
_SQITCH = ("sqitch", "libdbd-pg-perl")


def django_python() -> Path | None:
    """The interpreter of an environment with Django; None if it cannot be made."""
    return _python("django", _DJANGO)


def yoyo_python() -> Path | None:
    """The interpreter of an environment with yoyo, whose program is beside it."""
    return _python("yoyo", _YOYO)


def dbmate() -> Path | None:
    found = shutil.which("dbmate")
    if found:
        return Path(found)
    program = _FOLDER / "dbmate" / "node_modules" / ".bin" / "dbmate"
    if not program.exists():
        _install("dbmate", [["npm", "install", "--silent", "--prefix", str(_FOLDER / "dbmate"), _DBMATE]])
    return program if program.exists() else None


def sqitch() -> Path | None:
    """Sqitch of the distribution, which only root can install."""
    if not shutil.which("sqitch") and os.getuid() == 0 and shutil.which("apt-get"):
        _install("sqitch", [["apt-get", "install", "-y", "-qq", *_SQITCH]])
    found = shutil.which("sqitch")
    return Path(found) if found else None


def _python(name: str, packages: Sequence[str]) -> Path | None:
    python = _FOLDER / name / "bin" / "python"
    done = _FOLDER / name / "installed"
    if done.is_file() and done.read_text().split() == list(packages):
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    if not _install(name, [[sys.executable, "-m", "venv", str(_FOLDER / name)], install]):
        return None
    done.write_text("\n".join(packages))
    return python


def _install(name: str, commands: Sequence[Sequence[str]]) -> bool:
    """Runs the commands; whoever cannot be installed is left out, and it is said."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        show(f"{name} cannot be installed, and is left out: {output.strip().splitlines()[-1]}")
        return False
    return True
