"""What was measured with, for the table of versions."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks import installed
from tests.servers import path_bin, wheel_bin

_PACKAGES = ("pg-bootstrapper", "alembic", "SQLAlchemy", "psycopg", "pydantic")
_NUMBER = re.compile(r"\d+\.\d+[\w.]*")


def about() -> dict[str, str]:
    """The date, the cores, and the versions of the tools by their names."""
    server = (path_bin() or wheel_bin()) / "postgres"
    found = {
        "measured on": datetime.now(UTC).date().isoformat(),
        "cores": str(os.cpu_count()),
        "PostgreSQL": _version([str(server), "--version"]),
        "Python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
    }
    for name, program in (("dbmate", installed.dbmate()), ("sqitch", installed.sqitch())):
        if program:
            found[name] = _version([str(program), "--version"])
    for name, python in (("Django", installed.django_python()), ("yoyo-migrations", installed.yoyo_python())):
        if python:
            script = f"from importlib.metadata import version; print(version({name!r}))"
            found[name] = _version([str(python), "-c", script])
    return found


def _version(command: Sequence[str]) -> str:
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    number = _NUMBER.search(output)
    return number[0] if number else output.strip()
