"""What the author of a check is told of its mistakes."""

from __future__ import annotations

import re

import pytest

from tests.plugin.authors import Author

CHECK = """
class Ready(Check[str | None]):
    key = "ready"

    {method}

@hookimpl
def bootstrapper_checks():
    return [Ready]
"""
PROBE = "def probe(self): return Probe('SELECT true')"
METHODS = {
    "ask": "def ask(self, context): {}",
    "probe": "def answer(self, rows): return Answer.yes()\n    def probe(self): {}",
    "answer": f"{PROBE}\n    def answer(self, rows): {{}}",
}
AT_LOADING = ("problems(self)", "marks(self)", "about(self)", "__init__(self, *arguments)")
STEPS = "- uses: sql\n  with: {statement: SELECT 1}\n  check: ready"


def check(author: Author, method: str, steps: str = STEPS) -> None:
    author.write(CHECK.format(method=method), steps)


def test_a_correct_check_is_asked(author: Author) -> None:
    check(author, METHODS["answer"].format("return Answer.yes('it is')"))
    assert author.run("plan", "--exit-code").returncode == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('no luck')", r"raised KeyError: 'no luck', line 11 \[BOOT-110\]$"),
        ("sys.exit(0)", r"called sys.exit\(0\), line"),
        ("return 7", r"returned int; it must return an? (Answer|Probe)"),
        ("return True", r"returned bool; it must return an? (Answer|Probe)"),
    ],
)
def test_faults_of_a_question_name_method_and_line(author: Author, method: str, fault: str, said: str) -> None:
    check(author, METHODS[method].format(fault))
    line = author.line_of(fault)
    told = author.refused("plan")
    assert re.search(
        rf"plugin {author.plugin}: Ready\.{method}\(\) {said.replace('line 11', f'line {line}')}", told, re.MULTILINE
    ), told


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("Answer.yes(None)", "returned an Answer whose reason is None; it must be text"),
        ("Answer('yes')", "returned an Answer whose verdict is str; it must be a Verdict"),
    ],
)
def test_an_answer_with_a_wrong_field_is_refused(author: Author, returned: str, said: str) -> None:
    check(author, f"def ask(self, context): return {returned}")
    assert said in author.refused("plan")


def test_a_probe_of_bytes_is_refused(author: Author) -> None:
    check(author, "def answer(self, rows): return Answer.yes()\n    def probe(self): return Probe(b'SELECT 1')")
    said = "returned a Probe whose statement is bytes; it must be text or composed by psycopg.sql"
    assert said in author.refused("plan")


@pytest.mark.parametrize("method", AT_LOADING)
@pytest.mark.parametrize("fault", ["raise KeyError('no luck')", "sys.exit(0)", "return 7"])
def test_faults_of_the_configuration_are_errors_of_it(author: Author, method: str, fault: str) -> None:
    check(author, f"def ask(self, context): return Answer.yes()\n    def {method}: {fault}")
    name = method.partition("(")[0]
    arguments = ["validate"]
    if name == "about":
        file = author.project.folder / "bootstrap.yaml"
        file.write_text(file.read_text().replace("check: ready", "check: never\n    when: ready"))
    if name == "marks":  # asked for when the step is recorded
        check(author, f"def ask(self, context): return Answer.no()\n    def {method}: {fault}")
        arguments = ["apply"]
    told = author.refused(*arguments, code=2)
    said = r"raised KeyError: 'no luck'|called sys.exit\(0\)|returned int|does not call super|raised TypeError"
    assert re.search(rf"Ready\.{name}\(\) ({said})", told), told


@pytest.mark.parametrize("key", ["all", "any", "not"])
def test_a_key_that_joins_checks_is_refused(author: Author, key: str) -> None:
    check(author, METHODS["ask"].format("return Answer.yes()"))
    author.plugin.write_text(author.plugin.read_text().replace('"ready"', f'"{key}"'))
    assert f"Ready cannot have the key '{key}', which joins checks" in author.refused("validate", code=2)


@pytest.mark.parametrize("method", ["pass", PROBE, "def answer(self, rows): return Answer.yes()"])
def test_a_check_that_asks_nothing_is_refused(author: Author, method: str) -> None:
    check(author, method)
    told = author.refused("validate", code=2)
    assert "Ready defines neither `probe` and `answer` nor `ask`" in told


def test_an_argument_that_would_take_unknown_keys_is_refused(author: Author) -> None:
    check(author, METHODS["ask"].format("return Answer.yes()"))
    text = "from pydantic import BaseModel\nclass Loose(BaseModel): pass\n" + author.plugin.read_text()
    author.plugin.write_text(text.replace("str | None", "Loose"))
    assert "Ready: the type in Check[...] must be a subclass of StepModel" in author.refused("validate", code=2)


@pytest.mark.parametrize("connection", ["connection", "sqlalchemy().exec_driver_sql"])
def test_what_is_missing_is_an_unknown_answer_however_it_is_asked(author: Author, connection: str) -> None:
    call = f"context.{connection}" if connection.endswith("sql") else f"context.{connection}.execute"
    check(author, f"def ask(self, context): {call}('SELECT * FROM nowhere')")
    assert 'relation "nowhere" does not exist' in author.run("plan").stdout
