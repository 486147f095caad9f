"""Tests of the options of a backup, and of those of pg_dump."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bootstrapper.backups.settings import BackupSettings, is_url
from bootstrapper.backups.take.pg_dump_options import compression, refuse_argument, selection
from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

KEY = "age1rplg24yj34g9ret9j9jwdurdz9aa7vf0qukwyn4jauttu9dhruqq80y46e"


@pytest.mark.parametrize(
    "argument",
    [
        "--file=x",
        "--fil=x",
        "--dbname=other",
        "--db=other",
        "--password",
        "--enable-row-security",
        "--enable-r",
        "--host=elsewhere",
        "--schema-only",
        "--data-only",
        "--format=tar",
        "--jobs=4",
        "--table=users",
        "--exclude-table=users",
        "--version",
        "-fx",
        "-W",
        "-F",
        "other_database",
        "--",
        "",
        "--no-owner --file=x",
    ],
)
def test_an_argument_that_would_break_the_promise_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        refuse_argument(argument)


@pytest.mark.parametrize(
    "argument",
    ["--no-owner", "--lock-wait-timeout=5s", "--exclude-table-data=logs", "--no-sync", "--filter=list.txt", "--role=x"],
)
def test_an_argument_that_keeps_it_is_taken(argument: str) -> None:
    assert refuse_argument(argument) == argument


@pytest.mark.parametrize(
    ("major", "asked", "option"),
    [
        (14, None, "--compress=1"),
        (15, 9, "--compress=9"),
        (15, "0", "--compress=0"),
        (15, "none", "--compress=0"),
        (15, "gzip:3", "--compress=3"),
        (15, "gzip:level=3", "--compress=3"),
        (15, "gzip", "--compress=6"),
        (16, None, "--compress=1"),
        (16, "lz4", "--compress=lz4"),
        (18, "zstd:level=3,long", "--compress=zstd:level=3,long"),
    ],
)
def test_compression_is_written_the_way_the_client_understands(
    major: int, asked: int | str | None, option: str
) -> None:
    assert compression(asked, ClientTools(Path("/usr/bin"), (major, 1))) == option


@pytest.mark.parametrize("asked", ["lz4", "zstd:3", "gzip:level=77"])
def test_a_method_that_came_later_names_the_version_it_needs(asked: str) -> None:
    with pytest.raises(BackupError, match=f"{asked} needs pg_dump 16 or newer; found 15.1 in"):
        compression(asked, ClientTools(Path("/usr/bin"), (15, 1)))


def test_the_lock_table_is_left_out_of_every_selection() -> None:
    assert list(selection((), (), (), '"b"."lock"')) == ['--exclude-table="b"."lock"']
    chosen = list(selection(["app"], ["users"], ["logs"], '"b"."lock"'))
    assert chosen[:3] == ["--schema=app", "--table=users", "--strict-names"]
    assert chosen[3:] == ["--exclude-table=logs", '--exclude-table="b"."lock"']


@pytest.mark.parametrize(
    "options",
    [
        {"jobs": 2},
        {"directory": ""},
        {"jobs": 0, "format": "directory"},
        {"format": "tar"},
        {"format": "directory", "file": "one.dump"},
        {"format": "custom", "file": "one.sql"},
        {"format": "directory", "directory": "s3://bucket/prefix"},
        {"format": "directory", "encrypt": {"recipients": [KEY]}},
        {"format": "plain", "compress": 1},
        {"compress": 10},
        {"compress": "rar"},
        {"compress": "lz4; rm"},
        {"keep_for": "0s"},
        {"keep_for": 30},
        {"file": "s3://bucket/one.dump"},
        {"extra_args": ["--file=x"]},
        {"tables": [""]},
        {"encrypt": {}},
        {"encrypt": {"recipients": []}},
        {"encrypt": {"recipients": ["AGE-SECRET-KEY-1"]}},
        {"encrypt": {"recipients": [KEY.upper()]}},
        {"encrypt": {"identity_file": "key.txt"}},
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BackupSettings.model_validate(options)


def test_ages_are_written_in_days_too() -> None:
    assert BackupSettings.model_validate({"keep_for": "30d"}).keep_for == 30 * 86400


@pytest.mark.parametrize(("text", "answer"), [("s3://b/p", True), ("memory://x", True), ("backups", False)])
def test_a_url_is_told_from_a_folder(text: str, answer: bool) -> None:
    assert is_url(text) is answer
    assert BackupSettings(directory=text).is_remote is answer


def test_a_file_url_is_a_folder() -> None:
    assert not BackupSettings(directory="file:///srv/backups").is_remote


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        ({}, ".dump"),
        ({"format": "plain"}, ".sql"),
        ({"format": "directory"}, ".dir"),
        ({"encrypt": {"recipients": [KEY]}}, ".dump.age"),
    ],
)
def test_a_dated_name_ends_in_what_it_is(options: dict[str, object], suffix: str) -> None:
    assert BackupSettings.model_validate(options).dated_suffix == suffix


@pytest.mark.parametrize(
    ("name", "options", "found"),
    [
        ("x.dump", {}, "custom"),
        ("x.sql", {}, "plain"),
        ("x.sql.age", {}, "plain"),
        ("x.dump", {"format": "plain"}, "plain"),
        ("x.dump", {"format": "directory"}, "custom"),
    ],
)
def test_the_name_of_a_file_decides_its_format(name: str, options: dict[str, object], found: str) -> None:
    assert BackupSettings.model_validate(options).format_of(name) == found
