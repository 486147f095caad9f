"""Tests of `plugins new`: what it writes works as it is written, and nothing is replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.project import ROOT, Project
from tests.waiting import at_most

pytestmark = pytest.mark.long

ONE_STEP = 'version: 1\ndatabase: {url: "${DATABASE_URL}"}\n'
STEPS = """\
steps:
  - uses: lock
  - {uses: sql, with: {statement: CREATE TABLE notes ()}, check: {table: notes}}
  - {uses: grant_read, with: {table: notes, comment: Notes that matter}}
"""


def run(folder: Path, *command: str) -> str:
    """Runs a program beside the new distribution, as its author does who has installed it."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
        capture_output=True,
        text=True,
        timeout=at_most(240),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(folder: Path) -> None:
    """Leaves what an installer would: the metadata with the entry point of the pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "\n".join(f"{name} = {module}" for name, module in project["entry-points"]["bootstrapper"].items())
    (info / "entry_points.txt").write_text(f"[bootstrapper]\n{points}\n")


def test_a_new_file_works_as_it_is_written(project: Project) -> None:
    made = project.run("plugins", "new", "grant_read")
    assert (made.returncode, made.stdout) == (0, "")
    assert "wrote plugins/grant_read.py\n" in made.stderr
    assert "List it in bootstrap.yaml: plugins: [./plugins]" in made.stderr
    run(project.folder, "mypy", "--strict", "plugins")
    project.write(f"{ONE_STEP}plugins: [./plugins]\n{STEPS}")
    plan = project.run("plan", "--format", "json")
    assert [step["state"] for step in json.loads(plan.stdout)["steps"]][-1] == "deferred", plan.stderr
    assert project.run("apply").returncode == 0
    assert project.run("plan", "--exit-code").returncode == 0


def test_a_new_file_goes_into_the_first_folder_that_the_file_lists(offline: Project) -> None:
    offline.write(f"{ONE_STEP}plugins: [some-distribution, ./ours, ./others]\nsteps: [{{uses: wait}}]\n")
    made = offline.run("plugins", "new", "grant_read")
    assert (made.returncode, "List it" in made.stderr) == (0, False)
    assert (offline.folder / "ours" / "grant_read.py").exists()


def test_a_new_distribution_passes_its_tests_as_it_is_written(offline: Project, database: str) -> None:
    made = offline.run("plugins", "new", "grant_read", "--package")
    assert (made.returncode, "plugins: [bootstrapper-grant-read]" in made.stderr) == (0, True)
    folder = offline.folder / "bootstrapper-grant-read"
    install(folder)
    assert "Success" in run(folder, "mypy")
    shown = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "-o", f"bootstrap_database_url={database}")
    assert "4 passed" in shown


@pytest.mark.parametrize("options", [(), ("--package",)])
def test_nothing_is_replaced(offline: Project, options: tuple[str, ...]) -> None:
    assert offline.run("plugins", "new", "grant_read", *options).returncode == 0
    again = offline.run("plugins", "new", "grant_read", *options)
    assert again.returncode == 2
    assert " already exists\nhint: Choose another name, or remove it." in again.stderr


@pytest.mark.parametrize("name", ["os", "json"])
def test_a_file_with_the_name_of_a_module_of_python_is_refused(offline: Project, name: str) -> None:
    made = offline.run("plugins", "new", name)
    assert (made.returncode, f"{name!r} is the name of a module of Python" in made.stderr) == (2, True)
    assert not (offline.folder / "plugins").exists()


@pytest.mark.parametrize(
    "name", ["Grant", "grant-read", "2grant", "_grant", "class", "../grant", "seed", "grant__read"]
)
def test_a_name_that_cannot_be_one_is_refused(offline: Project, name: str) -> None:
    made = offline.run("plugins", "new", "--", name)
    assert (made.returncode, "name of" in made.stderr, "hint: " in made.stderr) == (2, True, True)
    assert not (offline.folder / "plugins").exists()
