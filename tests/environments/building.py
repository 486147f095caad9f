"""Virtual environments that are made once and kept, beside the one that the tests run in."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.environments.kinds import Environment

FOLDER = Path(__file__).parents[2] / ".venv" / "environments"


def interpreter(environment: Environment, folder: Path = FOLDER) -> Path:
    """The environment's Python; who comes while another process makes it waits until it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / key(environment)
    python, finished = home / "bin" / "python", home / "finished"
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.is_file():
            shutil.rmtree(home, ignore_errors=True)  # half of one, whose maker was killed
            install(environment, home, python)
            finished.touch()
    return python


def key(environment: Environment) -> str:
    """Other pins or another Python make another environment."""
    made_of = "\n".join((sys.version, sys.base_prefix, *environment.pins))
    return f"{environment}-{hashlib.sha256(made_of.encode()).hexdigest()[:8]}"


def install(environment: Environment, home: Path, python: Path) -> None:
    """Without pip in it: ours installs there, which saves half the time."""
    run("-m", "venv", "--without-pip", str(home))
    run("-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", *environment.pins)


def run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
