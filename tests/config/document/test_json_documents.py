"""JSON that is decoded as such: as the parser of YAML reads it, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrapper.config.document import Place, parse
from bootstrapper.config.document.builder import MAX_DATA_NODES
from bootstrapper.config.document.json_documents import read_json
from bootstrapper.errors import InvalidFileError
from bootstrapper.fixtures.declare.datafiles import as_yaml

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(["<<", "$ref", " :", "a: b"])
_LITERALS = st.sampled_from(
    [
        *("0", "-0", "1.50", "1e5", "1E400", "1e1000", "9" * 4200, "NaN", "-Infinity", "01", "", '"a', "x" * 5),
        *('"\\ud83d\\ude00"', '"\\ud83d"', '"\\/\\b\\u0000"', "[1,]", "{}", "[]", "[1]\n", "\t[2]"),
        *('{"a": 1, "a": 2}', '{"a" : 1}', '{"a"\n: 1}', '{"' + "k" * 1100 + '": 1}'),
        *("[" * 61 + "]" * 61, "[" * 70 + "]" * 70),
    ]
)
_VALUES = st.recursive(
    _LITERALS | (_TEXTS | st.integers() | st.booleans() | st.none()).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(_TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)), inner), max_size=3).map(
            lambda pairs: "{" + ",\n ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=8,
)


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


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["", "\n", "  ", "\t", "\r\n"]), _VALUES, st.sampled_from(["", "\n", "\r\n", " x"]))
def test_json_and_its_places_are_those_of_the_parser(before: str, text: str, after: str) -> None:
    content = as_yaml((before + text + after).encode())

    def as_events(content: bytes) -> Any:
        return parse(content, "rows.json", any_root=True)

    found = read_json(content, "rows.json", as_events, MAX_DATA_NODES)
    if found is None:
        return
    expected = as_events(content)
    assert shown(found.data) == shown(expected.data)
    for place in places(expected.data):
        assert found.source(place) == expected.source(place)
        assert found.key_source(place) == expected.key_source(place)


def test_rows_need_no_parser_until_a_place_is_asked_for() -> None:
    content = json.dumps([{"id": number, "name": "a", "body": {"b": [1.5, None]}} for number in range(100)]).encode()
    asked: list[bytes] = []

    def note(content: bytes) -> Any:
        asked.append(content)
        return parse(content, "rows.json", any_root=True)

    found = read_json(content, "rows.json", note, MAX_DATA_NODES)
    assert found is not None
    assert not asked
    assert str(found.source((1, "name"))).startswith("rows.json:1:")
    assert found.source((2, "name")) == parse(content, "rows.json", any_root=True).source((2, "name"))
    assert len(asked) == 1


@pytest.mark.parametrize(
    "content", [b'[{"a": 1, "a": 2}]', b"[" * 100, b'{"a": 1', b"", b"[{}, " + b"[]," * 700_000 + b"[]]"]
)
def test_the_parser_says_what_is_wrong(content: bytes) -> None:
    with pytest.raises(InvalidFileError) as as_json:
        parse(content, "rows.json", any_root=True, is_json=True)
    with pytest.raises(InvalidFileError) as as_events:
        parse(content, "rows.json", any_root=True)
    assert as_json.value.problems == as_events.value.problems
