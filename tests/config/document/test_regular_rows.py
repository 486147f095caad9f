"""Rows that are read by a pattern: as the parser reads them, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bootstrapper.config.document import Document
from bootstrapper.config.document.builder import build
from bootstrapper.config.document.flow import read_flow
from bootstrapper.config.document.regular import read_rows
from bootstrapper.config.document.tree import Place
from bootstrapper.errors import InvalidFileError

_PIECES = (
    *"abz019 .:,-_/#$@+=~|>'\"{}[]<&*!%?\\;()\t",
    *("é", "\u3000", "\xa0", "\u2028", "\x85", "\ufeff", "\U0001f600", "\r"),
    *("true", "null", "1.50", "1e5", "-0", "0x1f", "010", "22:22", "2025-01-02", "<<", "NaN", "Infinity", "x" * 1100),
    *(": ", " #", "# ", '"a"', "'b'", "''", '\\"', "\\u00e9", "\\ud83d", "\\x41", "\\/"),
    *('{"a": 1}', "{a: b}", "[1, 2]"),
    *("&a ", "*a", "!!str ", "---", "...", "- "),
)
_TEXT = st.lists(st.sampled_from(_PIECES), max_size=4).map("".join)
_VALUES = (
    _TEXT
    | _TEXT.map(lambda text: f'"{text}"')
    | _TEXT.map(lambda text: f"'{text}'")
    | st.tuples(_TEXT, _TEXT).map(lambda pair: f"{{{pair[0]}: {pair[1]}}}")
    | st.lists(_TEXT, max_size=2).map(lambda items: f"[{', '.join(items)}]")
    | st.sampled_from(["1", '"a"', '{"a": {"b": [1, 2.50, {}]}, "c": []}', '{"a":1,"b":[true,null]}', "{$ref: x.y}"])
    | st.sampled_from(['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', "{a: 1, a: 2}", '{"": 1}', "", "|", ">-", "[]"])
)
_KEYS = st.sampled_from(["id", "id", "a", "b", "name", "_x1", "null", "<<", "$ref", '"q"', "a b", "é", "?", ""])
_ENTRY = st.tuples(_KEYS, st.sampled_from([":", ": ", ": ", ": ", ":  ", " : "]), _VALUES).map("".join)
_BLOCK = st.lists(_ENTRY, min_size=1, max_size=3).map("\n  ".join)
_ROWS = (
    _BLOCK.map(lambda text: f"- {text}\n")
    | _BLOCK.map(lambda text: f"- {text}\n")
    | _VALUES.map(lambda text: f"- {text}\n")
    | st.sampled_from(["\n", "# note: x\n", "  # note\n", "-\n  id: 1\n", "---\n", "...\n", "%YAML 1.2\n", "a: 1\n"])
    | st.sampled_from(["- id: |\n    text\n  a: 1\n", '- id: "x\n', '- id: "x\n    y"\n', "- a:\n  - 1\n"])
    | st.sampled_from(['- a: {"a": "' + "x" * 1100 + '", "b": [0, 1e5]}\n', '- {"' + "x" * 1100 + '": 1}\n'])
    | st.sampled_from(["- a: x\n   y\n", "-   id: 1\n"])
    | st.sampled_from(["- a:\n    b: 1\n", "- {a: 1,\n  b: 2}\n", "- &a {id: 1}\n", "- *a\n", "- <<: *a\n"])
)
_PLAIN = st.sampled_from(["- id: 1\n  a: x\n", "- {id: 1, a: x}\n", "- b: 'it''s'\n"])
_FILES = st.lists(_ROWS | _PLAIN, min_size=1, max_size=6).map("".join)


def slow(content: bytes) -> Document | None:
    try:
        return build(content, "rows.yaml", any_root=True)
    except (InvalidFileError, yaml.YAMLError):
        return None


def parse(content: bytes) -> Document:
    return build(content, "rows.yaml", any_root=True)


def places(value: Any, place: Place = ()) -> list[Place]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for part, item in entries for found in places(item, (*place, part)))]


def shown(value: Any) -> Any:
    """A value with its types, and numbers as they are written."""
    if isinstance(value, dict):
        return [(key, shown(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [None, *map(shown, value)]
    return type(value), str(value)


def assert_same(text: str) -> bool:
    """Compares a reading by pattern, if there is one, with the parser's; returns whether there is one."""
    content = text.encode()
    found = read_rows(content, "rows.yaml", parse, 1000)
    if found is None:
        return False
    expected = slow(content)
    assert expected is not None, text
    assert shown(found.data) == shown(expected.data)
    for place in places(expected.data):
        assert found.source(place) == expected.source(place), place
        assert found.key_source(place) == expected.key_source(place), place
    return True


@settings(max_examples=1000, deadline=None)
@given(_FILES, st.booleans())
@example("- id: 1\n  a: x\n" * 60 + "- id: 2\n  a:\n- id: 3\n  a: 'x'\n  b: 1\n- id: 4\n", True)
def test_rows_and_their_places_are_those_of_the_parser(text: str, ends: bool) -> None:
    assert_same(text if ends else text.removesuffix("\n"))


@settings(max_examples=1000, deadline=None)
@given(_VALUES | st.lists(_VALUES, max_size=3).map(lambda items: f"[{', '.join(items)}]"))
def test_values_on_one_line_are_those_of_the_parser(text: str) -> None:
    if text[:1] not in ("{", "[") or {*"\n\r\t\x85\u2028\ufeff"} & set(text):
        return
    try:
        found = read_flow(text)
    except ValueError:
        return
    expected = slow(f"- {text}\n".encode())
    assert expected is not None, text
    assert shown([found]) == shown(expected.data)


@pytest.mark.parametrize(
    "row",
    [
        '- id: 1\n  code: "P-1"\n  price: 1.50\n  active: true\n  at: 2025-01-02 10:00:00\n  body: {"a": [1, 2]}\n',
        "- id: 1\n  name: it is:so#1\n  note:\n  empty: ''\n  url: https://example.com/a?b=c#d\n",
        '- {id: 1, name: "a", tenant: {$ref: tenants.default}}\n',
        '- id: 1\n  name: "a\\u00e9\\n"\n\n# next\n',
    ],
)
def test_rows_as_people_write_them_need_no_parser(row: str) -> None:
    def refuse(content: bytes) -> Document:
        raise AssertionError(content)

    found = read_rows((row * 100).encode(), "rows.yaml", refuse, 10_000)
    expected = slow((row * 100).encode())
    assert found is not None
    assert expected is not None
    assert shown(found.data) == shown(expected.data)
