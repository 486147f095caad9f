"""Tests of the restore command in the error of a failed migration."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.backups.restore.shops import FILE, Shop
from tests.migrations.projects import create_table, write_env, write_revision

MIGRATED = """\
  - uses: backup
    when: {not: {database: empty}}
  - uses: migrate
    with: {script_location: migrations}
"""
PARTIAL = """
with op.get_context().autocommit_block():
    op.execute('CREATE TABLE IF NOT EXISTS part (id int)')
op.execute('SELECT broken')
"""
BROKEN = "op.execute('CREATE TABLE second (id int)')\nop.execute('SELECT broken')"


@pytest.fixture
def migrated(corner_shop: Shop) -> Shop:
    """At its first revision, with two more to come; the last one fails."""
    folder = corner_shop.project.folder
    corner_shop.project.write(FILE[: FILE.index("  - uses: backup")] + MIGRATED)
    corner_shop.execute("DROP TABLE artist")
    write_env(folder)
    write_revision(folder, "one", None, upgrade=create_table("artist"))
    assert corner_shop.run("apply").returncode == 0
    corner_shop.execute("INSERT INTO artist VALUES (7)")
    write_revision(folder, "two", "one", upgrade="op.execute('DROP TABLE artist')")
    write_revision(folder, "three", "two", upgrade=BROKEN)
    return corner_shop


def command_in(error: str) -> list[str]:
    found = re.search(r"`bootstrapper (restore [^`]+)`", error)
    assert found is not None, error
    return shlex.split(found[1])


def test_the_command_in_the_error_brings_back_what_was_there(migrated: Shop) -> None:
    failed = migrated.run("apply")
    assert failed.returncode == 1
    assert "Revision three was rolled back; earlier revisions stay applied: the database is at two." in failed.stderr
    assert "and everything written since its backup" in failed.stderr
    assert migrated.execute("SELECT to_regclass('artist')") == [(None,)]
    done = migrated.project.run(*command_in(failed.stderr), "--yes")
    assert done.returncode == 0, done.stderr
    assert migrated.execute("SELECT id, version_num FROM artist, alembic_version") == [(7, "one")]


def test_no_command_is_said_where_all_that_was_done_is_rolled_back(migrated: Shop) -> None:
    folder = migrated.project.folder
    (folder / "migrations/versions/two_.py").unlink()
    write_revision(folder, "three", "one", upgrade=BROKEN)
    failed = migrated.run("apply")
    assert (failed.returncode, "restore" in failed.stderr) == (1, False)
    assert failed.stderr.splitlines()[-1] == (
        "hint: Revision three was rolled back; the database is at one as before. Correct the cause and apply again."
        " [BOOT-105]"
    )


def test_a_run_that_goes_on_names_the_backup_of_the_one_before(migrated: Shop) -> None:
    folder = migrated.project.folder
    (folder / "migrations/versions/two_.py").unlink()
    write_revision(folder, "three", "one", upgrade=PARTIAL)
    first, second = migrated.run("apply"), migrated.run("apply")
    assert len(list((folder / "backups").glob("*.dump"))) == 1
    assert command_in(first.stderr) == command_in(second.stderr)


def test_no_command_is_said_where_the_run_took_no_backup(migrated: Shop) -> None:
    failed = migrated.run("apply", "--skip", "backup")
    assert (failed.returncode, "bootstrapper restore" in failed.stderr) == (1, False)
