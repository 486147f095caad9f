"""Tests of `validate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.cli.revisions import three_revisions
from tests.migrations.projects import write_revision

pytestmark = pytest.mark.smoke


def test_validate_does_not_connect(offline: Project) -> None:
    run = offline.run("validate")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "bootstrap.yaml is valid: 4 steps\n"


@pytest.fixture
def revised(tmp_path: Path) -> tuple[Project, str]:
    """Returns a project without a database, and its newest revision, which has hazards."""
    project = three_revisions(tmp_path, "postgresql://guest@127.0.0.1:1/app")
    upgrade = "op.execute('CREATE TABLE d (id int)')\nop.drop_table('a')\nop.execute('CREATE INDEX i ON d (id)')"
    file = write_revision(tmp_path, "fourth", "third", upgrade=upgrade)
    return project, str(file.relative_to(tmp_path))


def test_validate_lists_the_hazards_of_revisions_without_a_database(revised: tuple[Project, str]) -> None:
    project, file = revised
    run = project.run("validate", "-e", "live", file)
    assert run.returncode == 9, run.stderr
    first, *found = run.stdout.splitlines()
    assert first.startswith("bootstrap.yaml is valid")
    assert [line.partition(" takes ")[0] for line in found] == [
        f"{file}:17: drop-table (not allowed): DROP TABLE a",
        "  Release code that no longer uses it first, and keep a backup of the data.",
        "1 revision, 1 hazard",
    ], "what the revision itself creates has none"
    data = json.loads(project.run("validate", "-e", "live", "--format", "json", file).stdout)
    assert [(each["name"], each["allowed"]) for each in data["hazards"]] == [("drop-table", False)]


def test_validate_accepts_hazards_that_are_allowed(revised: tuple[Project, str]) -> None:
    project, file = revised
    assert project.run("validate", "-e", "live", "--allow", "drop-table", file).returncode == 0
    project.write(project.folder.joinpath("bootstrap.yaml").read_text() + "    limits: {allow: [drop-table]}\n")
    run = project.run("validate", "-e", "here", file)
    assert (run.returncode, "drop-table (allowed)" in run.stdout) == (0, True)


def test_validate_refuses_a_file_that_is_not_a_revision(revised: tuple[Project, str]) -> None:
    run = revised[0].run("validate", "-e", "live", "migrations/env.py")
    assert (run.returncode, "not a revision of a step `migrate`: migrations/env.py" in run.stderr) == (2, True)
