"""Tests that only unknown settings of newer programs are ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrapper.backups.restore.pg_restore import RestoreErrors, summary
from bootstrapper.backups.restore.psql import of_file, without_unknown_settings
from bootstrapper.errors import BackupError

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


def test_a_truncated_script_is_found(tmp_path: Path) -> None:
    path = tmp_path / "half.sql"
    path.write_bytes(HEAD + BODY)
    with pytest.raises(BackupError, match="truncated"):
        list(of_file(path)())


def collect(text: str) -> RestoreErrors:
    errors = RestoreErrors(KNOWN)
    for line in text.splitlines():
        errors.feed(line)
    return errors


def test_a_setting_that_the_server_lacks_is_not_an_error_in_any_language() -> None:
    errors = collect(
        "pg_restore: error: could not execute query: FEHLER:  unbekannter Konfigurationsparameter\n"
        "Command was: SET transaction_timeout = 0;\n\n"
        "pg_restore: warning: errors ignored on restore: 1\n"
    )
    assert (errors.errors, errors.ignored) == ([], ["transaction_timeout"])


@pytest.mark.parametrize(
    "command",
    ["SET statement_timeout = 0;", "SET transaction_timeout = 0; DROP TABLE users;", "SET ROLE keeper;"],
)
def test_any_other_error_counts(command: str) -> None:
    errors = collect(f"pg_restore: error: could not execute query: ERROR:  no\nCommand was: {command}\n")
    assert errors.errors == [f"could not execute query: ERROR:  no\n    Command was: {command}"]
    assert errors.ignored == []


def test_many_errors_are_counted_and_the_first_ones_shown() -> None:
    text = summary([f"error {number}" for number in range(1, 9)])
    assert text.splitlines()[0] == "pg_restore reported 8 errors:"
    assert "error 5" in text
    assert "error 6" not in text
    assert text.endswith("and 3 more")
