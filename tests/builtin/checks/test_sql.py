from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.builtin.checks.sql import SqlCheck
from bootstrapper.errors import CheckFailedError, Source
from bootstrapper.plans import Answer
from tests.backups.contexts import Bench, ask, make_bench
from tests.servers import Server


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(server.url(), tmp_path)
    yield made
    made.session.close()


def answer(bench: Bench, text: str) -> Answer:
    argument = TypeAdapter(SqlCheck.argument_type).validate_python(text)
    return ask(SqlCheck(argument, bench.project, "step", Source("b.yaml", 4, 7)), bench)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT true", Answer.yes("the query returned true")),
        ("SELECT 'a%s' LIKE 'a%', 1; -- done", Answer.yes("the query returned true")),
        ("SELECT n = 1 FROM generate_series(1, 3) AS n", Answer.yes("the query returned true")),
        ("SELECT false", Answer.no("the query returned false")),
        ("SELECT NULL::bool", Answer.no("the query returned NULL")),
        ("SELECT true WHERE false", Answer.no("the query returned no row")),
    ],
)
def test_the_first_column_of_the_first_row_answers(bench: Bench, text: str, expected: Answer) -> None:
    assert answer(bench, text) == expected


def test_a_missing_table_makes_it_unknown(bench: Bench) -> None:
    assert answer(bench, "SELECT count(*) > 0 FROM missing").is_unknown


def test_a_column_that_is_not_boolean_is_an_error_with_its_place(bench: Bench) -> None:
    with pytest.raises(CheckFailedError, match="first column is int, not boolean") as caught:
        answer(bench, "SELECT count(*) FROM pg_class")
    assert caught.value.source == Source("b.yaml", 4, 7)


def test_a_statement_that_writes_is_refused_by_the_transaction(bench: Bench) -> None:
    with pytest.raises(CheckFailedError) as caught:
        answer(bench, "CREATE TABLE t (id int)")
    assert caught.value.sqlstate == "25006"


@pytest.mark.parametrize("text", ["", "-- only", "SELECT true; SELECT true", "COMMIT", "rollback", "SELECT '\0'"])
def test_what_is_not_one_question_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SqlCheck.argument_type).validate_python(text)
