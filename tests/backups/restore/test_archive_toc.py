"""Tests of the archive entries that an in-place restore leaves out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrapper.backups.restore.archive_toc import Entry, entries
from bootstrapper.backups.restore.drop_existing import Contents, wanted
from bootstrapper.errors import BackupError
from bootstrapper.postgres.ledger.ledger import LedgerNames
from tests.backups.restore.shops import FILE, SHOP, Shop, opened_shop
from tests.servers import Server

LISTED = re.compile(r"(?P<number>\d+); \d+ \d+ (?P<rest>.*)")
# Names that read like parts of a listing.
ODD = """
CREATE SCHEMA "bootstrapper archive"; CREATE TABLE "bootstrapper archive".runs (id int PRIMARY KEY);
INSERT INTO "bootstrapper archive".runs VALUES (1);
CREATE SCHEMA "TABLE bootstrapper runs"; CREATE TABLE "TABLE bootstrapper runs"."x y" (id serial);
CREATE TABLE "bootstrapper runs" (id int); COMMENT ON SCHEMA "bootstrapper archive" IS 'SCHEMA bootstrapper';
GRANT USAGE ON SCHEMA "bootstrapper archive" TO PUBLIC;
"""


def shown(entry: Entry) -> str:
    """As `pg_restore --list` prints it."""
    return " ".join([entry.kind, entry.schema or "-", entry.name, entry.owner or ""]).replace("\n", " ")


@pytest.fixture(scope="module", params=["18", "15"])
def odd_shop(
    request: pytest.FixtureRequest, server: Server, path_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    on = server if request.param == "18" else path_server
    with opened_shop(on, tmp_path_factory.mktemp("odd"), content=SHOP + ODD) as shop:
        yield shop


@pytest.mark.programs
@pytest.mark.parametrize("format_", ["custom", "directory"])
def test_the_table_of_contents_is_what_pg_restore_lists(odd_shop: Shop, tmp_path: Path, format_: str) -> None:
    dump = tmp_path / "dump"
    command = [str(odd_shop.server.bin / "pg_dump"), f"--format={format_}", f"--file={dump}", odd_shop.project.url]
    subprocess.run(command, check=True)
    listing = [str(odd_shop.server.bin / "pg_restore"), "--list", str(dump)]
    listed = LISTED.finditer(subprocess.run(listing, check=True, capture_output=True, text=True).stdout)
    found = {entry.number: shown(entry) for entry in entries(dump)}
    expected = {int(each["number"]): each["rest"] for each in listed}
    assert len(expected) > 50
    assert {number: found[number] for number in expected} == expected


@pytest.mark.parametrize("text", [b"", b"PGDMP", b"PGDMP\1\x10\0\4\x08\1\0", b"PGDMP\1\x63\0\4\x08\1", b"-- SQL"])
def test_a_file_that_is_not_an_archive_is_an_error(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "dump").write_bytes(text)
    with pytest.raises(BackupError):
        entries(tmp_path / "dump")


def test_in_place_what_only_looks_like_the_ledger_comes_back(server: Server, tmp_path: Path) -> None:
    with opened_shop(server, tmp_path, content=ODD) as shop:
        before = shop.whole()
        taken = shop.back_up()
        shop.execute('DELETE FROM "bootstrapper archive".runs')
        done = shop.run("restore", str(taken), "--in-place", "--yes")
        assert done.returncode == 0, done.stderr
        assert shop.whole() == before


def test_a_schema_stays_whatever_the_name_of_its_owner(server: Server, tmp_path: Path) -> None:
    content = """
        DO $$ BEGIN CREATE ROLE "night shift"; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        CREATE SCHEMA "kept for" AUTHORIZATION "night shift"; CREATE EXTENSION citext SCHEMA "kept for";
        COMMENT ON SCHEMA "kept for" IS 'extensions'; CREATE TABLE "kept for".t (id "kept for".citext);
    """
    with opened_shop(server, tmp_path, content=content) as shop:
        before = shop.whole()
        taken = shop.back_up()
        shop.execute('DROP TABLE "kept for".t')
        done = shop.run("restore", str(taken), "--in-place", "--yes")
        assert done.returncode == 0, done.stderr
        assert shop.whole() == before
    server.execute('DROP ROLE "night shift"')


def test_of_a_ledger_among_other_tables_just_its_tables_are_left_out(server: Server, tmp_path: Path) -> None:
    content = """
        CREATE SCHEMA stock; CREATE TABLE stock.bootstrapper_runsheet (id int PRIMARY KEY);
        CREATE TABLE stock."bootstrapper_runs x" (id serial PRIMARY KEY); CREATE SEQUENCE stock.view_of_its_own;
    """
    with opened_shop(server, tmp_path, content=content) as shop:
        shop.project.write(FILE + "ledger: {schema: stock}\n")
        shop.back_up()
        shop.execute("""
            CREATE TABLE stock.refers (serial bigint REFERENCES stock.bootstrapper_runs (serial), id serial);
            CREATE TABLE stock.inherits () INHERITS (stock.bootstrapper_meta);
            CREATE VIEW stock.bootstrapper_view AS SELECT * FROM stock.bootstrapper_runs;
        """)
        dump = shop.back_up()
        found = entries(dump)
        there = Contents((), (), frozenset({"public", "stock"}), frozenset(), frozenset())
        kept = wanted(found, LedgerNames("stock"), there)
        left_out = [entry for entry in found if entry not in kept]
        ledgers = {name for (name,) in shop.execute(BELONGS)}
        tables = {entry.name for entry in left_out if entry.kind == "TABLE"}
        assert tables == {name for name in ledgers if name.startswith("bootstrapper_")} - {"bootstrapper_lock"}
        assert {entry.kind for entry in left_out} >= {"TABLE", "TABLE DATA", "CONSTRAINT", "SCHEMA"}
        of_others = ("runsheet", "runs x", "refers", "inherits", "view")
        assert [entry for entry in left_out if any(word in entry.name for word in of_others)] == []
        rest = [
            entry for entry in kept if re.match(r"bootstrapper_(runs|steps|meta|digests|revisions)\b(?! x)", entry.name)
        ]
        assert rest == []


BELONGS = """
SELECT relname::text FROM pg_class WHERE relnamespace = 'stock'::regnamespace AND relkind = 'r'
AND relname IN ('bootstrapper_lock', 'bootstrapper_runs', 'bootstrapper_steps', 'bootstrapper_revisions',
                'bootstrapper_digests', 'bootstrapper_meta')
"""
