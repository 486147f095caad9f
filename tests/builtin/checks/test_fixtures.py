"""`fixtures`: whether the managed rows are as declared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrapper.builtin.checks.fixtures import FixturesCheck
from bootstrapper.errors import InvalidFileError
from bootstrapper.plans import Answer
from bootstrapper.plugin.context import Context
from tests.fixtures.contexts import Bench

FIXTURES = """
fixtures:
  colours: {key: [name], rows: [{name: red}, {name: blue}]}
  sizes: {key: [name], mode: sync, where: all, rows: [{name: big, width: 2}, {name: small, width: 1}]}
"""


@pytest.fixture
def bench(database: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(database, tmp_path)
    bench.write(FIXTURES)
    yield bench
    bench.session.close()


def ask(bench: Bench, argument: list[str] | None = None) -> Answer:
    context = bench.context()
    with bench.session.read_only():
        return FixturesCheck(argument, context.project, "seed").ask(Context(context))


def test_it_counts_rows_that_are_not_as_declared(bench: Bench) -> None:
    bench.execute("CREATE TABLE colours (name text PRIMARY KEY); CREATE TABLE sizes (name text PRIMARY KEY, width int)")
    bench.execute("INSERT INTO colours VALUES ('red'); INSERT INTO sizes VALUES ('big', 3), ('old', 1)")
    assert ask(bench) == Answer.no("rows: 2 missing, 1 different, 1 not declared")
    assert ask(bench, ["colours"]) == Answer.no("rows: 1 missing")
    bench.apply()
    assert ask(bench) == Answer.yes("all rows are as declared")


def test_a_missing_table_makes_the_answer_unknown(bench: Bench) -> None:
    assert ask(bench, ["colours"]) == Answer.unknown("needs table colours")


def test_an_unknown_fixture_is_an_error(bench: Bench) -> None:
    with pytest.raises(InvalidFileError, match="fixture 'colour' does not exist"):
        ask(bench, ["colour"])
