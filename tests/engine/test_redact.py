from __future__ import annotations

from decimal import Decimal

import yaml

from bootstrapper.engine.redact import disclose

SECRET = {"$password", "$vault"}


def test_the_text_reads_back_as_the_same_data() -> None:
    data = {"version": 1, "name": "Žofie", "steps": [{"uses": "wait", "with": {"timeout": "60s"}}], "none": None}
    assert yaml.safe_load(disclose(data, SECRET)) == data


def test_keys_keep_their_order_and_numbers_their_digits() -> None:
    assert disclose({"b": Decimal("1.10"), "a": 2}, SECRET) == "b: 1.10\na: 2\n"


def test_shared_parts_are_written_out() -> None:
    part = {"x": [1]}
    assert "&" not in disclose({"a": part, "b": part}, SECRET)


def test_plain_text_in_a_column_named_like_a_hash_is_masked_and_a_hash_is_not() -> None:
    row = {
        "password_hash": "s3cret",
        "pwd": "${PW:-s3cret}",
        "token_digest": "$2b$12$abc",
        "hash": {"$literal": "kept"},
    }
    text = disclose({"fixtures": {"users": {"rows": [row]}}}, SECRET)
    assert "s3cret" not in text
    assert "${PW:-***}" in text
    assert "$2b$12$abc" in text
    assert "kept" in text


def test_rotate_is_not_a_secret() -> None:
    assert "rotate: true" in disclose({"a": {"$password": {"value": "s3cret", "rotate": True}}}, SECRET)


def test_passwords_of_the_file_are_masked_and_variables_stay() -> None:
    text = disclose(
        {
            "url": "postgresql://me:s3cret@host/app",
            "database": {"password": "s3cret", "direct_url": "postgresql://me:${PASSWORD}@host/app"},
            "a": {"$password": "s3cret"},
            "b": {"$password": {"value": "s3cret", "scheme": "bcrypt"}},
            "c": {"$password": "${ADMIN_PASSWORD:-s3cret}"},
            "d": {"$password": "s3cret${SUFFIX}"},
            "e": {"$vault": ["s3cret"]},
        },
        SECRET,
    )
    assert "s3cret" not in text
    assert "scheme: bcrypt" in text
    assert "${PASSWORD}" in text
    assert "${ADMIN_PASSWORD:-***}" in text
    assert "${SUFFIX}" in text
    assert "postgresql://me:***@host/app" in text
