"""Properties of the reader that hold for any input."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrapper.config.document import Document, parse
from bootstrapper.config.document.tree import Place
from bootstrapper.errors import InvalidFileError, Problem

_SPECIAL = st.lists(
    st.sampled_from(
        [*"{}[]:,-?&*!|>'\"%@`#<~ \n\t", "a", "1", ": ", "- ", "<<", "&a", "*a", "!!str", "---", "${A}", "\0"]
    )
).map("".join)
_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f\x85\u2028\u2029"))
_NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000)
_SCALARS = st.none() | st.booleans() | st.integers() | _TEXT
_DATA = st.dictionaries(
    _TEXT.filter(bool),
    st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_TEXT.filter(bool), inner), max_leaves=15),
    min_size=1,
    max_size=5,
)


def places(value: Any, place: Place = ()) -> list[Place]:
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    return [place, *(found for key, item in entries for found in places(item, (*place, key)))]


@settings(max_examples=200, deadline=None)
@given(st.binary() | _SPECIAL.map(str.encode) | st.text().map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_a_document_or_one_clear_error(content: bytes) -> None:
    found: tuple[Problem, ...] = ()
    data: Any = {}
    document: Document | None = None
    try:
        document = parse(content, "a.yaml")
        data = document.data
    except InvalidFileError as error:
        found = error.problems
    assert bool(found) is (document is None)
    assert all(problem.source and problem.source.line > 0 and problem.source.column > 0 for problem in found)
    assert isinstance(data, dict)
    assert document is None or all(document.source(place).file == "a.yaml" for place in places(data))


@settings(max_examples=60, deadline=None)
@given(_DATA, st.booleans())
def test_it_agrees_with_pyyaml_where_the_schemas_do(data: dict[str, Any], is_flow: bool) -> None:
    # Double quotes for all text: what plain text means is where the schemas differ.
    content = yaml.dump(_quoted(data), Dumper=_Quoting, default_flow_style=is_flow, allow_unicode=True)
    document = parse(content.encode(), "a.yaml")
    assert document.data == yaml.safe_load(content) == data


@settings(max_examples=60, deadline=None)
@given(_DATA)
def test_every_key_stands_where_its_place_says(data: dict[str, Any]) -> None:
    content = yaml.dump(_quoted(data), Dumper=_Quoting, allow_unicode=True, width=10_000)
    document = parse(content.encode(), "a.yaml")
    lines = content.split("\n")
    for place in places(document.data):
        if place and isinstance(place[-1], str):
            source = document.key_source(place)
            assert lines[source.line - 1][source.column - 1] == '"'


@given(_NUMBERS)
def test_numbers_keep_their_value_and_their_text(number: Decimal) -> None:
    found = parse(f"a: {number:f}".encode(), "a.yaml").data["a"]
    assert (found, str(found)) == (number, f"{number:f}")


class _Quoted(str):
    __slots__ = ()


class _Quoting(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Quoting.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {_Quoted(key): _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return _Quoted(value) if isinstance(value, str) else value
