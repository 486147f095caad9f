"""Builds plain data with positions out of YAML events, without recursion and within limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from bootstrapper.config.document.frame import NO_CHILDREN, Frame
from bootstrapper.config.document.scalars import plain, tagged
from bootstrapper.config.document.tree import NO_MARKS, Document, Marks, pack, unpack
from bootstrapper.errors import InvalidFileError, Problem, Source

MAX_DEPTH = 64
MAX_NODES = 400_000
"""Keys and values in one file, counted as often as aliases repeat them; long texts count more than once."""
MAX_DATA_NODES = 5_000_000
"""The same in a file of rows, where a mapping or list counts CONTAINER_NODES; aliases may repeat MAX_NODES of them."""
CONTAINER_NODES = 8  # about the memory that one takes beside its entries

_TEXT_SHIFT = 8  # one more node for every 256 characters, so that aliases cannot repeat a huge text either

_MAX_PROBLEMS = 50
_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset({"str", "int", "float", "bool", "null"})
_SHOWN_KEY = re.compile(r"[\w.$<-]+(?: [\w.$-]+){0,5}")

_SKIPPED = "a key whose value is read and dropped"  # compared by identity
_MERGED = "a merge key"  # likewise


def show_key(key: str) -> str:
    """Returns a key for a message; anything that does not look like a name could be a secret that slipped into one."""
    return f'"{key}"' if len(key) <= 64 and _SHOWN_KEY.fullmatch(key) else "at this place"


class Builder:
    """Takes events one by one; `document` gives the result."""

    def __init__(self, name: str, *, is_data: bool) -> None:
        self.name = name
        self._is_data = is_data
        self.problems: list[Problem] = []
        self._root = Frame([], 0, None, 0)
        self._frame = self._root
        self._stack: list[Frame] = []
        self._nodes = 0
        self._most_nodes = MAX_DATA_NODES if is_data else MAX_NODES
        self._container_nodes = CONTAINER_NODES if is_data else 1
        self._repeated = 0
        self._anchors: dict[str, tuple[Any, Marks | None, int] | None] = {}  # None: still open
        self._texts: dict[str, str] = {}  # column names come thousands of times: one object each
        self.handlers: dict[type[Event], Callable[[Any], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._open_mapping,
            SequenceStartEvent: self._open_list,
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
            DocumentStartEvent: self._start,
        }

    def document(self, *, any_root: bool) -> Document:
        """Returns the finished document; raises InvalidFileError with all the problems that were met."""
        data = self._root.data
        if not self.problems and (not data or data[0] is None):
            self._complain("the file is empty", 0, "Write at least version, database and steps.")
        elif not self.problems and not any_root and not isinstance(data[0], dict):
            found = "a list" if isinstance(data[0], list) else "a single value"
            self._complain(f"expected a mapping of keys to values, found {found}", self._position)
        if self.problems:
            raise InvalidFileError(self.problems)
        return Document(data[0], (self.name,), self._position, self._root.marks.children.get(0, NO_MARKS))

    @property
    def _position(self) -> int:
        return self._root.marks.values[0]

    def _start(self, event: DocumentStartEvent) -> None:
        if self._root.data:
            self._complain("a second document starts here", _at(event), "Keep one document in a file.")
            raise InvalidFileError(self.problems)

    def _scalar(self, event: ScalarEvent) -> None:
        at = _at(event)
        frame = self._frame
        if frame.key is None and type(frame.data) is dict:
            self._key(event, at)
            return
        size = 1 + (len(event.value) >> _TEXT_SHIFT)
        self._count(size, at)
        value: Any = event.value
        if event.tag is not None:
            value = self._tagged(event, at)
        elif not event.style:
            value = plain(value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, None, size)
        self._attach(value, at, None)

    def _key(self, event: ScalarEvent, at: int) -> None:
        frame = self._frame
        self._count(1, at)
        frame.key_at = at
        key = self._texts.setdefault(event.value, event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (key, None, 1)
        if event.tag is not None:
            self._tagged(event, at)
        if not key and not (self._is_data and event.style):  # JSON in a column may have such keys
            self._complain("empty key", at, "Write a name before the colon.")
            key = _SKIPPED
        elif key == "<<" and not event.style:
            key = _SKIPPED if frame.merged else _MERGED
            if frame.merged:
                self._complain("a second << in the same mapping", at, "Merge a list: <<: [*first, *second].")
        elif key in frame.data:
            first = frame.marks.keys[list(frame.data).index(key)]
            self._complain(f"duplicate key {show_key(key)}; first at {self._source(first)}", at)
            key = _SKIPPED
        frame.key = key

    def _tagged(self, event: ScalarEvent, at: int) -> Any:
        tag = event.tag or "!"
        if tag == "!":
            return event.value
        kind = tag.removeprefix(_CORE)
        if kind == tag or kind not in _SCALAR_TAGS:
            self._refuse_tag(at)
            return event.value
        try:
            return tagged(kind, event.value)
        except ValueError as error:
            self._complain(f"{error}, as its tag says", at)
            return event.value

    def _refuse_tag(self, at: int) -> None:
        """Never names the tag: a password that begins with ! looks like one."""
        hint = "Put text that begins with ! in quotes; the tags are !!str !!int !!float !!bool !!null !!map !!seq."
        self._complain("unknown tag", at, hint)

    def _open_mapping(self, event: MappingStartEvent) -> None:
        self._open(event, {}, "map")

    def _open_list(self, event: SequenceStartEvent) -> None:
        self._open(event, [], "seq")

    def _open(self, event: MappingStartEvent | SequenceStartEvent, data: Any, kind: str) -> None:
        at = _at(event)
        if event.tag not in (None, "!", _CORE + kind):
            self._refuse_tag(at)
        if len(self._stack) >= MAX_DEPTH:
            self._complain(f"nested more than {MAX_DEPTH} levels deep", at)
            raise InvalidFileError(self.problems)
        if self._wants_key:
            self._complain("a key must be plain text, not a list or a mapping", at, "Put {, [ or ${ in quotes.")
            raise InvalidFileError(self.problems)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(self._frame)
        self._frame = Frame(data, at, event.anchor, self._nodes)
        self._count(self._container_nodes, at)

    def _close(self, event: Event) -> None:
        frame, self._frame = self._frame, self._stack.pop()
        if frame.merged:
            self._merge(frame)
        marks = frame.marks if frame.marks.values else None
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.data, marks, self._nodes - frame.begun)
        self._attach(frame.data, frame.position, marks)

    def _alias(self, event: AliasEvent) -> None:
        at = _at(event)
        if self._wants_key:
            self._complain("an alias cannot be a key", at, "Put text that begins with * in quotes.")
            self._frame.key = _SKIPPED
            return
        if event.anchor not in self._anchors:
            self._complain("an alias without an anchor above it", at, "Put text that begins with * in quotes.")
            self._attach(None, at, None)
            return
        anchored = self._anchors[event.anchor]
        if anchored is None:
            self._complain("an alias inside its own anchor", at)
            self._attach(None, at, None)
            return
        value, marks, size = anchored
        self._count(size, at)
        self._repeated += size
        if self._repeated > MAX_NODES:
            self._refuse_size(MAX_NODES, at)
        self._attach(value, at, marks)

    @property
    def _wants_key(self) -> bool:
        return self._frame.key is None and type(self._frame.data) is dict

    def _attach(self, value: Any, at: int, marks: Marks | None) -> None:
        frame = self._frame
        if type(frame.data) is list:
            frame.data.append(value)
        else:
            key, frame.key = frame.key, None
            if key is _SKIPPED:
                return
            if key is _MERGED:
                self._remember(value, at, marks)
                return
            frame.data[key] = value
            frame.marks.keys.append(frame.key_at)
        if marks is not None:
            if frame.marks.children is NO_CHILDREN:
                frame.marks.children = {}
            frame.marks.children[len(frame.marks.values)] = marks
        frame.marks.values.append(at)

    def _remember(self, value: Any, at: int, marks: Marks | None) -> None:
        """Keeps what a `<<` brings in until its mapping is complete."""
        if isinstance(value, dict):
            self._frame.merged.append((value, marks or NO_MARKS))
        elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
            children = (marks or NO_MARKS).children
            self._frame.merged.extend((item, children.get(n, NO_MARKS)) for n, item in enumerate(value))
        else:
            self._complain("<< takes a mapping or a list of mappings", at)

    def _merge(self, frame: Frame) -> None:
        """Adds the keys that the mapping does not have itself; of several mappings, the first one wins.

        What is merged was counted when its alias was read, so this work is within the limit too.
        """
        data, marks = frame.data, frame.marks
        marks.children = {**marks.children}
        for other, others in frame.merged:
            for number, (key, value) in enumerate(other.items()):
                if key in data:
                    continue
                data[key] = value
                if number in others.children:
                    marks.children[len(marks.values)] = others.children[number]
                marks.keys.append(others.keys[number])
                marks.values.append(others.values[number])

    def _count(self, nodes: int, at: int) -> None:
        self._nodes += nodes
        if self._nodes > self._most_nodes:
            self._refuse_size(self._most_nodes, at)

    def _refuse_size(self, most: int, at: int) -> NoReturn:
        hint = "Move rows to a CSV file and name it with file:."
        self._complain(f"more than {most:,} keys and values, with aliases expanded", at, hint)
        raise InvalidFileError(self.problems)

    def _complain(self, message: str, at: int, hint: str | None = None) -> None:
        self.problems.append(Problem(message, self._source(at), hint))
        if len(self.problems) >= _MAX_PROBLEMS:
            raise InvalidFileError(self.problems)

    def _source(self, at: int) -> Source:
        line, column = unpack(at)
        return Source(self.name, line + 1, column + 1)


def _at(event: Event) -> int:
    mark: Any = event.start_mark
    return pack(mark.line, mark.column)


def build(content: bytes, name: str, *, any_root: bool) -> Document:
    """Reads UTF-8 without a byte order mark; raises yaml.YAMLError if it is not valid YAML."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(content)
    builder = Builder(name, is_data=any_root)
    handlers, next_event = builder.handlers, loader.get_event
    try:
        while True:
            event = next_event()
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
            elif type(event) is StreamEndEvent:
                return builder.document(any_root=any_root)
    finally:
        loader.dispose()
