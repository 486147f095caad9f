"""Tests of dumps with meta-commands of psql, which would run on this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrapper.backups.restore import psql_metacommands
from bootstrapper.backups.restore.psql_metacommands import require_none
from bootstrapper.backups.stores.manifest import manifest_path
from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools
from tests.backups.restore.shops import CHANGES, Shop

NAMES = "SELECT name FROM artist ORDER BY 1"

HARMLESS = rb"""-- It's a comment with a \backslash
SET standard_conforming_strings = on;
SET client_encoding = 'UTF8';
CREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS $_$ BEGIN RETURN 'a\' || $$\! id$$; END $_$;
CREATE FUNCTION public.g(a integer) RETURNS integer LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN (a > 1.5e3) THEN 1 ELSE 2 END;
END;
/* nested /* \! id */ still ' a comment */
CREATE TABLE public."odd ""name" (a text DEFAULT E'it\'s \\', b text DEFAULT 'it''s', c numeric DEFAULT 1e-20);
COPY public."odd ""name" (a, "b") FROM stdin;
\N	it's \\! id
\! id	$$
\.
CREATE TABLE public.copies (stdin text);
COPY public.copies (stdin) FROM stdin;
'
\.
ALTER TABLE public.a OWNER TO stdout;
COMMENT ON TABLE public.a IS 'C:\dir and
\! more of it';
SELECT pg_catalog.lo_from_bytea('1', '\x00');
SELECT '{1,2}'::integer[] @> '{1}', $1::text;
"""
ORDERS = {
    "at the beginning": rb"\! id",
    "in the middle of a line": rb"SELECT 1 \! id",
    "after a string": rb"SELECT 'a' \! id",
    "after a string in a string": rb"SELECT 'it''s' \! id",
    "after an escaped quote": rb"SELECT E'\'' \! id",
    "after a dollar quote": b"SELECT $a$ $b$ '\n $a$ \\! id",
    "after a parameter and a dollar quote": b"SELECT $1$$ ' $$ \\! id ",
    "after an identifier": rb'SELECT "a""b" \! id',
    "after a comment": b"/* ' /* */ \" */ \\! id",
    "after a comment that a carriage return ends": b"-- comment\r\\! id\n",
    "in a comment's line": b"SELECT 1 -- '\n\\! id",
    "as data of something else": b"COPY public.t TO stdout;\n\\! id\n",
    "as data of a query": b"COPY (SELECT stdin FROM t) TO STDOUT;\n\\! id\n\\.\n",
    "as data in a function's body": (
        b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC\nSELECT 1;\nCOPY public.t (a) FROM stdin;\n\\! id\n"
    ),
    "as data in a function's body after a number": (
        b"1.0 CREATE FUNCTION f() RETURNS int BEGIN ATOMIC\nSELECT (END);\nCOPY public.t (a) FROM stdin;\n\\! id\n"
    ),
    "as data in parentheses": b"SELECT (1;\nCOPY public.t (a) FROM stdin;\n\\! id\n",
    "behind the data": b"COPY public.t (a) FROM stdin;\n1\n\\.\n\\! id\n",
    "behind the data as another system ends it": b"COPY public.t (a) FROM stdin;\n1\n\\.\r\n\\! id\n",
    "beside the data": b"COPY public.t (a) FROM stdin; \\! id\n\\.\n",
    "in a string behind data of another form": b"COPY t FROM stdin CSV;\n'\n\\.\n\\! id\n'\n;",
    "in a string behind data in small letters": b"copy t from stdin;\n'\n\\.\n\\! id\n'\n;",
    "in a string behind data from the output": b"COPY t FROM STDOUT;\n'\n\\.\n\\! id\n'\n;",
    "in a string behind data of a COPY over lines": b"COPY t\nFROM /* it */\nstdin\n;\n'\n\\.\n\\! id\n'\n;",
    "in a string behind data of a second statement": b"SELECT 1; COPY t FROM stdin;\n'\n\\.\n\\! id\n'\n;",
    "in a string behind data with options": b"COPY\"t\"FROM stdin WITH (FORMAT csv);\n'\n\\.\n\\! id\n'\n;",
    "two readings of a string": rb"SELECT 'a\'' \! id --'",
    "two readings of a number": rb"SELECT 1E'\' \! id --'",
    "a zero byte": b"SELECT '\0' ;\n' \\! id",
    "an encoding of two bytes": b"SET client_encoding = 'SJIS';\nSELECT '\x81' \\! id '",
    "an encoding set otherwise": b"SELECT 1; SET client_encoding TO sjis;",
    "another database": b"\\connect other\n",
}


@given(st.lists(st.integers(0, len(HARMLESS)), max_size=6))
def test_what_is_quoted_commented_or_data_is_passed_on_as_it_is_however_the_text_is_cut(cuts: list[int]) -> None:
    ends = [*sorted(cuts), len(HARMLESS)]
    pieces = [HARMLESS[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert b"".join(require_none(pieces)) == HARMLESS


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_an_order_to_psql_is_found_wherever_it_hides(order: bytes) -> None:
    passed = b""
    with pytest.raises(BackupError, match=r"line \d+ of the dump"):
        for piece in require_none([HARMLESS, order + b"\n"]):
            passed += piece
    assert passed == HARMLESS


@pytest.mark.parametrize(
    ("version", "are_restricted"),
    [((12, 22), False), ((13, 21), False), ((15, 14), True), ((16, 9), False), ((17, 6), True), ((18, 0), True)],
)
def test_a_psql_with_the_fix_is_known_by_its_version(version: tuple[int, int], are_restricted: bool) -> None:
    assert psql_metacommands.are_restricted_by(ClientTools(Path(), version)) is are_restricted


def replace(dump: Path, text: bytes) -> None:
    """Writes a dump again, and makes its manifest say that it was always so."""
    dump.write_bytes(text)
    beside = manifest_path(dump)
    told = json.loads(beside.read_text()) | {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
    beside.write_text(json.dumps(told))


@pytest.fixture(params=[True, False], ids=["a psql that refuses them", "an older psql"])
def knows_restrict(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(psql_metacommands, "are_restricted_by", lambda _: False)
    knows: bool = request.param
    return knows


@pytest.mark.usefixtures("knows_restrict")
def test_an_order_before_the_first_line_of_a_plain_dump_is_not_carried_out(corner_shop: Shop, tmp_path: Path) -> None:
    dump = tmp_path / "one.sql"
    assert corner_shop.run("backup", str(dump)).returncode == 0
    replace(dump, b"\\! touch '%s'\n%s" % (str(tmp_path / "pwned").encode(), dump.read_bytes()))
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    failed = corner_shop.run("restore", str(dump), "--yes")
    assert failed.returncode == 1, failed.stderr
    assert not (tmp_path / "pwned").exists()
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("later",)]


@pytest.mark.usefixtures("knows_restrict")
def test_an_order_in_an_archive_is_not_carried_out_by_a_restore_in_place(corner_shop: Shop, tmp_path: Path) -> None:
    order = f"\\! touch '{tmp_path / 'pwned'}'\n".encode()
    comment = "COMMENT ON TABLE public.artist IS '"
    corner_shop.execute(f"COMMENT ON TABLE artist IS '{'x' * len(order)}'")
    dump = corner_shop.back_up()
    text, statement = dump.read_bytes(), comment.encode() + b"x" * len(order)
    assert text.count(statement) == 1
    replace(dump, text.replace(statement, order + b"-- " + statement[: -len(order) - 3]))
    failed = corner_shop.run("restore", str(dump), "--in-place", "--yes")
    assert failed.returncode == 1, failed.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.usefixtures("knows_restrict")
def test_a_plain_dump_without_orders_is_restored_by_either_psql(shop: Shop) -> None:
    before = shop.whole()
    assert shop.run("backup", "one.sql").returncode == 0
    shop.execute(CHANGES)
    done = shop.run("restore", "one.sql", "--yes")
    assert done.returncode == 0, done.stderr
    assert shop.whole() == before
