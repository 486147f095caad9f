"""A document: plain data, and where each part of it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import Any

from bootstrapper.config.document.interpolation import (
    MalformedExpression,
    UnsetVariable,
    demands,
    expand,
    fault,
    of_target,
)
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import Problem, Source

Place = tuple[str | int, ...]
"""A path inside a document: keys of mappings, indexes of lists."""

_FILE_SHIFT = 64
_LINE_SHIFT = 32
_MASK = (1 << 32) - 1


def pack(line: int, column: int) -> int:
    """Returns a position as one int: a document holds hundreds of thousands. Counts from 0, as YAML parsers do."""
    return line << _LINE_SHIFT | column


def unpack(position: int) -> tuple[int, int]:
    """Returns line and column of a position, from 0, in whatever file."""
    return (position >> _LINE_SHIFT) & _MASK, position & _MASK


def in_file(position: int, number: int) -> int:
    """Returns the position, moved on by a number of files."""
    return position + (number << _FILE_SHIFT)


@dataclass(slots=True, eq=False)
class Marks:
    """Positions of one container's entries, in the order of its data.

    Attributes:
        keys: Empty for a list.
        children: Marks of those entries that are containers themselves, by ordinal.
    """

    keys: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    children: dict[int, Marks] = field(default_factory=dict)
    _ordinals: dict[str, int] | None = None

    def ordinal(self, data: Any, part: str | int) -> int | None:
        """Returns the index of an entry among its siblings; None if it does not exist."""
        if isinstance(data, list):
            return part if isinstance(part, int) and 0 <= part < len(self.values) else None
        if self._ordinals is None:
            self._ordinals = {key: number for number, key in enumerate(data)}
        return self._ordinals.get(part) if isinstance(part, str) else None


NO_MARKS = Marks()
"""Stands for the marks of an empty container."""


@dataclass(frozen=True, eq=False)
class Document:
    """What a file says.

    Attributes:
        data: dict, list, str, int, Decimal, bool and None; keys are text. Not to be changed: aliases share parts.
        files: The names of the files it came from, the first one its own.
        position: Where the root value stands.
    """

    data: Any
    files: tuple[str, ...]
    position: int = 0
    marks: Marks = NO_MARKS

    @property
    def name(self) -> str:
        return self.files[0]

    def get(self, place: Place, default: Any = None) -> Any:
        """Returns the value at a place as the file writes it, or the default where there is none."""
        value = self.data
        for part in place:
            has_key = isinstance(value, dict) and part in value
            has_index = isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)
            if not (has_key or has_index):
                return default
            value = value[part]
        return value

    def source(self, place: Place) -> Source:
        """Returns where the value stands; for one that the file does not write, where its nearest ancestor does."""
        return self._source(place)[1]

    def key_source(self, place: Place) -> Source:
        """Returns where the key stands that the value belongs to; the value's own place where it has no key."""
        return self._source(place)[0]

    def _source(self, place: Place) -> tuple[Source, Source]:
        key = value = self.position
        data, marks = self.data, self.marks
        for part in place:
            ordinal = marks.ordinal(data, part) if isinstance(data, dict | list) else None
            if ordinal is None:
                break
            value = marks.values[ordinal]
            key = marks.keys[ordinal] if marks.keys else value
            data, marks = data[part], marks.children.get(ordinal, NO_MARKS)
        return self._unpack(key), self._unpack(value)

    def _unpack(self, position: int) -> Source:
        line, column = unpack(position)
        return Source(self.files[position >> _FILE_SHIFT], line + 1, column + 1)

    def expanded_into(self, problems: list[Problem], place: Place, variables: Mapping[str, str]) -> Any:
        """Returns a copy of the value at a place with its variables replaced.

        Leaves out keys of mappings whose whole value came from variables and is empty. A text that cannot be expanded
        is added to the problems and stays as it is.
        """
        return _Expander(self, variables, problems).value(self.get(place), place)

    def malformed(self, *, skip: str = "$literal") -> list[Problem]:
        """Returns a problem for every malformed `${`, except below a key whose text is not interpolated."""
        return [
            Problem(str(found), self.source(place), found.hint)
            for place, text in _texts(self.data, skip)
            if (found := fault(text))
        ]

    def names_of_target(self) -> set[str]:
        """Returns the names of all variables that only a target of a fleet has."""
        return {name for _, text in _texts(self.data) for name in of_target(text)}

    def messages_for(self, names: Collection[str]) -> dict[str, str]:
        """Returns the first message (`${NAME:?message}`) for each of these variables; none for those without one."""
        found: dict[str, str] = {}
        for _, text in _texts(self.data) if names else ():
            found = {**demands(text), **found}
        return {name: found[name] for name in names if name in found}


@dataclass(frozen=True)
class _Expander:
    document: Document
    variables: Mapping[str, str]
    problems: list[Problem]

    def value(self, raw: Any, place: Place) -> Any:
        """Expands a value; recursion is safe, since the reader limits the depth."""
        if isinstance(raw, str):
            return self.text(raw, place)
        if isinstance(raw, list):
            return [self.value(item, (*place, number)) for number, item in enumerate(raw)]
        if isinstance(raw, dict):
            pairs = ((key, item, self.value(item, (*place, key))) for key, item in raw.items())
            return {key: value for key, item, value in pairs if not (value == "" != item)}
        return raw

    def text(self, raw: str, place: Place) -> str:
        if "${" not in raw:
            return raw
        try:
            return expand(raw, self.variables).text
        except (UnsetVariable, MalformedExpression) as error:
            self.problems.append(Problem(str(error), self.document.source(place), error.hint))
        return raw


def children(value: object) -> Collection[Any]:
    """Returns the values of a mapping or the items of a list; nothing for a scalar."""
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()


def _texts(value: Any, skip: str | None = None) -> Iterator[tuple[Place, str]]:
    """Yields all texts with a `${` in their order, with their places; none below the skipped key."""
    rest: list[tuple[Place, Any]] = [((), value)]
    while rest:
        place, value = rest.pop()
        if isinstance(value, dict):
            rest.extend(((*place, key), item) for key, item in reversed(value.items()) if key != skip)
        elif isinstance(value, list):
            rest.extend(((*place, number), value[number]) for number in reversed(range(len(value))))
        elif isinstance(value, str) and "${" in value:
            yield place, value
