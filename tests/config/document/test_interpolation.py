"""Variables in text."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from bootstrapper.config.document import Document, Expansion, MalformedExpression, Place, UnsetVariable, expand, parse
from bootstrapper.config.document.interpolation import demands, fault
from bootstrapper.errors import InvalidFileError, Problem, Source

pytestmark = pytest.mark.smoke

VARIABLES = {"NAME": "value", "EMPTY": "", "TRICK": "${NAME} $${NAME} \\1", "_x9": "x", "target.name": "acme"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${NAME}", "value"),
        ("a${NAME}b${_x9}c", "avaluebxc"),
        ("${EMPTY}", ""),
        ("${NAME:-default}", "value"),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${MISSING:-}", ""),
        ("${NAME:?message}", "value"),
        ("a-${target.name}", "a-acme"),
        ("${target.tier:-free}", "free"),
        ("${target.name:-x} $${target.name}", "acme ${target.name}"),
        ("${MISSING:-postgresql://u:p@h/d?a=b:-c $ 'x' {y}", "postgresql://u:p@h/d?a=b:-c $ 'x' {y"),
        ("${MISSING:-a\\}b}c", "a}bc"),
        ("${MISSING:-a\\b\nc}", "a\\b\nc"),
        ("${MISSING:-$${NAME}}", "${NAME}"),
        ("$${NAME}", "${NAME}"),
        ("$${", "${"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME $ $$ {NAME} $}", "$NAME $ $$ {NAME} $}"),
        ("cost: 5$", "cost: 5$"),
        ("$$ ${NAME}", "$$ value"),
    ],
)
def test_expressions_are_replaced_as_a_shell_would(text: str, expected: str) -> None:
    assert expand(text, VARIABLES).text == expected


def test_the_value_of_a_variable_is_not_expanded_again() -> None:
    assert expand("${TRICK}", VARIABLES).text == VARIABLES["TRICK"]


def test_an_expansion_lists_its_variables_and_defaults() -> None:
    found = expand("${NAME} ${MISSING:-x} ${NAME} ${EMPTY:-y} $${OTHER}", VARIABLES)
    assert found == Expansion("value x value y ${OTHER}", ("NAME", "MISSING", "EMPTY"), ("MISSING", "EMPTY"))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("${MISSING}", "MISSING", "variable MISSING is not set"),
        ("${MISSING:?}", "MISSING", "variable MISSING is not set"),
        ("${MISSING:?ask {the\\} team}", "MISSING", "ask {the} team"),
        ("${EMPTY:?is needed}", "EMPTY", "is needed"),
        ("${NAME} ${A} ${B}", "A", "variable A is not set"),
    ],
)
def test_a_variable_without_value_and_default_is_an_error(text: str, name: str, message: str) -> None:
    with pytest.raises(UnsetVariable) as caught:
        expand(text, VARIABLES)
    assert (caught.value.name, caught.value.message, str(caught.value)) == (name, message, message)


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${}",
        "${NAME",
        "${1A}",
        "${NA-ME}",
        "${NAME:}",
        "${NAME:+x}",
        "${NAME-x}",
        "${ NAME }",
        "${é}",
        "${NAME:-x",
        "${NAME:-x\\}",
        "${A:-${NAME}}",
        "${NAME:?${A}}",
        "$${NAME} ${",
    ],
)
def test_a_malformed_expression_is_an_error_whatever_is_set(text: str) -> None:
    with pytest.raises(MalformedExpression) as caught:
        expand(text, VARIABLES)
    assert str(fault(text)) == str(caught.value)


@pytest.mark.parametrize("text", ["plain", "${A} ${B:-c} ${C:?d}", "$${", "$${${A}"])
def test_a_well_formed_text_has_no_fault(text: str) -> None:
    assert fault(text) is None


def test_a_complaint_does_not_quote_the_text() -> None:
    assert "hunter2" not in str(fault("${hunter2!}"))


@pytest.mark.parametrize("text", ["${A:-" + "x" * 4_000_000, "${A:-" * 800_000, "$" * 4_000_000, "${" * 2_000_000])
def test_long_texts_take_linear_time(text: str) -> None:
    begun = time.process_time()
    assert fault(text + "}") != ""
    assert time.process_time() - begun < 1


def expanded(document: Document, place: Place, variables: Mapping[str, str]) -> Any:
    problems: list[Problem] = []
    value = document.expanded_into(problems, place, variables)
    if problems:
        raise InvalidFileError(problems)
    return value


def test_a_subtree_is_expanded_and_the_rest_is_kept() -> None:
    document = parse(b"a: {b: '${NAME}', c: [1, '$${x}', {d: 'p-${NAME}'}], e: null}\nf: ${MISSING}", "a.yaml")
    assert expanded(document, ("a",), VARIABLES) == {"b": "value", "c": [1, "${x}", {"d": "p-value"}], "e": None}
    assert document.data["a"]["b"] == "${NAME}"


def test_keys_that_expand_to_nothing_count_as_absent() -> None:
    document = parse(b"a: '${EMPTY}'\nb: ''\nc: ['${EMPTY}']\nd: {e: '${MISSING:-}'}\n", "a.yaml")
    assert expanded(document, (), VARIABLES) == {"b": "", "c": [""], "d": {}}
    assert expanded(document, ("a",), VARIABLES) == ""


def test_every_unset_variable_of_a_subtree_is_reported_with_its_place() -> None:
    document = parse(b"a: '${ONE}'\nb: [x, '${TWO:?ask}', '${']\n", "a.yaml")
    with pytest.raises(InvalidFileError) as caught:
        expanded(document, (), {})
    first, second, third = caught.value.problems
    assert (str(first), first.hint) == (
        "a.yaml:1:4: variable ONE is not set",
        "Set ONE, or write a default: ${ONE:-default}.",
    )
    assert str(second) == "a.yaml:2:8: ask"
    assert third.source == Source("a.yaml", 2, 23)


def test_malformed_expressions_are_found_without_variables_but_not_in_literals() -> None:
    document = parse(b"a: [{b: '${'}, {$literal: '${'}]\nc: '${OK}'", "a.yaml")
    assert [str(problem.source) for problem in document.malformed()] == ["a.yaml:1:9"]


def test_messages_are_found_whatever_the_variables_are() -> None:
    text = "${A:?first} $${B:?literal} ${C:-${D:?inside} ${E:?with a \\} brace} ${F} ${G:?} ${"
    assert demands(text) == {"A": "first", "E": "with a } brace"}
