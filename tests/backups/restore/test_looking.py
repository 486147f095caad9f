"""Tests of `backups list` and `backups verify`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bootstrapper.backups.restore import trial_restore
from bootstrapper.backups.stores.folder import find
from tests.backups.restore.shops import Shop, opened_shop
from tests.servers import Server


def test_the_list_tells_of_each_backup_what_is_needed_to_choose_one(corner_shop: Shop) -> None:
    corner_shop.execute("CREATE TABLE alembic_version AS SELECT '4f1c' AS version_num")
    first, second = corner_shop.back_up(), corner_shop.back_up()
    first.write_bytes(b"")
    listed = corner_shop.run("backups", "list", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    lines = listed.stdout.splitlines()
    assert (listed.returncode, len(lines)) == (0, 3)
    assert [second.name in lines[1], "4f1c" in lines[1], lines[1].endswith("verified")] == [True] * 3
    assert [first.name in lines[2], lines[2].endswith("damaged")] == [True] * 2
    run_id = find(second).manifest.run_id  # type: ignore[union-attr]
    assert run_id is not None
    assert run_id.hex[-8:] in lines[1]


def test_the_list_as_data(corner_shop: Shop) -> None:
    assert json.loads(corner_shop.run("backups", "list", "--format", "json").stdout) == []
    taken = corner_shop.back_up()
    (entry,) = json.loads(corner_shop.run("backups", "list", "--format", "json").stdout)
    manifest = find(taken).manifest  # type: ignore[union-attr]
    assert (entry["file"], entry["verified"], entry["run_id"]) == (str(taken), True, str(manifest.run_id))
    assert entry["size"] == taken.stat().st_size


@pytest.mark.parametrize("name", ["one.dump", "one.sql"])
def test_a_good_one_is_read_to_its_end_without_any_server(corner_shop: Shop, name: str) -> None:
    assert corner_shop.run("backup", name).returncode == 0
    done = corner_shop.run("backups", "verify", name, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (done.returncode, "good: " in done.stderr) == (0, True)


@pytest.mark.parametrize("name", ["one.dump", "one.sql"])
def test_a_flipped_bit_is_found(corner_shop: Shop, name: str) -> None:
    assert corner_shop.run("backup", name).returncode == 0
    path = corner_shop.project.folder / name
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content)
    failed = corner_shop.run("backups", "verify", name)
    assert (failed.returncode, "checksum mismatch" in failed.stderr) == (1, True)


@pytest.mark.programs
@pytest.mark.parametrize("name", ["one.dump", "one.sql"])
def test_it_is_restored_on_a_server_of_its_own_with_the_roles_that_it_names(shop: Shop, name: str) -> None:
    assert shop.run("backup", name).returncode == 0
    before = shop.databases()
    done = shop.run("backups", "verify", name, "--restore", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 0, done.stderr
    assert f"restored on PostgreSQL {find(shop.project.folder / name).manifest.server_version}" in done.stderr  # type: ignore[union-attr]
    assert shop.databases() == before


def test_where_no_embedded_server_takes_it_the_configured_one_lends_a_database(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = corner_shop.back_up()
    before = corner_shop.databases()
    monkeypatch.setattr(trial_restore, "has_own_server", lambda major, search_path: False)
    done = corner_shop.run("backups", "verify", str(taken), "--restore")
    assert done.returncode == 0, done.stderr
    assert corner_shop.databases() == before


def test_an_embedded_server_older_than_the_dump_is_not_asked() -> None:
    assert trial_restore.has_own_server(18)
    assert not trial_restore.has_own_server(19)


def test_a_dump_that_can_be_read_and_does_not_restore_is_found(corner_shop: Shop) -> None:
    """A check that calls a function by a bare name: pg_restore has no search_path, so that its rows do not go in."""
    corner_shop.execute("""
        CREATE FUNCTION is_known(name text) RETURNS boolean LANGUAGE plpgsql
            AS 'BEGIN RETURN EXISTS (SELECT FROM artist WHERE artist.name = is_known.name); END';
        CREATE TABLE concert (name text CHECK (is_known(name)));
        INSERT INTO concert SELECT name FROM artist;
    """)
    taken = corner_shop.back_up()
    assert corner_shop.run("backups", "verify", str(taken)).returncode == 0
    failed = corner_shop.run("backups", "verify", str(taken), "--restore")
    assert (failed.returncode, "pg_restore reported 1 error" in failed.stderr) == (1, True), failed.stderr


def test_a_materialized_view_that_was_never_filled_has_no_rows(corner_shop: Shop) -> None:
    corner_shop.execute("CREATE MATERIALIZED VIEW bands AS SELECT * FROM artist WITH NO DATA")
    done = corner_shop.run("backups", "verify", str(corner_shop.back_up()), "--restore")
    assert done.returncode == 0, done.stderr


def test_a_table_that_cannot_be_counted_is_an_error_without_traceback(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_restore, "_TABLES", "SELECT 'public', 'gone', 'public.gone', true")
    failed = corner_shop.run("backups", "verify", str(corner_shop.back_up()), "--restore")
    assert (failed.returncode, "cannot count the rows of public.gone" in failed.stderr) == (1, True), failed.stderr


def test_a_dump_of_an_older_server_restores_on_a_newer_one(path_server: Server, tmp_path: Path) -> None:
    with opened_shop(path_server, tmp_path) as shop:
        taken = shop.back_up()
        done = shop.run("backups", "verify", str(taken), "--restore")
        assert done.returncode == 0, done.stderr


def test_a_backup_may_be_moved_with_its_manifest(corner_shop: Shop, tmp_path: Path) -> None:
    taken = corner_shop.back_up()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in taken.parent.iterdir():
        shutil.move(path, elsewhere / path.name)
    done = corner_shop.run("backups", "verify", str(elsewhere / taken.name))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [("--format=tar", "by hand.tar", "is a tar archive"), ("--compress=1", "by hand.sql.gz", "is compressed by gzip")],
)
def test_what_is_not_read_is_called_by_its_name(
    server: Server, corner_shop: Shop, option: str, name: str, said: str
) -> None:
    path = corner_shop.project.folder / name
    subprocess.run([str(server.programs / "pg_dump"), option, f"--file={path}", corner_shop.project.url], check=True)
    refused = corner_shop.run("restore", str(path), "--no-manifest", "--yes")
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr


def test_a_dump_that_leads_to_another_database_is_not_played(
    server: Server, corner_shop: Shop, new_database: Callable[[], str]
) -> None:
    other = new_database()
    path = corner_shop.project.folder / "by hand.sql"
    subprocess.run([str(server.programs / "pg_dump"), f"--file={path}", corner_shop.project.url], check=True)
    path.write_text(f"\\connect {other.rpartition('/')[2]}\n{path.read_text()}")
    before = corner_shop.databases()
    failed = corner_shop.run("restore", str(path), "--no-manifest", "--yes")
    assert (failed.returncode, "connects to another database" in failed.stderr) == (1, True), failed.stderr
    assert corner_shop.databases() == before
    with psycopg.connect(other) as connection:
        assert connection.execute("SELECT to_regclass('artist')").fetchone() == (None,)


def test_a_dump_made_by_hand_needs_a_word(server: Server, corner_shop: Shop) -> None:
    path = corner_shop.project.folder / "by hand.dump"
    subprocess.run([str(server.programs / "pg_dump"), "-Fc", f"--file={path}", corner_shop.project.url], check=True)
    assert corner_shop.run("backups", "verify", str(path)).returncode == 2
    done = corner_shop.run("backups", "verify", str(path), "--no-manifest")
    assert (done.returncode, "checksum" in done.stderr) == (0, False)
