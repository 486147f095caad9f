"""Files of a project, written into a folder from one mapping."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

INI = "[alembic]\nscript_location = migrations\n"
ENV = "from alembic import context\ncontext.configure()\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def alembic(at: str = "", **env: str) -> dict[str, str]:
    """Returns an Alembic project in a subfolder, such as `backend/`."""
    return {
        f"{at}alembic.ini": INI,
        f"{at}migrations/env.py": env.get("env", ENV),
        f"{at}migrations/versions/x.txt": "",
    }
