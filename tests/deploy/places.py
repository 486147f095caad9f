"""What examples/deploy says about how the tool is run, and a place in which that can be done without a container."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.waiting import at_most

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
_READ_ONLY = """
mount --bind "$1" "$1"
mount --bind "$2" "$2"
mount -o remount,bind,ro /
shift 2
exec unshare --user --map-user=65532 --map-group=65532 "$@"
"""


class Unit(ConfigParser):
    """A unit file of systemd; a key that is set twice keeps its last value."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",))
        self.read(DEPLOY / "systemd" / name)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def manifest(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8")))


def container(name: str, kind: str = "containers") -> dict[str, Any]:
    return dict(manifest(name)["spec"]["template"]["spec"][kind][0])


def image_environment() -> dict[str, str]:
    """Returns what ENV of the Dockerfile sets, with PATH aside."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    pairs = dict(pair.split("=", 1) for pair in shlex.split(line))
    return {name: value for name, value in pairs.items() if name != "PATH"}


@dataclass(frozen=True)
class Place:
    """A copy of the project that its user cannot write to, with folders for secrets, backups and temporary files."""

    folder: Path

    @classmethod
    def under(cls, folder: Path, database_url: str) -> Place:
        made = cls(folder)
        shutil.copytree(DEPLOY, made.app, ignore=shutil.ignore_patterns("__pycache__"))
        made.app.chmod(0o555)
        for name in ("secrets", "backups", "tmp"):
            (folder / name).mkdir()
        made.mount(database_url=database_url, admin_password="correct horse battery")
        return made

    @property
    def app(self) -> Path:
        return self.folder / "app"

    def mount(self, **secrets: str) -> None:
        """Replaces the mounted secrets."""
        shutil.rmtree(self.folder / "secrets")
        (self.folder / "secrets").mkdir()
        for name, text in secrets.items():
            (self.folder / "secrets" / name).write_text(f"{text}\n", encoding="utf-8")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the tool with no variables but those of the image or unit, and as an ordinary user."""
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder / "tmp"),
            **image_environment(),
            **variables,
            "CREDENTIALS_DIRECTORY": str(self.folder / "secrets"),
        }
        return subprocess.run(
            [*self._container(), sys.executable, "-m", "bootstrapper", *arguments],
            cwd=self.app,
            env=given,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=at_most(120),
            check=False,
        )

    def _container(self) -> list[str]:
        """Returns a prefix that makes all but two folders read-only and drops root; empty if the kernel refuses it."""
        writable = [str(self.folder / name) for name in ("backups", "tmp")]
        prefix = ["unshare", "--mount", "sh", "-ec", _READ_ONLY, "sh", *writable]
        try:
            is_possible = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
        except OSError:
            is_possible = False
        return prefix if is_possible else []

    def files(self) -> set[str]:
        """Returns the files of the project."""
        return {str(path.relative_to(self.app)) for path in self.app.rglob("*") if path.is_file()}
