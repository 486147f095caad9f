"""`rows`: whether a table has enough rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.builtin.checks.rows import RowsArgument, RowsCheck
from bootstrapper.engine.probes import ask_probes, with_probes
from bootstrapper.plans import Answer
from bootstrapper.plugin.context import Context
from bootstrapper.postgres.connection.settings import lent
from tests.fixtures.contexts import Bench


@pytest.fixture
def bench(database: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(database, tmp_path)
    bench.execute(
        'CREATE TABLE users (email text, role text, age int, "a%b" bool);'
        " INSERT INTO users VALUES ('a', 'admin', 30, true), ('b', NULL, 40, false), ('100%', 'it''s', NULL, NULL)"
    )
    bench.write("")
    yield bench
    bench.session.close()


def ask(bench: Bench, **argument: Any) -> Answer:
    check = RowsCheck(TypeAdapter(RowsArgument).validate_python(argument), bench.context().project, "seed")
    with bench.session.read_only() as connection:
        answers = ask_probes(connection, with_probes([check]))
        return answers[id(check)]() if answers else check.ask(Context(bench.context()))


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ({}, Answer.yes("users has 1 or more rows")),
        ({"at_least": 3}, Answer.yes("users has 3 or more rows")),
        ({"at_least": 4}, Answer.no("users has 3 of 4 rows")),
        ({"at_least": 0, "where": "false"}, Answer.yes("users has 0 or more matching rows")),
        ({"where": {"role": "admin"}}, Answer.yes("users has 1 or more matching rows")),
        ({"where": {"role": "nobody"}}, Answer.no("users has 0 of 1 matching rows")),
        ({"where": {"role": None, "age": 40}}, Answer.yes("users has 1 or more matching rows")),
        ({"where": {"role": "it's", "email": "100%"}}, Answer.yes("users has 1 or more matching rows")),
        ({"where": {"a%b": True}}, Answer.yes("users has 1 or more matching rows")),
        (
            {"where": "email LIKE '100%' OR age > 35 -- old", "at_least": 2},
            Answer.yes("users has 2 or more matching rows"),
        ),
    ],
)
def test_the_answer_says_how_many_of_how_many(bench: Bench, argument: dict[str, Any], answer: Answer) -> None:
    assert ask(bench, table="users", **argument) == answer


def test_it_stops_counting_when_there_are_enough(bench: Bench) -> None:
    check = RowsCheck(RowsArgument(table="users", at_least=2), bench.context().project, "seed")
    probe = check.probe()
    assert probe is not None
    with bench.session.read_only() as connection, lent(connection):
        assert connection.execute(probe.statement).fetchall() == [(2,)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "argument", [{"table": "nothing"}, {"table": "app.users"}, {"table": "users", "where": {"x": 1}}]
)
def test_what_does_not_exist_makes_the_answer_unknown(bench: Bench, argument: dict[str, Any]) -> None:
    assert ask(bench, **argument).is_unknown


@pytest.mark.parametrize(
    "argument",
    [
        {"table": ""},
        {"table": ".users"},
        {"table": "users", "at_least": -1},
        {"table": "users", "where": {"role": ["a"]}},
        {"table": "users", "where": ""},
        {"table": "users", "where": {}},
        {"table": "users", "where": "true) OR (true"},
        {"table": "users", "where": "true /*"},
        {"tabel": "users"},
    ],
)
def test_a_wrong_argument_is_refused(argument: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RowsCheck.argument_type).validate_python(argument)
