"""Tests of `revision`, which writes a revision file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.cli.revisions import BOOTSTRAP, three_revisions
from tests.migrations.projects import write_env
from tests.migrations.worker.test_offline_sql import OFFLINE


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    return three_revisions(tmp_path, database)


@pytest.mark.parametrize("command", ["revision", "migration"])
def test_revision_writes_a_file_and_prints_its_path(project: Project, command: str) -> None:
    (project.folder / "migrations/script.py.mako").write_text(
        '"""${message}"""\nrevision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n'
        "branch_labels = ${repr(branch_labels)}\ndepends_on = ${repr(depends_on)}\n"
        "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
    )
    made = project.run(command, "more of it", "--rev-id", "fourth", "-e", "here")
    assert made.returncode == 0, made.stderr
    path = Path(made.stdout.strip())
    assert path.name == "fourth_more_of_it.py"
    assert "down_revision = 'third'" in path.read_text()


def test_autogenerate_ignores_the_ledger(project: Project) -> None:
    env = OFFLINE.replace("connection=connection", "connection=connection, target_metadata=MetaData()")
    write_env(project.folder, "from sqlalchemy import MetaData\n" + env)
    bootstrap = BOOTSTRAP.replace("environments:", "ledger: {schema: public}\nenvironments:")
    project.write(bootstrap)
    (project.folder / "migrations/script.py.mako").write_text(
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\nbranch_labels = None\n"
        "depends_on = None\nfrom alembic import op\nimport sqlalchemy as sa\n"
        "def upgrade():\n    ${upgrades}\ndef downgrade():\n    ${downgrades}\n"
    )
    behind = project.run("revision", "drop all", "--autogenerate", "-e", "here")
    assert behind.stderr.endswith("hint: Run `bootstrapper upgrade` first. [BOOT-105]\n")
    project.run("upgrade", "-e", "here")
    made = project.run("revision", "drop all", "--autogenerate", "-e", "here")
    assert made.returncode == 0, made.stderr
    text = Path(made.stdout.strip()).read_text()
    assert "op.drop_table('a')" in text
    assert "bootstrapper" not in text


def test_an_autogenerate_without_differences_succeeds(project: Project) -> None:
    empties = "connection=connection, process_revision_directives=lambda c, r, d: d.clear(), target_metadata=MetaData()"
    write_env(project.folder, "from sqlalchemy import MetaData\n" + OFFLINE.replace("connection=connection", empties))
    (project.folder / "migrations/script.py.mako").write_text("")
    project.run("upgrade", "-e", "here")
    made = project.run("revision", "nothing new", "--autogenerate", "-e", "here")
    assert (made.returncode, made.stdout) == (0, ""), made.stderr


@pytest.mark.parametrize("name", ["a b", "a,b", "", "a@b", "x" * 33])
def test_the_identifier_of_a_revision_is_one_name(project: Project, name: str) -> None:
    done = project.run("revision", "more", "-e", "here", "--rev-id", name)
    assert (done.returncode, "'--rev-id': must be one name" in done.stderr) == (2, True)
