"""Tests of ways in which a restore, or a kept backup, could lose data."""

from __future__ import annotations

import json
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bootstrapper.api import restore
from bootstrapper.backups.stores.folder import backups
from bootstrapper.backups.stores.remote import password_of, without_secrets
from bootstrapper.engine.request import Request
from bootstrapper.errors import GuardError
from tests.backups.restore.shops import CHANGES, FILE, Shop

STEPS = FILE[: FILE.index("  - uses: backup")]


def folder(shop: Shop) -> Path:
    return shop.project.folder / "backups"


def test_a_failure_behind_large_objects_changes_nothing_in_place(shop: Shop) -> None:
    """pg_restore by itself commits around them."""
    shop.execute("SELECT lo_from_bytea(0, 'large')")
    shop.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent)")
    shop.execute("SET session_replication_role = replica; INSERT INTO child VALUES (7)")
    taken = shop.back_up()
    shop.execute("DELETE FROM child; CREATE TABLE only_here (id int)")
    before = shop.whole()
    failed = shop.run("restore", str(taken), "--in-place", "--yes")
    assert (failed.returncode, "violates foreign key" in failed.stderr) == (1, True), failed.stderr
    assert shop.whole() == before


@pytest.mark.parametrize("option", [[], ["--terminate"]])
def test_no_row_that_was_committed_is_lost_in_place(shop: Shop, option: list[str]) -> None:
    shop.execute("CREATE TABLE written (id int PRIMARY KEY)")
    taken = shop.back_up()
    committed: list[int] = []
    is_over = threading.Event()

    def write() -> None:
        number = 0
        while not is_over.is_set():
            try:
                with psycopg.connect(shop.project.url, autocommit=True) as connection:
                    while not is_over.is_set():
                        number += 1
                        connection.execute("INSERT INTO written VALUES (%s)", (number,))
                        committed.append(number)
            except psycopg.Error:
                continue

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = shop.run("restore", str(taken), "--in-place", "--yes", *option)
    finally:
        is_over.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    (safety,) = [each.path for each in backups(folder(shop)) if each.path != taken]
    command = [str(shop.server.programs / "pg_restore"), "--data-only", "--table=written", "--file=-", str(safety)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    saved = {int(line) for line in text.splitlines() if line.isdigit()}
    there = {row[0] for row in shop.execute("SELECT id FROM written")}
    assert set(committed) - saved - there == set()
    assert len(saved) > 0


def test_a_part_neither_replaces_a_whole_backup_nor_the_database(shop: Shop) -> None:
    parts = "  - {uses: backup, name: part, with: {tables: [artist], keep: 1}, check: never}\n"
    whole = "  - {uses: backup, name: whole, with: {keep: 1}, check: {backup: {newer_than: 24h}}}\n"
    shop.project.write(STEPS + parts + whole)
    for _ in range(2):
        assert shop.run("apply").returncode == 0
    found = {each.manifest.left_out: each for each in backups(folder(shop))}
    assert len(backups(folder(shop))) == 2
    (part,) = [each for left_out, each in found.items() if left_out]
    refused = shop.run("restore", str(part.path), "--yes")
    assert (refused.returncode, "would replace the whole database" in refused.stderr) == (9, True), refused.stderr
    before = shop.whole()
    shop.execute(CHANGES)
    assert shop.run("restore", "--latest", "--yes").returncode == 0
    assert shop.whole() == before


def test_a_database_that_only_has_such_a_name_is_not_dropped(shop: Shop) -> None:
    mine = f"{shop.name}_before_20261101"
    shop.server.execute(f'CREATE DATABASE "{mine}"')
    shop.back_up()
    assert shop.run("restore", "--latest", "--yes").returncode == 0
    assert len(shop.kept) == 2
    assert shop.run("restore", "--drop-old", "--yes").returncode == 0
    assert shop.kept == [mine]


def test_what_is_to_be_done_once_is_done_again_where_a_restore_took_it_away(shop: Shop) -> None:
    once = "  - {uses: sql, with: {statement: INSERT INTO artist (name) VALUES ('once')}, check: {once: v1}}\n"
    shop.back_up()
    shop.project.write(STEPS + once)
    assert shop.run("apply").returncode == 0
    shop.project.write(FILE)
    assert shop.run("restore", "--latest", "--in-place", "--yes").returncode == 0
    shop.project.write(STEPS + once)
    for _ in range(2):
        assert shop.run("apply").returncode == 0
        assert shop.execute("SELECT count(*) FROM artist WHERE name = 'once'") == [(1,)]


def test_what_was_there_is_kept_in_a_form_that_can_be_put_back_in_place(shop: Shop) -> None:
    taken = shop.back_up()
    shop.project.write(STEPS + "  - {uses: backup, with: {format: plain}, check: never}\n")
    before = shop.whole()
    assert shop.run("restore", str(taken), "--in-place", "--yes").returncode == 0
    (safety,) = [each.path for each in backups(folder(shop)) if each.path != taken]
    shop.execute(CHANGES)
    assert shop.run("restore", str(safety), "--in-place", "--yes").returncode == 0
    assert shop.whole() == before


def test_a_table_that_is_named_like_our_schema_comes_back(shop: Shop) -> None:
    shop.execute(
        'CREATE SCHEMA "APP"; CREATE TABLE "APP".bootstrapper (id int); INSERT INTO "APP".bootstrapper VALUES (1)'
    )
    shop.back_up()
    before = shop.whole()
    assert shop.run("restore", "--latest", "--in-place", "--yes").returncode == 0
    assert shop.whole() == before


def redated(shop: Shop, file: Path, moment: str) -> None:
    manifest = file.with_name(f"{file.name}.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "created_at": moment}))


def test_a_backup_from_the_future_is_not_the_newest(shop: Shop) -> None:
    first = shop.back_up()
    redated(shop, first, (datetime.now(UTC) + timedelta(days=3650)).isoformat())
    shop.execute("DELETE FROM playlist_track")
    second = next(each.path for each in (shop.run("backup") and backups(folder(shop))) if each.path != first)
    shown = shop.run("restore", "--latest", "--dry-run")
    assert second.name in shown.stdout


def test_an_invalid_manifest_does_not_stop_a_restore(shop: Shop) -> None:
    first = shop.back_up()
    redated(shop, first, "2026-01-01T00:00:00")
    assert shop.run("backup").returncode == 0
    listed = shop.run("backups", "list")
    assert (listed.returncode, "Traceback" in listed.stderr) == (0, False)


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_that_is_not_a_file_is_an_error(shop: Shop, name: str) -> None:
    for command in (["restore", name, "--yes"], ["backups", "verify", name]):
        done = shop.run(*command)
        assert done.returncode == 2, done.stderr


def test_a_run_needs_enough_digits_of_its_id(shop: Shop) -> None:
    done = shop.run("restore", "--run", "abc", "--yes")
    assert (done.returncode, "at least 4 digits" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("simplecache::s3://KEY:SECRET@bucket/x.dump", "simplecache::s3://KEY@bucket/x.dump", "SECRET"),
        ("sftp://me:a/b@host/x?sig=1", "sftp://me@host/x", "a/b"),
        ("s3://bucket/x", "s3://bucket/x", None),
    ],
)
def test_no_url_shows_its_password(url: str, shown: str, password: str | None) -> None:
    assert (without_secrets(url), password_of(url)) == (shown, password)


def test_another_database_than_the_one_that_was_shown_is_left_alone(shop: Shop) -> None:
    shop.back_up()
    request = Request(
        file=shop.project.folder / "bootstrap.yaml", environment="here", variables={"DATABASE_URL": shop.project.url}
    )
    with restore.preview(request, restore.Wanted(latest=True), in_place=False) as (plan, chosen):
        shop.server.execute(f'ALTER DATABASE "{shop.name}" RENAME TO "{shop.name}_before_00000000"')
        shop.server.execute(f'CREATE DATABASE "{shop.name}" OWNER shop_owner')
        with pytest.raises(GuardError, match="is not the confirmed one"):
            restore.restore(request, chosen, plan, in_place=False, terminate=False, jobs=1)
    assert shop.databases(f"{shop.name}\\_before\\_%") == [f"{shop.name}_before_00000000"]


def test_a_trigger_on_the_ledger_of_a_dump_does_not_fire(corner_shop: Shop) -> None:
    corner_shop.back_up()
    corner_shop.execute(
        "CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN CREATE ROLE sprung; RETURN NEW; END$$;"
        " CREATE TRIGGER spring BEFORE INSERT ON bootstrapper.runs FOR EACH ROW EXECUTE FUNCTION public.spring()"
    )
    dump = corner_shop.project.folder / "planted.dump"
    command = [
        str(corner_shop.server.programs / "pg_dump"),
        "-Fc",
        f"--file={dump}",
        f"--dbname={corner_shop.project.url}",
    ]
    subprocess.run(command, check=True)
    corner_shop.execute("DROP TRIGGER spring ON bootstrapper.runs")
    refused = corner_shop.run("restore", str(dump), "--yes", "--no-manifest")
    assert refused.returncode == 6, refused.stderr
    assert "table bootstrapper.runs of the ledger has triggers" in refused.stderr
    assert corner_shop.execute("SELECT 1 FROM pg_roles WHERE rolname = 'sprung'") == []
    assert corner_shop.half_made == []
