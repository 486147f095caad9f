"""What the masker knows before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrapper.builtin import registry
from bootstrapper.engine.secrets import learn_declared, learn_target, learn_variables
from bootstrapper.masking import Masker
from bootstrapper.postgres.connection.target import Target

FUNCTIONS = {kind.key: kind() for kind in registry.bootstrapper_values()}
VARIABLES = {"A": "value-of-a-1", "B": "value-of-b-1"}


def learnt(data: dict[str, Any], text: str) -> str:
    masker = Masker()
    learn_declared(masker, data, FUNCTIONS, VARIABLES)
    return masker.quote(text)


def rows(cell: Any) -> dict[str, Any]:
    return {"fixtures": {"users": {"key": ["id"], "rows": {"one": {"id": 1, "token": cell}}}}}


@pytest.mark.parametrize(
    "data",
    [
        {"database": {"url": "postgresql://me:${A}@h/x"}},
        {"database": {"password": "${A}"}},
        {"steps": [{"with": {"storage": {"secret": "${A}"}}}]},
        {"steps": [{"with": {"env": {"API_KEY": "${A}"}}}]},
        {"steps": [{"with": {"statement": "ALTER ROLE a PASSWORD '${A}'"}}]},
        {"steps": [{"with": {"value": {"$env": {"name": "A", "secret": True}}}}]},
        {"steps": [{"with": {"password": {"$env": "A"}}}]},
        rows({"$password": "${A}"}),
        rows({"$password": {"value": "${A}", "scheme": "bcrypt"}}),
        rows({"$password": {"$env": "A"}}),
        rows("${A}"),
    ],
)
def test_a_variable_in_a_secrets_place_is_learnt(data: dict[str, Any]) -> None:
    assert learnt(data, "value-of-a-1 value-of-b-1") == "*** value-of-b-1"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"steps": [{"with": {"value": "${A}"}}]}, "value-of-a-1"),
        ({"database": {"password": {"$file": "/run/secrets/db"}}}, "/run/secrets/db"),
        ({"fixtures": {"tokens": {"key": ["id"], "mode": "update", "rows": []}}}, "update"),
        (rows({"$password": {"value": "${A}", "scheme": "bcrypt"}}), "bcrypt"),
        (rows({"$password": {"$env": "A"}}), "A"),
    ],
)
def test_what_only_stands_beside_a_secret_is_not_learnt(data: dict[str, Any], text: str) -> None:
    assert learnt(data, text) == text


def test_the_default_of_a_secret_is_one() -> None:
    assert learnt(rows({"$password": "${UNSET:-default-of-it}"}), "default-of-it") == "***"


def test_variables_named_like_secrets_are_learnt_and_the_passwords_in_others() -> None:
    masker = Masker()
    variables = {"APP_SECRET": "one two", "CACHE": "redis://:three@h/1", "FLAG_TOKEN": "true", "HOME": "/root"}
    learn_variables(masker, variables)
    assert masker.quote("one two, three, true, /root") == "***, ***, true, /root"


def test_what_messages_say_of_the_database_stays_readable_whatever_its_password_is() -> None:
    masker = Masker()
    learn_target(masker, Target.from_url("postgresql://app-user:app-user@db-1.example/app-user"))
    assert masker.mask("database app-user on db-1.example") == "database app-user on db-1.example"
    assert masker.quote("PGPASSWORD=app-user") == "PGPASSWORD=***"
