"""Runs the commands whose output a page shows, and replaces the output in the page.

    python docs/outputs.py

README.md shows the sample, the tutorial a project that grows with the page. A test compares both with a real run,
except for times and ids.
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
ALEMBIC = (sys.executable, "-m", "alembic")
PENDING = 4
STEP = re.compile(r"^```(yaml|console)\n(.+?)^```$", re.MULTILINE | re.DOTALL)
REVISIONS = {
    "466f3b32f8dd": (
        "create books",
        "op.create_table('books', sa.Column('isbn', sa.Text, primary_key=True), sa.Column('title', sa.Text))",
    ),
    "554ebc3ecebc": ("add author", "op.add_column('books', sa.Column('author', sa.Text))"),
}


def refreshed(text: str) -> str:
    """Returns the page with current output, with the commands run in order from an empty database."""
    with tempfile.TemporaryDirectory(prefix="mnfst-rag-") as name:
        folder = Path(name)
        for each in SAMPLE:
            copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy2
            copy(ROOT / each, folder / each)
        try:
            return BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{run(block[1], folder)}```", text)
        finally:
            run("bootstrapper dev stop -e development", folder)


def refreshed_tutorial(text: str) -> str:
    """Returns the tutorial with current output; its YAML becomes the file, and the second one needs a revision."""
    with tempfile.TemporaryDirectory(prefix="library-") as name:
        folder = Path(name)
        subprocess.run([*ALEMBIC, "init", "migrations"], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        identifiers = iter(REVISIONS)
        file = folder / "bootstrap.yaml"

        def step(block: re.Match[str]) -> str:
            if block[1] == "yaml":
                write_revision(folder, next(identifiers))
                above = file.read_text(encoding="utf-8").partition("fixtures:")[0] if file.exists() else ""
                file.write_text(above + block[2], encoding="utf-8")
                return block[0]
            command = block[2].partition("\n")[0]
            printed = run(command.removeprefix("$ "), folder, pending=True).rstrip("\n")  # psql ends with an empty line
            return "\n".join(filter(None, ("```console", command, printed, "```")))

        try:
            return STEP.sub(step, text)
        finally:
            run("bootstrapper dev stop", folder)


def write_revision(folder: Path, identifier: str) -> None:
    """Writes the revision of the page: the output of `alembic revision` with one statement instead of `pass`."""
    message, statement = REVISIONS[identifier]
    command = [*ALEMBIC, "revision", "-m", message, "--rev-id", identifier]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    (file,) = (folder / "migrations" / "versions").glob(f"{identifier}_*.py")
    file.write_text(file.read_text(encoding="utf-8").replace("pass", statement, 1), encoding="utf-8")


def run(command: str, folder: Path, *, pending: bool = False) -> str:
    """Returns what a command prints on both streams.

    Raises CalledProcessError if it fails; with `pending`, exit code 4 is not a failure.
    """
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
        check=False,
    )
    if not (pending and done.returncode == PENDING):
        done.check_returncode()
    return done.stdout


def main() -> None:
    for name, refresh in PAGES.items():
        page = ROOT / name
        page.write_text(refresh(page.read_text(encoding="utf-8")), encoding="utf-8")


PAGES = {"README.md": refreshed, "docs/tutorial.md": refreshed_tutorial}


if __name__ == "__main__":
    main()
