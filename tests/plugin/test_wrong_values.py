"""What the author of a value function is told of its mistakes."""

from __future__ import annotations

import psycopg
import pytest

from tests.plugin.authors import Author

VALUE = """
import datetime, decimal, uuid

class Code(Value):
    key = "$code"

    def resolve(self, context, argument):
        {resolve}

    {more}

@hookimpl
def bootstrapper_values():
    return [Code]
"""
IN_A_ROW = "- uses: seed\n\nfixtures:\n  codes: {key: [id], mode: update, rows: [{id: 1, code: {$code: a}}]}"
IN_AN_OPTION = "- uses: sql\n  with: {statement: {$code: a}}\n  check: never"


def value(author: Author, resolve: str = "return 'x'", more: str = "", steps: str = IN_A_ROW) -> None:
    author.write(VALUE.format(resolve=resolve, more=more), steps)
    file = author.project.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("\n  fixtures:", "\nfixtures:"))
    with psycopg.connect(author.project.url) as connection:
        connection.execute("CREATE TABLE codes (id int PRIMARY KEY, code text)")


def stored(author: Author) -> list[object]:
    with psycopg.connect(author.project.url) as connection:
        return [row[0] for row in connection.execute("SELECT code FROM codes")]


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ("'x'", "x"),
        ("None", None),
        ("7", "7"),
        ("True", "true"),
        ("decimal.Decimal('1.50')", "1.50"),
        ("datetime.date(2024, 2, 29)", "2024-02-29"),
        ("uuid.UUID(int=7)", "00000000-0000-0000-0000-000000000007"),
        ("{'a': (1, 2)}", '{"a": [1, 2]}'),
    ],
)
def test_what_a_column_can_hold_is_stored(author: Author, returned: str, text: str | None) -> None:
    value(author, f"return {returned}")
    assert author.run("apply").returncode == 0
    assert stored(author) == [text]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("return b'x'", "returned bytes; it must return text, a number"),
        ("return object()", "returned object; it must return text, a number"),
        ("return [b'x']", "returned bytes; it must return text, a number"),
        ("raise KeyError('no luck')", "raised KeyError: 'no luck', line"),
        ("open('/nowhere')", "raised FileNotFoundError: [Errno 2] No such file or directory: '/nowhere', line"),
        ("sys.exit(0)", "called sys.exit(0), line"),
    ],
)
def test_a_fault_is_reported_at_the_place_of_the_call(author: Author, fault: str, said: str) -> None:
    value(author, fault)
    told = author.refused("apply", code=2)
    assert "bootstrap.yaml:11:59: " in told
    assert f"$code: plugin {author.plugin}: Code.resolve() {said}" in told
    assert stored(author) == []
    value_of_option = author.project.folder / "bootstrap.yaml"
    text = value_of_option.read_text().split("fixtures:")[0].replace("- uses: seed", IN_AN_OPTION.replace("\n", "\n  "))
    value_of_option.write_text(text)
    told = author.refused("plan", code=2)
    assert "bootstrap.yaml:9:23: " in told
    assert f"$code: plugin {author.plugin}: Code.resolve() {said}" in told


def test_a_reason_is_shown_as_it_is(author: Author) -> None:
    value(author, "raise ValueError('$code has no such name')")
    assert "bootstrap.yaml:11:59: $code has no such name" in author.refused("apply", code=2)


@pytest.mark.parametrize("method", ["is_secret(self, argument)", "variables(self, argument)", "files(self, argument)"])
@pytest.mark.parametrize("fault", ["raise KeyError('no luck')", "sys.exit(0)", "return 7"])
def test_faults_of_the_configuration_are_errors_of_it(author: Author, method: str, fault: str) -> None:
    value(author, more=f"def {method}: {fault}")
    told = author.refused("apply", code=2)
    assert f"Code.{method.partition('(')[0]}() " in told


@pytest.mark.parametrize("fault", ["raise KeyError('no luck')", "sys.exit(0)"])
def test_a_fault_of_the_constructor_is_an_error_of_the_configuration(author: Author, fault: str) -> None:
    value(author, more=f"def __init__(self): {fault}")
    assert author.run("plan").returncode == 2


@pytest.mark.parametrize("fault", ["raise KeyError('no luck')", "sys.exit(0)"])
def test_a_fault_while_checking_an_argument_is_reported_at_its_place(author: Author, fault: str) -> None:
    value(author, more=f"def check(self, argument): {fault}")
    told = author.refused("validate", code=2)
    assert "bootstrap.yaml:" in told
    assert f"$code: plugin {author.plugin}: Code.check() " in told


@pytest.mark.parametrize("fault", ["raise KeyError('no luck')", "sys.exit(0)", "return 7"])
def test_a_fault_while_comparing_is_reported_at_its_place(author: Author, fault: str) -> None:
    value(author, more="create_only = True")
    assert author.run("apply").returncode == 0
    more = f"create_only = True\n    def is_compared(self, argument): return True\n    def holds(self, *given): {fault}"
    author.plugin.write_text(author.plugin.read_text().replace("create_only = True", more))
    told = author.refused("plan", code=2)
    assert f"$code: plugin {author.plugin}: Code.holds() " in told


@pytest.mark.parametrize("key", ["$ref", "$", "code"])
def test_a_key_that_the_file_cannot_use_is_refused(author: Author, key: str) -> None:
    value(author)
    author.plugin.write_text(author.plugin.read_text().replace('"$code"', f'"{key}"'))
    assert f"Code cannot have the key '{key}'" in author.refused("validate", code=2)
