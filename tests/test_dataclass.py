"""The decorator makes classes that behave as those of the standard library."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bootstrapper
from bootstrapper.dataclass import dataclass

PACKAGE = Path(bootstrapper.__file__).parent
ELSEWHERE = PACKAGE / "migrations" / "worker" / "program"
"""The worker's program, which does not find bootstrapper."""


@dataclass(frozen=True)
class Place:
    """A place."""

    kind: ClassVar[str] = "place"
    file: str
    line: int = 1
    notes: list[str] = field(default_factory=list, hash=False)
    origin: object = field(default=None, repr=False, compare=False)

    @property
    def shown(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Range(Place):
    """A place with an end."""

    end: int


@dataclass(frozen=True, eq=False)
class Payload:
    """Equal to itself alone."""

    data: object


def test_values_are_taken_in_order_and_by_name() -> None:
    assert Place("a", 2) == Place(line=2, file="a")
    assert Range("a", 2, end=3).end == 3
    assert Place("a").shown == "a:1"


def test_defaults_are_made_for_each_object() -> None:
    assert Place("a").notes == []
    assert Place("a").notes is not Place("a").notes


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Place(), "misses fields ['file']"),  # type: ignore[call-arg]
        (lambda: Place("a", row=1), "unexpected fields ['row']"),  # type: ignore[call-arg]
        (lambda: Place("a", file="b"), "a field twice"),  # type: ignore[misc]
        (lambda: Place("a", 1, [], None, 5), "more than 4 values"),  # type: ignore[call-arg]
        (lambda: Range("a", 1, [], None, 5), "more than 4 values"),  # type: ignore[misc]
    ],
)
def test_other_arguments_are_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert said in str(caught.value)


def test_no_field_can_be_set_or_deleted() -> None:
    place: Any = Place("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        place.line = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del place.line
    assert place == Place("a")


def test_only_objects_of_the_same_class_with_the_same_values_are_equal() -> None:
    assert Place("a", origin=1) == Place("a", origin=2)
    assert Place("a") != Place("b")
    assert Place("a") != Range("a", end=1)
    assert Payload(1) != Payload(1)


def test_equal_objects_have_equal_hashes() -> None:
    assert len({Place("a", notes=["x"]), Place("a", notes=["x"]), Place("b")}) == 2


def test_the_repr_names_what_it_shows() -> None:
    assert repr(Range("a", origin=1, end=3)) == "Range(file='a', line=1, notes=[], end=3)"


def test_the_functions_of_the_standard_library_know_the_classes() -> None:
    place = Place("a", 2)
    assert replace(place, line=3) == Place("a", 3)
    assert dataclasses.asdict(place) == {"file": "a", "line": 2, "notes": [], "origin": None}
    assert [each.name for each in dataclasses.fields(Range)] == ["file", "line", "notes", "origin", "end"]
    assert copy.deepcopy(place) == pickle.loads(pickle.dumps(place)) == place
    match place:
        case Place(file, line):
            assert (file, line) == ("a", 2)


def test_a_class_may_check_its_values() -> None:
    @dataclass(frozen=True)
    class Share:
        percent: int

        def __post_init__(self) -> None:
            if self.percent > 100:
                raise ValueError("more than all")

    assert Share(100) == Share(100)
    with pytest.raises(ValueError, match="more than all"):
        Share(101)


def test_what_is_not_frozen_or_has_slots_is_made_by_the_standard_library() -> None:
    @dataclass
    class Counter:
        count: int = 0

    @dataclass(frozen=True, slots=True)
    class Row:
        line: int

    counter = Counter()
    counter.count += 1
    assert counter == Counter(1)
    assert not hasattr(Row(1), "__dict__")


def test_every_frozen_class_of_the_package_is_made_without_compiling() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if ELSEWHERE not in file.parents]
    assert [str(file) for file in files if is_compiled(file.read_text(encoding="utf-8"))] == []


def is_compiled(source: str) -> bool:
    tree = ast.parse(source)
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"]
    decorators = [each for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in node.decorator_list]
    is_standard = any(alias.name == "dataclass" for node in imported for alias in node.names)
    return is_standard and any(is_frozen_without_slots(each) for each in decorators)


def is_frozen_without_slots(decorator: ast.expr) -> bool:
    text = ast.unparse(decorator)
    return text.startswith("dataclass(frozen=True") and "slots" not in text
