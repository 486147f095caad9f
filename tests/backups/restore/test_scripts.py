"""What is passed over of what newer programs write, and nothing but that."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrapper.backups.restore.clearing import Contents, wanted_entries
from bootstrapper.backups.restore.complaints import Complaints, told
from bootstrapper.backups.restore.script import of_file, without_unknown_settings
from bootstrapper.errors import BackupError
from bootstrapper.postgres.ledger import LedgerNames

KNOWN = {"statement_timeout", "client_encoding"}
HEAD = b"""--
-- PostgreSQL database dump
--

\\restrict abc123

-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);

"""
BODY = b"""CREATE TABLE public.notes (body text);
SET transaction_timeout = 0;
COPY public.notes (body) FROM stdin;
SET transaction_timeout = 0;
\\.
"""
LISTING = """;
; Archive created at 2026-11-25
;
5; 2615 16400 SCHEMA - stock postgres
6; 2615 16401 SCHEMA - bootstrapper postgres
7; 3079 16402 EXTENSION - citext
8; 0 0 COMMENT - EXTENSION citext
219; 1259 16403 TABLE bootstrapper runs postgres
220; 1259 16404 TABLE stock bootstrapper_runs postgres
221; 1259 16405 TABLE stock item postgres
3500; 0 16403 TABLE DATA bootstrapper runs postgres
3501; 0 0 SEQUENCE SET stock bootstrapper_runs_serial_seq postgres
3502; 2606 1 FK CONSTRAINT stock bootstrapper_steps bootstrapper_steps_run_id_fkey postgres
3503; 0 0 ACL - SCHEMA bootstrapper postgres
3504; 0 0 COMMENT stock TABLE bootstrapper_runs postgres
3505; 0 0 TABLE stock bootstrapper_runsheet postgres
""".replace("citext\n", "citext \n")  # an extension has no owner


@given(st.lists(st.integers(0, len(HEAD + BODY)), max_size=6))
def test_only_the_token_and_a_set_that_the_server_lacks_are_left_out_of_the_head_however_the_text_is_cut(
    cuts: list[int],
) -> None:
    text = HEAD + BODY
    ends = [*sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    head = HEAD.replace(b"SET transaction_timeout = 0;\n", b"").replace(b"\\restrict abc123\n", b"")
    expected = head + BODY
    assert b"".join(without_unknown_settings(pieces, KNOWN)) == expected


def test_a_script_that_does_not_end_as_it_should_is_found(tmp_path: Path) -> None:
    path = tmp_path / "half.sql"
    path.write_bytes(HEAD + BODY)
    with pytest.raises(BackupError, match="cut off"):
        list(of_file(path)())


def complain(text: str) -> Complaints:
    complaints = Complaints(KNOWN)
    for line in text.splitlines():
        complaints.feed(line)
    return complaints


def test_a_setting_that_the_server_lacks_is_no_error_in_whatever_language_it_says_so() -> None:
    complaints = complain(
        "pg_restore: error: could not execute query: FEHLER:  unbekannter Konfigurationsparameter\n"
        "Command was: SET transaction_timeout = 0;\n\n"
        "pg_restore: warning: errors ignored on restore: 1\n"
    )
    assert (complaints.errors, complaints.passed_over) == ([], ["transaction_timeout"])


@pytest.mark.parametrize(
    "command",
    ["SET statement_timeout = 0;", "SET transaction_timeout = 0; DROP TABLE users;", "SET ROLE keeper;"],
)
def test_any_other_error_counts(command: str) -> None:
    complaints = complain(f"pg_restore: error: could not execute query: ERROR:  no\nCommand was: {command}\n")
    assert complaints.errors == [f"could not execute query: ERROR:  no\n    Command was: {command}"]
    assert complaints.passed_over == []


def test_many_errors_are_counted_and_the_first_ones_shown() -> None:
    text = told([f"error {number}" for number in range(1, 9)])
    assert text.splitlines()[0] == "pg_restore reported 8 errors:"
    assert "error 5" in text
    assert "error 6" not in text
    assert text.endswith("and 3 more")


def entries(schema: str) -> list[str]:
    there = Contents((), (), frozenset({"public", "stock"}), frozenset({"citext"}), frozenset())
    return [line for line in wanted_entries(LISTING, LedgerNames(schema), there).splitlines() if line[0] != ";"]


def test_of_a_ledger_in_its_own_schema_nothing_is_restored_in_place() -> None:
    assert [line.split(";")[0] for line in entries("bootstrapper")] == ["220", "221", "3501", "3502", "3504", "3505"]


def test_of_a_ledger_among_other_tables_just_its_tables_are_left_out() -> None:
    assert [line.split(";")[0] for line in entries("stock")] == ["6", "219", "221", "3500", "3503", "3505"]
