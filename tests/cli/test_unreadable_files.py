"""Tests that a pipe or a too long name in the configuration is one error, without waiting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.project import Project

TOO_LONG = "x" * 5000
HEAD = 'version: 1\ndatabase: {url: "${DATABASE_URL}"}\n'
STEPS = "steps:\n  - uses: wait\n  - uses: lock\n"
REVISION = 'revision = "a"\ndown_revision = None\n'


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project for `validate`, which does not connect."""
    return Project(tmp_path, "postgresql://127.0.0.1:1/none")


def migrations(folder: Path) -> Path:
    (folder / "m/versions").mkdir(parents=True)
    (folder / "m/env.py").touch()
    (folder / "m/versions/a.py").write_text(REVISION)
    return folder / "m/versions"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{HEAD}env_files: [{TOO_LONG}]\n{STEPS}", id="an env file"),
        pytest.param(f"{HEAD}plugins: [./{TOO_LONG}]\n{STEPS}", id="a folder of plugins"),
        pytest.param(f"{HEAD}{STEPS}  - uses: sql\n    with: {{file: {TOO_LONG}}}\n    check: never\n", id="SQL"),
        pytest.param(f"{HEAD}{STEPS}  - uses: migrate\n    with: {{script_location: {TOO_LONG}}}\n", id="scripts"),
        pytest.param(f"{HEAD}{STEPS}  - uses: migrate\n    with: {{config: {TOO_LONG}}}\n", id="an ini file"),
        pytest.param(
            f"{HEAD}{STEPS}  - uses: seed\nfixtures:\n  b: {{key: [id], file: {TOO_LONG}.csv}}\n", id="a CSV file"
        ),
    ],
)
def test_a_too_long_file_name_is_a_configuration_error(project: Project, text: str) -> None:
    project.write(text)
    result = project.run("validate")
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) <= 2


PIPES = {
    "p/x.py": f"{HEAD}plugins: [./p]\n{STEPS}",
    "q.sql": f"{HEAD}{STEPS}  - uses: sql\n    with: {{file: q.sql}}\n    check: never\n",
    "r.csv": f"{HEAD}{STEPS}  - uses: seed\nfixtures:\n  b: {{key: [id], file: r.csv}}\n",
    "r.yaml.gz": f"{HEAD}{STEPS}  - uses: seed\nfixtures:\n  b: {{key: [id], file: r.yaml.gz}}\n",
    "m/versions/b.py": f"{HEAD}{STEPS}  - uses: migrate\n    with: {{script_location: m}}\n",
}


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_instead_of_a_file_is_an_error_without_waiting(project: Project, name: str) -> None:
    migrations(project.folder)
    pipe = project.folder / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    project.write(PIPES[name])
    result = project.run("validate")
    assert (result.returncode, pipe.name in result.stderr) == (2, True), result.stderr


def test_a_revision_that_is_a_dangling_link_is_an_error(project: Project) -> None:
    (migrations(project.folder) / "b.py").symlink_to("nowhere.py")
    project.write(PIPES["m/versions/b.py"])
    result = project.run("validate")
    assert (result.returncode, "nowhere.py" in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("name", ["/proc/self/mem", "mem.toml"])
def test_an_unreadable_alembic_configuration_is_an_error(project: Project, name: str) -> None:
    migrations(project.folder)
    (project.folder / "mem.toml").symlink_to("/proc/self/mem")
    project.write(f"{HEAD}{STEPS}  - uses: migrate\n    with: {{script_location: m, config: {name}}}\n")
    result = project.run("validate")
    assert (result.returncode, "cannot be read" in result.stderr) == (2, True), result.stderr


def test_an_unreadable_folder_of_revisions_is_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(migrations(project.folder))  # simulated, since root, who often runs the tests, may read any folder
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path) == folder:
            raise PermissionError(13, "Permission denied", folder)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    project.write(PIPES["m/versions/b.py"])
    result = project.run("validate")
    assert (result.returncode, f"{folder} cannot be read" in result.stderr) == (2, True), result.stderr
