"""No spelling of a secret gets through, and the program's own sentences stay whole."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from bootstrapper.masking import Masker

HARD = "p@ss w%rd/'\"\\ü"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in a URL with small digits": lambda secret: re.sub("%..", lambda code: code[0].lower(), quote(secret, safe="")),
    "as Python writes it": lambda secret: repr(secret)[1:-1],
    "as Python writes its bytes": lambda secret: repr(secret.encode())[2:-1],
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON of all letters": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "in SQL": lambda secret: secret.replace("'", "''"),
    "in an SQL string with escapes": lambda secret: secret.replace("\\", "\\\\").replace("'", "''"),
    "in a connection string": lambda secret: secret.replace("\\", "\\\\").replace("'", "\\'"),
    "in a shell": lambda secret: secret.replace("'", "'\"'\"'"),
    "in an ini file": lambda secret: secret.replace("%", "%%"),
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_secret_is_hidden(spelling: str) -> None:
    masker = Masker([HARD])
    text = f"it is <{SPELLINGS[spelling](HARD)}>"
    assert masker.quote(text).rstrip("=>") == "it is <***"
    assert masker.mask(text).rstrip("=>") == "it is <***"


def test_a_secret_of_several_lines_is_hidden_line_by_line() -> None:
    masker = Masker(["-----BEGIN KEY-----\nMIIEabcd\n}\nx9\n-----END KEY-----\n"])
    assert masker.quote("said: MIIEabcd") == "said: ***"
    assert masker.quote("-----END KEY-----\r") == "***\r"
    assert masker.quote("a } of a program") == "a } of a program"


def test_a_secret_whose_line_breaks_are_written_as_escapes_is_hidden_line_by_line() -> None:
    assert Masker(["BEGIN-KEY\\nMIIEabcd\\nEND-KEY"]).quote("MIIEabcd") == "***"


def test_white_space_around_a_secret_is_not_part_of_it() -> None:
    assert Masker(["hunter2!x\n"]).quote("got hunter2!x.") == "got ***."


@pytest.mark.parametrize("word", ["wrong", "Password", "123", "a", "postgres", "no-w1n", "1234567890"])
def test_a_secret_that_may_be_a_part_of_our_sentences_does_not_tear_them(word: str) -> None:
    sentence = f"the user name or the password is {word}, a no-w1nner"
    assert Masker([word]).mask(sentence) == sentence


@pytest.mark.parametrize("word", ["wrong", "123", "a", "postgres"])
def test_quoted_text_hides_short_secrets_where_they_stand_alone(word: str) -> None:
    masker = Masker([word])
    assert masker.quote(f"PIN={word}, '{word}'") == "PIN=***, '***'"
    assert masker.quote(f"x{word}x 4{word}") == f"x{word}x 4{word}"


def test_a_secret_that_is_the_name_of_the_database_does_not_tear_our_sentences() -> None:
    masker = Masker(["app_2024-x"])
    masker.spare(["app_2024-x", None])
    assert masker.mask("database app_2024-x") == "database app_2024-x"
    assert masker.quote("PASSWORD=app_2024-x") == "PASSWORD=***"


def test_a_number_is_hidden_anywhere_in_quoted_text() -> None:
    assert Masker(["1234567890"]).quote("pw1234567890") == "pw***"


def test_a_secret_that_begins_another_one_does_not_uncover_the_rest() -> None:
    assert Masker(["hunter2!", "hunter2!-and-more"]).mask("it is hunter2!-and-more") == "it is ***"


def test_secrets_may_be_learnt_after_texts_were_masked() -> None:
    masker = Masker()
    assert masker.quote("hunter2!x") == "hunter2!x"
    masker.learn("hunter2!x")
    assert masker.quote("hunter2!x") == "***"


@pytest.mark.parametrize("secret", ["", None, "  \n"])
def test_an_empty_text_is_not_a_secret(secret: str | None) -> None:
    masker = Masker()
    masker.learn(secret)
    assert masker.quote("a b\n c") == "a b\n c"


def test_lone_surrogates_are_hidden_too() -> None:
    assert Masker(["caf\udce9-12345"]).quote("caf\udce9-12345") == "***"
