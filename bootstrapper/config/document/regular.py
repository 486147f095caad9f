"""Lists of rows in YAML that stand as most do, one `key: value` a line: read by a pattern, ten times as fast.

Rows that do not are read by the parser, one by one; where that is not possible, the parser reads the whole file. So
the parser decides what is valid, and says what is wrong. Where values stand is worked out when that is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from bootstrapper.config.document.builder import CONTAINER_NODES
from bootstrapper.config.document.flow import LONGEST, SURROGATE, flow_marks, read_flow
from bootstrapper.config.document.scalars import plain
from bootstrapper.config.document.tree import NO_MARKS, Document, Marks, pack
from bootstrapper.errors import InvalidFileError

Parse = Callable[[bytes], Document]
"""Reads YAML event by event."""

_KEY = "[A-Za-z_][A-Za-z0-9_]{0,99}+"
_FIRST = r"""(?:-(?=[0-9])|[^\s\-?:,\[\]{}\#&*!|>'"%@`])"""
_PLAIN = rf"{_FIRST}[^\n\t:\#]*+(?:(?::(?=[^ \n\t])|(?<! )\#)[^\n\t:\#]*+)*+(?<! )"
_DOUBLE = r'"[^"\\\n\t]*+(?:\\[^xU0-9\n\t][^"\\\n\t]*+)*+"'
_SINGLE = r"'[^'\n\t]*+(?:''[^'\n\t]*+)*+'"
_FLOW = r"[\[{][^\n\t]*+"
_VALUE = f"{_DOUBLE}|{_SINGLE}|{_FLOW}|{_PLAIN}"
_GAP = r"(?:\n|\#[^\n]*+\n)*+"
_END = rf"{_GAP}(?=-[ ]|\Z)"
_ENTRY = rf"{_KEY}:(?:[ ](?:{_VALUE}))?\n"
_ROW = re.compile(rf"-[ ](?:({_FLOW})\n|{_ENTRY}(?:[ ][ ]{_ENTRY})*+){_END}")
_ENTRIES = re.compile(rf"(?:-|[ ])[ ]({_KEY}):(?:[ ]({_VALUE}))?\n")
_BEGIN = re.compile(rf"{_GAP}(?:---\n{_GAP})?(?=-[ ])")

# Other line breaks than \n, a mark that YAML skips, and the ends of documents.
_ELSEWHERE = ("\r", "\x85", "\u2028", "\u2029", "\ufeff", "\n...")
_EMPTY = frozenset({"{}", "[]"})
_BRACKETS = frozenset("{[")
_MOST_ODD = 1000
_COMMON = 50


def read_rows(content: bytes, name: str, parse: Parse, most_nodes: int) -> Document | None:
    """Returns the document, or None if the parser has to read it."""
    if not content.startswith((b"- ", b"#", b"\n", b"---\n")):
        return None
    text = content.decode()
    begin = _BEGIN.match(text)
    if begin is None or any(each in text for each in _ELSEWHERE) or text.find("\n---", begin.end()) >= 0:
        return None
    rows = _Rows(text if text.endswith("\n") else f"{text}\n", begin.end(), parse)
    if not rows.read(most_nodes):
        return None
    return Document(rows.data, (name,), pack(rows.lines[0], 0), rows.marks())


class _Shape:
    """Rows with the same keys in the same order.

    Attributes:
        keys: One object for all rows.
        pattern: Matches such a row with a group for each value, in half the time of the pattern for any row.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.pattern: re.Pattern[str] | None = None
        self._seen = 0

    def is_common(self) -> bool:
        """Whether so many rows have these keys, this one included, that they are worth a pattern."""
        self._seen += 1
        if self._seen == _COMMON:
            entries = "[ ][ ]".join(rf"{key}:(?:[ ]({_VALUE}))?\n" for key in self.keys)
            self.pattern = re.compile(f"-[ ]{entries}{_END}")
        return self.pattern is not None


class _Rows:
    """The rows of a text, each with the position and the line at which it begins."""

    def __init__(self, text: str, begin: int, parse: Parse) -> None:
        self._text = text
        self._parse = parse
        self._odd = 0
        self._nodes = 0
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._shape: _Shape | None = None
        self.data: list[Any] = []
        self.begins = [begin]
        self.lines = [text.count("\n", 0, begin)]
        self._odd_places: dict[int, int] = {}

    def read(self, most_nodes: int) -> bool:
        """Whether the rows could be read."""
        text, at, line = self._text, self.begins[0], self.lines[0]
        try:
            while at < len(text):
                row, end = self._row(at) or self._odd_row(at)
                self.data.append(row)
                line += text.count("\n", at, end)
                at = end
                self.begins.append(at)
                self.lines.append(line)
                if self._nodes > most_nodes or (self._odd > _MOST_ODD and self._odd > len(self.data) // 2):
                    return False
        except (ValueError, InvalidFileError, yaml.YAMLError):
            return False
        return True

    def _row(self, at: int) -> tuple[Any, int] | None:
        """Returns the row at a position that matches a pattern, and its end; None if the parser has to read it."""
        shape = self._shape
        found = shape.pattern.match(self._text, at) if shape is not None and shape.pattern is not None else None
        try:
            if shape is not None and found is not None:
                values = found.groups("")
            elif (found := _ROW.match(self._text, at)) is None:
                return None
            elif found[1] is not None:
                return self._value(found[1]), found.end()
            else:
                keys, values = zip(*_ENTRIES.findall(self._text, at, found.end()), strict=True)
                shape = self._shape_of(keys)
            row = dict(zip(shape.keys, map(self._value, values), strict=True))
        except ValueError:
            return None
        self._nodes += 2 * len(row) + CONTAINER_NODES
        return (row, found.end()) if len(row) == len(values) else None

    def _shape_of(self, keys: tuple[str, ...]) -> _Shape:
        """Returns the shape of rows with these keys, which most of the following rows are likely to have, too."""
        shape = self._shapes.setdefault(keys, _Shape(keys))
        if shape.is_common():
            self._shape = shape
        return shape

    def _odd_row(self, at: int) -> tuple[Any, int]:
        """Returns a row that the parser reads; it ends where the next one begins, since it is complete."""
        end = self._text.find("\n- ", at) + 1 or len(self._text)
        if max(map(len, self._text[at:end].split("\n"))) > LONGEST:
            raise ValueError("the parser refuses a long key or not, depending on what stands before")
        self._odd += 1
        self._nodes += end - at
        document = self._parse(self._text[at:end].encode())
        (row,) = document.data
        self._odd_places[len(self.data)] = pack(self.lines[-1], 0) + document.marks.values[0]
        return row, end

    def _value(self, written: str) -> Any:
        """Returns the value of what stands behind a colon; raises ValueError if that takes the parser."""
        first = written[:1]
        if first == '"':
            return written[1:-1] if "\\" not in written else _unescaped(written)
        if first == "'":
            return written[1:-1].replace("''", "'")
        if first in _BRACKETS:
            containers = written.count("{") + written.count("[")
            self._nodes += 2 * written.count(":") + written.count(",") + CONTAINER_NODES * containers
            return read_flow(written)
        return plain(written)

    def marks(self) -> Marks:
        """Returns the positions of the rows; those in a row are worked out when they are asked for."""
        places = [pack(line, 2) for line in self.lines[:-1]]
        for number, place in self._odd_places.items():
            places[number] = place
        return Marks([], places, _LaterMarks(self._marks_of))

    def _marks_of(self, number: int) -> Marks:
        at, end, begin = self.begins[number], self.begins[number + 1], pack(self.lines[number], 0)
        found = _ROW.match(self._text, at) if number not in self._odd_places else None
        if found is not None:
            try:
                return flow_marks(found[0], 2, begin) if found[1] else self._marks_of_entries(at, end, begin)
            except ValueError:
                pass
        row = self._parse(self._text[at:end].encode())
        return _moved(row.marks.children.get(0, NO_MARKS), begin)

    def _marks_of_entries(self, at: int, end: int, begin: int) -> Marks:
        """Returns the positions of entries, each of which is a line; raises ValueError if that takes the parser."""
        marks = Marks()
        for number, entry in enumerate(_ENTRIES.finditer(self._text, at, end)):
            place = begin + pack(number, 0)
            marks.keys.append(place + 2)
            column = (entry.end(1) + 1 if entry[2] is None else entry.start(2)) - entry.start()
            marks.values.append(place + column)
            if entry[2] is not None and entry[2][0] in _BRACKETS and entry[2] not in _EMPTY:
                marks.children[number] = flow_marks(entry[0], column, place)
        return marks


class _LaterMarks(dict[int, Marks]):
    """The marks of rows by number, made when they are asked for."""

    def __init__(self, make: Callable[[int], Marks]) -> None:
        self._make = make

    def get(self, number: int, _default: object = None, /) -> Marks:
        if number not in self:
            self[number] = self._make(number)
        return self[number]


def _moved(marks: Marks, by: int) -> Marks:
    """Returns marks that stand further below."""
    children = {number: _moved(child, by) for number, child in marks.children.items()}
    return Marks([key + by for key in marks.keys], [value + by for value in marks.values], children)


def _unescaped(written: str) -> str:
    """Returns text in double quotes whose escapes mean the same in JSON; raises ValueError for another."""
    if SURROGATE.search(written):
        raise ValueError("half a character")
    return str(json.loads(written))
