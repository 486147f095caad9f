"""The projects: what to install, what their own Alembic needs, and a folder to run them in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FACTS = Path(__file__).parent
CACHE = Path(__file__).parents[2] / ".venv" / "real-projects"


@dataclass(frozen=True)
class RealProject:
    """A project and what its env.py asks for.

    Attributes:
        driver: The one that its env.py makes an engine for.
        url_variable: The variable, beside DATABASE_URL, in which it expects the address.
        variables: What else it has to have.
    """

    name: str
    driver: str
    script_location: str
    url_variable: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Path:
        return FACTS / self.name

    @property
    def venv(self) -> Path:
        return CACHE / self.name

    @property
    def package(self) -> Path:
        """The folder of its sources, where they are installed."""
        name = self.script_location.partition(":")[0]
        return next(self.venv.glob(f"lib/python*/site-packages/{name}"))

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def url(self, url: str) -> str:
        return url.replace("postgresql://", f"postgresql+{self.driver}://", 1)

    def plain_ini(self, url: str) -> str:
        """An alembic.ini for Alembic alone, which finds the address nowhere else."""
        own = self.facts / "alembic.ini"
        text = own.read_text() if own.is_file() else f"[alembic]\nscript_location = {self.script_location}\n"
        address = self.url(url).replace("%", "%%")
        return text.replace("[alembic]\n", f"[alembic]\nsqlalchemy.url = {address}\n", 1)

    def environment(self, url: str, home: Path) -> dict[str, str]:
        own = {self.url_variable: self.url(url)} if self.url_variable else {}
        filled = {name: value.format(home=home) for name, value in self.variables.items()}
        return {
            **os.environ,
            **filled,
            **own,
            "DATABASE_URL": self.url(url),
            "PROJECT_PYTHON": str(self.python),
        }

    def install(self) -> None:
        """Makes the project's virtual environment, unless it is there with the same requirements."""
        requirements = self.facts / "requirements.txt"
        digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
        stamp = self.venv / "requirements.sha256"
        if stamp.is_file() and stamp.read_text() == digest:
            return
        shutil.rmtree(self.venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(self.venv)], check=True)
        # The list is complete, and what these packages say about each other's versions is not always so.
        options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([str(self.python), "-m", "pip", "install", *options, "-r", str(requirements)], check=True)
        stamp.write_text(digest)


PROJECTS = {
    project.name: project
    for project in (
        RealProject("ckan", "psycopg2", "ckan:migration"),
        RealProject(
            "langflow",
            "psycopg",
            "langflow:alembic",
            url_variable="LANGFLOW_DATABASE_URL",
            variables={"LANGFLOW_CONFIG_DIR": "{home}", "DO_NOT_TRACK": "1"},
        ),
    )
}
