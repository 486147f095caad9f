"""Releases of one application: folders with a bootstrap.yaml each, all for one database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bootstrapper.events import RunFinished, Warned
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject

Releases = Callable[[str], TrialProject]
RUNS = "SELECT xmin::text, * FROM bootstrapper.runs ORDER BY serial"
USERS = "SELECT name, role FROM users ORDER BY name"
STEPS = "steps:\n  - uses: lock\n"
TABLE = "CREATE TABLE IF NOT EXISTS users (name text PRIMARY KEY, role text)"
SEED = "  - uses: seed\n"


def folders(parent: Path, database: str) -> Releases:
    """Makes the project of a release."""

    def of(name: str) -> TrialProject:
        folder = parent / name
        folder.mkdir()
        return TrialProject(folder, database)

    return of


def seed(project: TrialProject, mode: str = "update", steps: str = "", **roles: str) -> TrialProject:
    """Declares users with their roles; their table is there."""
    project.rows(TABLE)
    rows = "".join(f"      - {{name: {name}, role: {role}}}\n" for name, role in roles.items()) or " []"
    where = "    where: all\n" if mode == "sync" else ""
    declared = f"fixtures:\n  users:\n    key: [name]\n    mode: {mode}\n{where}    rows:\n{rows}"
    project.write(STEPS + SEED + steps + declared)
    return project


def seed_file(project: TrialProject, name: str, content: str, mode: str = "update") -> TrialProject:
    """Declares the users of a data file."""
    project.rows(TABLE)
    (project.folder / name).write_text(content)
    project.write(STEPS + SEED + f"fixtures: {{users: {{key: [name], mode: {mode}, file: {name}}}}}\n")
    return project


def warnings(project: TrialProject) -> list[str]:
    return [event.message for event in project.events if isinstance(event, Warned)]


def finished(project: TrialProject) -> str:
    return next(event.outcome for event in reversed(project.events) if isinstance(event, RunFinished))


def leaves_alone(project: TrialProject) -> bool:
    """Whether a start finds the database ahead; it then wrote nothing at all, and said so once."""
    before = [project.rows(RUNS), project.rows(USERS)]
    project.events.clear()
    outcome = project.apply(startup=True)
    if outcome.ahead:
        assert [project.rows(RUNS), project.rows(USERS)] == before
        assert (len(warnings(project)), outcome.applied, finished(project)) == (1, (), "unchanged")
    return outcome.ahead


def migrate_and_seed(project: TrialProject, *revisions: str, **roles: str) -> TrialProject:
    """As `seed`, after the revisions; the database is at the first of them."""
    seed(project, **roles)
    text = (project.folder / "bootstrap.yaml").read_text()
    project.write(text.replace(SEED, "  - {uses: migrate, with: {script_location: migrations}}\n" + SEED))
    write_env(project.folder)
    for down, name in zip((None, *revisions), revisions, strict=False):
        write_revision(project.folder, name, down, upgrade=create_table(name))
    if not project.has("alembic_version"):
        project.rows("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        project.rows(f"INSERT INTO alembic_version VALUES ('{revisions[0]}')")
    return project
