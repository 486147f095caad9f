"""Lays one document over another, as an environment's file does with the main one.

Sections, steps (by name), `with`, fixtures and labelled rows merge. Lists, checks, `when` and column values are
replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field, replace
from typing import Any

from bootstrapper.config.document.builder import show_key
from bootstrapper.config.document.tree import NO_MARKS, Document, Marks, in_file
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import Problem, Source
from bootstrapper.text import nearest

_MAIN_ONLY = {"version", "environments"}
_PLACING = ("before", "after")
_DIRECTIVES = (*_PLACING, "remove")


@dataclass(frozen=True)
class _Node:
    """A value with its place: what a merge takes apart and puts together again."""

    value: Any
    key_position: int
    position: int
    marks: Marks

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    def entries(self) -> dict[str, _Node]:
        """Returns the entries of a mapping; none for anything else."""
        if not isinstance(self.value, dict):
            return {}
        return {key: self._entry(number, value) for number, (key, value) in enumerate(self.value.items())}

    def items(self) -> list[_Node]:
        """Returns the items of a list; none for anything else."""
        if not isinstance(self.value, list):
            return []
        return [self._entry(number, value) for number, value in enumerate(self.value)]

    def _entry(self, number: int, value: Any) -> _Node:
        marks = self.marks
        position = marks.values[number]
        key_position = marks.keys[number] if marks.keys else position
        return _Node(value, key_position, position, marks.children.get(number, NO_MARKS))

    def with_entries(self, entries: dict[str, _Node]) -> _Node:
        marks = _marks(entries.values())
        marks.keys = [entry.key_position for entry in entries.values()]
        data = {key: entry.value for key, entry in entries.items()}
        return _Node(data, self.key_position, self.position, marks)

    def with_items(self, items: list[_Node]) -> _Node:
        return _Node([item.value for item in items], self.key_position, self.position, _marks(items))


def _marks(nodes: Iterable[_Node]) -> Marks:
    marks = Marks()
    for number, node in enumerate(nodes):
        marks.values.append(node.position)
        if node.marks.values:
            marks.children[number] = node.marks
    return marks


def lay_over(base: Document, overlay: Document) -> tuple[Document, list[Problem]]:
    """Returns the base with the overlay laid over it, and the problems of entries that do not exist.

    Every value keeps the place of the file that it comes from.
    """
    files = (*base.files, *overlay.files)
    shift = _Shift(len(base.files))
    merging = _Merging(files)
    position = shift.position(overlay.position)
    root = merging.root(
        _Node(base.data, base.position, base.position, base.marks),
        _Node(overlay.data, position, position, shift.marks(overlay.marks)),
    )
    return Document(root.value, files, root.position, root.marks), merging.problems


class _Shift:
    """Moves positions on by a number of files, so that those of two documents can stand side by side."""

    def __init__(self, files: int) -> None:
        self.files = files
        self._done: dict[int, Marks] = {}  # aliases share marks: without this, a bomb would go off here

    def position(self, position: int) -> int:
        return in_file(position, self.files)

    def marks(self, marks: Marks) -> Marks:
        done = self._done.get(id(marks))
        if done is None:
            done = self._done[id(marks)] = Marks(
                [self.position(position) for position in marks.keys],
                [self.position(position) for position in marks.values],
                {number: self.marks(child) for number, child in marks.children.items()},
            )
        return done


@dataclass
class _Merging:
    files: tuple[str, ...]
    problems: list[Problem] = field(default_factory=list)

    def root(self, base: _Node, overlay: _Node) -> _Node:
        rules: dict[str, Callable[[_Node, _Node], _Node]] = {
            "steps": self.steps,
            "fixtures": self.fixtures,
            "database": self.mapping,
            "ledger": self.mapping,
            "limits": self.mapping,
        }
        entries = overlay.entries()
        for key in _MAIN_ONLY & entries.keys():
            entry = entries.pop(key)
            self.complain(replace(entry, position=entry.key_position), f"{key} is allowed only in the main file")
        return self.mapping(base, overlay.with_entries(entries), rules)

    def mapping(
        self, base: _Node, overlay: _Node, rules: dict[str, Callable[[_Node, _Node], _Node]] | None = None
    ) -> _Node:
        """Replaces entries of the base by those of the overlay, except entries with a rule of their own."""
        if not (base.is_mapping and overlay.is_mapping):
            return overlay
        entries = base.entries()
        for key, entry in overlay.entries().items():
            rule = (rules or {}).get(key)
            entries[key] = rule(entries[key], entry) if rule and key in entries else entry
        return base.with_entries(entries)

    def fixtures(self, base: _Node, overlay: _Node) -> _Node:
        return self.labelled(base, overlay, self.fixture, "fixture")

    def fixture(self, base: _Node, overlay: _Node) -> _Node:
        return self.mapping(base, overlay, {"rows": self.rows, "defaults": self.mapping})

    def rows(self, base: _Node, overlay: _Node) -> _Node:
        return self.labelled(base, overlay, self.mapping, "row")

    def labelled(self, base: _Node, overlay: _Node, rule: Callable[[_Node, _Node], _Node], kind: str) -> _Node:
        """Merges entries by their names; one without a value removes the base's."""
        if not (base.is_mapping and overlay.is_mapping):
            return overlay
        entries = base.entries()
        for key, entry in overlay.entries().items():
            if entry.value is not None:
                entries[key] = rule(entries[key], entry) if key in entries else entry
            elif key in entries:
                del entries[key]
            else:
                at_key = replace(entry, position=entry.key_position)
                self.complain(at_key, f"cannot remove {kind} {show_key(key)}: it does not exist", key, entries)
        return base.with_entries(entries)

    def steps(self, base: _Node, overlay: _Node) -> _Node:
        if not (isinstance(base.value, list) and isinstance(overlay.value, list)):
            return overlay
        steps = _Steps(self, base.items())
        for item in overlay.items():
            steps.lay(item)
        return base.with_items(steps.finished())

    def step(self, base: _Node, overlay: _Node) -> _Node:
        """Merges a step; options of another `uses` replace those of the base."""
        same = overlay.value.get("uses", base.value.get("uses")) == base.value.get("uses")
        return self.mapping(base, overlay, {"with": self.mapping} if same else {})

    def complain(self, node: _Node, message: str, name: object = None, known: Iterable[str] = ()) -> None:
        near = nearest(name, known) if isinstance(name, str) else None
        suggestion = f"; did you mean {show_key(near)}?" if near else ""
        self.problems.append(Problem(f"{message}{suggestion}", self.source(node)))

    def source(self, node: _Node) -> Source:
        return Document(None, self.files, node.position).source(())


class _Steps:
    """The list of steps while an overlay is laid over it."""

    def __init__(self, merging: _Merging, steps: list[_Node]) -> None:
        self._merging = merging
        self._steps = steps
        self._seen: dict[str, _Node] = {}
        self._removed: set[str] = set()

    def lay(self, item: _Node) -> None:
        """Merges, adds or marks for removal what one entry of the overlay names."""
        name = _name(item)
        if name is None:
            self._merging.complain(item, "an entry of steps must be a mapping with uses or name")
        elif name in self._seen:
            first = self._merging.source(self._seen[name])
            self._merging.complain(item, f"duplicate step {show_key(name)}; first at {first}")
        else:
            self._seen[name] = item
            self._lay(name, item)

    def finished(self) -> list[_Node]:
        """Returns the steps, without the removed ones, which leave last: others may be placed beside them."""
        return [step for step in self._steps if _name(step) not in self._removed]

    def _lay(self, name: str, item: _Node) -> None:
        entries = item.entries()
        directives = {key: entries.pop(key) for key in _DIRECTIVES if key in entries}
        rest = item.with_entries(entries)
        index = self._index(name)
        if self._removes(directives):
            self._remove(name, item, index)
        elif index is not None:
            for key in _PLACING:
                if key in directives:
                    self._merging.complain(directives[key], f"{key} places a new step, but {show_key(name)} exists")
            self._steps[index] = self._merging.step(self._steps[index], rest)
        elif "uses" in entries:
            self._steps.insert(self._position(directives), rest)
        else:
            self._merging.complain(
                item, f"step {show_key(name)} does not exist; a new one needs uses", name, self._names()
            )

    def _removes(self, directives: dict[str, _Node]) -> bool:
        remove = directives.get("remove")
        if remove is not None and not isinstance(remove.value, bool):
            self._merging.complain(remove, "remove must be true")
        return remove is not None and remove.value is True

    def _remove(self, name: str, item: _Node, index: int | None) -> None:
        if index is None:
            self._merging.complain(item, f"cannot remove step {show_key(name)}: it does not exist", name, self._names())
        self._removed.add(name)

    def _position(self, directives: dict[str, _Node]) -> int:
        """Returns where a new step goes: beside the one it names, or to the end."""
        named = [(key, directives[key]) for key in _PLACING if key in directives]
        if not named:
            return len(self._steps)
        key, node = named[0]
        if len(named) == 2:
            self._merging.complain(named[1][1], "before and after cannot be combined")
        index = self._index(node.value)
        if index is None:
            step = f"step {show_key(node.value)}" if isinstance(node.value, str) else "the step"
            self._merging.complain(node, f"{key}: {step} does not exist", node.value, self._names())
            return len(self._steps)
        return index + (key == "after")

    def _index(self, name: object) -> int | None:
        names = (_name(step) for step in self._steps)
        return next((number for number, other in enumerate(names) if other is not None and other == name), None)

    def _names(self) -> list[str]:
        return [name for step in self._steps if (name := _name(step)) is not None]


def _name(step: _Node) -> str | None:
    """Returns the name of a step, which is `uses` where it has none; None if the entry has neither."""
    value = step.value
    name = (value.get("name") or value.get("uses")) if isinstance(value, dict) else None
    return name if isinstance(name, str) else None
