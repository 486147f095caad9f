"""How often a project's code is run to find out what its history is: never where it can be read, else once."""

from __future__ import annotations

from pathlib import Path

from bootstrapper.deadline import Deadline
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import Declared, read_declared
from tests.cli.project import Project
from tests.migrations.contexts import make_project, trial
from tests.migrations.projects import create_table, write_env, write_revision

NOTE_THE_IMPORT = """

with open("imported", "a") as note:
    note.write(__file__ + "\\n")
"""


def write_noting_revision(folder: Path, name: str, down: str | None, place: str = "migrations/versions") -> None:
    file = write_revision(folder, name, down, upgrade=create_table(name), folder=place)
    file.write_text(file.read_text() + NOTE_THE_IMPORT)


def imports(folder: Path) -> int:
    """How often a revision file was imported."""
    note = folder / "imported"
    return len(note.read_text().splitlines()) if note.is_file() else 0


def test_a_plan_without_changes_imports_no_revision_file(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    names = [f"r{number:04}" for number in range(1000)]
    for down, name in zip([None, *names], names, strict=False):
        write_noting_revision(tmp_path, name, down)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.query("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        migrate.query("INSERT INTO alembic_version VALUES ('r0998')")
        assert migrate.pending() == ["revision r0999"]
        migrate.query("UPDATE alembic_version SET version_num = 'r0999'")
        assert migrate.pending() == []
    assert imports(tmp_path) == 0


def declared(directory: Path) -> Declared:
    """What one look of a run reads."""
    project = make_project(directory, "postgresql://nobody@localhost/nowhere")
    settings = MigrationSettings(script_location="migrations")
    return read_declared(settings, project, deadline=Deadline.never(), report=print)


def test_looks_at_the_same_files_share_one_history_and_its_paths(tmp_path: Path) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    earlier, later = declared(tmp_path), declared(tmp_path)
    assert later.history is earlier.history
    assert later.layout.revision_files()[0] is earlier.layout.revision_files()[0]


def test_a_changed_file_makes_a_new_history(tmp_path: Path) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    before = declared(tmp_path).history
    write_revision(tmp_path, "first", labels=["other"])
    assert before.targets("head") == ("first",)
    assert declared(tmp_path).history.targets("other") == ("first",)
    write_revision(tmp_path, "second", "first")
    assert declared(tmp_path).history.heads == ("second",)


COMPUTED = ("revision = 'first'", "revision = 'fir' + 'st'")


def test_alembic_is_asked_once_in_a_run_and_again_after_a_file_was_added(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_noting_revision(tmp_path, "first", None)
    file = tmp_path / "migrations/versions/first_.py"
    file.write_text(file.read_text().replace(*COMPUTED))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert migrate.pending() == ["revision first"]
        assert imports(tmp_path) == 1
        migrate.apply()
        assert migrate.pending() == []
        assert imports(tmp_path) == 2, "once to be read, once to be applied"
        write_noting_revision(tmp_path, "second", "first")
        assert migrate.pending() == ["revision second"]


SLOW = "import time\ntime.sleep(30)\n"
CHECKED = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations, timeout: 1s}
    check: {revision: head}
"""


def test_the_timeout_of_the_step_applies_to_reading(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    file = write_revision(tmp_path, "first")
    file.write_text(file.read_text().replace(*COMPUTED) + SLOW)
    project = Project(tmp_path, database)
    project.write(CHECKED)
    for text in (CHECKED, CHECKED.replace("    check: {revision: head}\n", "")):
        project.write(text)
        asked = project.run("plan")
        assert asked.returncode == 1
        assert "deadline exceeded while Alembic read the revisions" in asked.stderr
        assert "`timeout`" in asked.stderr


def test_a_check_reports_that_it_runs_the_projects_code_and_does_so_once(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_noting_revision(tmp_path, "first", None)
    file = tmp_path / "migrations/versions/first_.py"
    file.write_text(file.read_text().replace(*COMPUTED))
    project = Project(tmp_path, database)
    project.write(CHECKED.replace("1s", "1m"))
    planned = project.run("plan")
    assert planned.returncode == 0, planned.stderr
    assert "check: no, no version table" in planned.stdout
    assert planned.stderr.count("Alembic reads the revisions, which runs the project's code") == 1
    assert imports(tmp_path) == 1
    assert project.run("apply").returncode == 0
    assert "check: yes, at first" in project.run("plan").stdout
