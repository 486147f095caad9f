"""Each value function by itself."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from passlib.context import CryptContext

from bootstrapper.plugin.evaluate import evaluate
from tests.fixtures.contexts import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench("postgresql://nowhere/nothing", tmp_path, variables={"NAME": "${X} as it is", "LONG": "p" * 73})
    bench.write("")
    return bench


def value(bench: Bench, raw: object) -> Any:
    return evaluate(raw, bench.context()).value


def test_env_gives_the_variable_as_it_is(bench: Bench) -> None:
    assert value(bench, {"$env": "NAME"}) == "${X} as it is"
    assert not evaluate({"$env": {"name": "NAME"}}, bench.context()).secret
    assert evaluate({"$env": {"name": "NAME", "secret": True}}, bench.context()).secret


@pytest.mark.parametrize("argument", [None, "", 7, {"secret": True}, {"name": "A", "secrets": True}, ["A"]])
def test_env_says_what_it_takes(bench: Bench, argument: object) -> None:
    with pytest.raises(ValueError, match=r"\$env takes the name of a variable"):
        value(bench, {"$env": argument})


@pytest.mark.parametrize(
    ("content", "text"), [(b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a", " a"), (b"", "")]
)
def test_file_strips_one_newline_at_the_end(bench: Bench, content: bytes, text: str) -> None:
    (bench.folder / "secret").write_bytes(content)
    assert value(bench, {"$file": "secret"}) == text


def test_file_never_waits_for_a_pipe_and_names_what_is_wrong(bench: Bench) -> None:
    os.mkfifo(bench.folder / "pipe")
    (bench.folder / "picture").write_bytes(b"\xff\xfe\xfd")
    for name, message in (
        ("pipe", "is not a file"),
        ("missing", "is not a file"),
        (".", "is not a file"),
        ("picture", "UTF-8"),
    ):
        with pytest.raises(ValueError, match=message):
            value(bench, {"$file": name})


def test_now_is_one_moment_for_all_rows_of_a_step(bench: Bench) -> None:
    context = bench.context()
    first, second = (evaluate({"$now": None}, context) for _ in range(2))
    assert first.value == second.value
    assert first.create_only
    assert datetime.now(UTC) - datetime.fromisoformat(str(first.value)) < timedelta(minutes=1)
    with pytest.raises(ValueError, match="takes no argument"):
        evaluate({"$now": "tomorrow"}, context)


def test_uuid_never_changes(bench: Bench) -> None:
    assert value(bench, {"$uuid": "acme"}) == "c69604e6-8ae9-554a-8685-7b54fc21e78c"


@pytest.mark.parametrize(
    ("scheme", "prefix"),
    [("argon2id", "$argon2id$"), ("bcrypt", "$2b$"), ("scrypt", "$scrypt$"), ("pbkdf2", "$pbkdf2")],
)
def test_password_hashes_so_that_passlib_verifies_it(bench: Bench, scheme: str, prefix: str) -> None:
    found = value(bench, {"$password": {"value": "hunter2!", "scheme": scheme}})
    assert found.startswith(prefix)
    assert CryptContext(schemes=["argon2", "bcrypt", "scrypt", "pbkdf2_sha256"]).verify("hunter2!", found)


def test_password_takes_argon2id_where_nothing_is_said_and_salts_each_hash(bench: Bench) -> None:
    first, second = (value(bench, {"$password": "hunter2!"}) for _ in range(2))
    assert first.startswith("$argon2id$")
    assert first != second
    assert bench.masker.mask("hunter2!") == "***"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "is empty"),
        (None, "is empty"),
        ({"scheme": "bcrypt"}, "is empty"),
        ({"value": "${LONG}", "scheme": "bcrypt"}, "at most 72 bytes"),
        ({"value": "ü" * 37, "scheme": "bcrypt"}, "at most 72 bytes"),
        ({"value": "x", "scheme": "md5"}, "unknown scheme 'md5'; known are argon2id, bcrypt, scrypt, pbkdf2"),
        ({"value": "x", "scheme": ["md5"]}, "unknown scheme"),
        ({"value": "x", "sheme": "bcrypt"}, "takes a text"),
        (1234, "write a number in quotes"),
    ],
)
def test_password_refuses_what_would_not_protect(bench: Bench, argument: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value(bench, {"$password": argument})


def test_a_password_of_exactly_72_bytes_is_fine_for_bcrypt(bench: Bench) -> None:
    assert value(bench, {"$password": {"value": "p" * 72, "scheme": "bcrypt"}}).startswith("$2b$")


def test_sql_is_evaluated_by_the_server(bench: Bench, database: str) -> None:
    bench = Bench(database, bench.folder)
    assert value(bench, {"$sql": "1 + 1 -- two"}) == "2"
    assert value(bench, {"$sql": "'100%s'"}) == "100%s"
    assert value(bench, {"$sql": "NULL"}) is None
    with pytest.raises(ValueError, match=r"\$sql: .* does not exist \(SQLSTATE 42703\)"):
        value(bench, {"$sql": "nothing"})
    bench.session.close()
