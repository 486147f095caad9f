"""A `dataclass` that makes frozen classes without compiling code for each of them.

The standard library writes and compiles six methods for a frozen class, which takes half a millisecond. A run with
nothing to do loads 170 such classes: that was a quarter of its time. Here the methods are functions that know the names
of the fields. Objects behave alike, but take twice as long to make: classes with many objects, which have `slots`, are
left to the standard library, as are those that are not frozen.

A frozen class of the standard library cannot inherit from one that is made here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(made=None, /, *, frozen=False, slots=False, order=False, **options):
        """Takes the options of the standard decorator."""
        if frozen and not slots and not order:
            return lambda made: _frozen(made, **options)
        return dataclasses.dataclass(made, frozen=frozen, slots=slots, order=order, **options)


Method = Callable[..., Any]


def _frozen(made: type, *, repr: bool = True, eq: bool = True, kw_only: bool = False) -> type:  # noqa: A002 - its name
    dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(made)  # compiles nothing, finds the fields
    fields = dataclasses.fields(made)
    methods = {
        "__init__": _init(fields, getattr(made, "__post_init__", None)),
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }
    if repr:
        methods["__repr__"] = _repr([field.name for field in fields if field.repr])
    if eq:
        methods["__eq__"] = _eq(field.name for field in fields if field.compare)
        hashed = (field.name for field in fields if (field.compare if field.hash is None else field.hash))
        methods["__hash__"] = _hash(hashed)
    for name, method in methods.items():
        if name not in made.__dict__:
            setattr(made, name, method)
    return made


def _init(fields: Sequence[dataclasses.Field[Any]], finish: Method | None) -> Method:
    missing = dataclasses.MISSING
    every = {field.name: field for field in fields}
    in_order = [field.name for field in fields if not field.kw_only]
    defaults = {field.name: field.default for field in fields if field.default is not missing}
    factories = {field.name: field.default_factory for field in fields if field.default_factory is not missing}

    def __init__(self: Any, *values: Any, **given: Any) -> None:  # noqa: N807 - a method of the class
        count = len(values) + len(given)
        given.update(zip(in_order, values))  # noqa: B905 - what is too much is refused below
        if len(given) < count:
            raise TypeError(f"{type(self).__name__}() got a field twice, or more than {len(in_order)} values")
        if count < len(every):
            given = {**defaults, **{name: make() for name, make in factories.items() if name not in given}, **given}
        if given.keys() != every.keys():
            raise TypeError(_mismatch(type(self).__name__, given, every))
        for name in every:
            object.__setattr__(self, name, given[name])
        if finish is not None:
            finish(self)

    return __init__


def _mismatch(called: str, given: Iterable[str], fields: Iterable[str]) -> str:
    missing, unexpected = sorted(set(fields) - set(given)), sorted(set(given) - set(fields))
    return f"{called}() got unexpected fields {unexpected}" if unexpected else f"{called}() misses fields {missing}"


def _repr(names: Sequence[str]) -> Method:
    @recursive_repr("...")
    def __repr__(self: Any) -> str:  # noqa: N807 - a method of the class
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _eq(names: Iterable[str]) -> Method:
    values = _values(names)

    def __eq__(self: Any, other: object) -> bool:  # noqa: N807 - a method of the class
        return bool(values(self) == values(other)) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(names: Iterable[str]) -> Method:
    values = _values(names)

    def __hash__(self: Any) -> int:  # noqa: N807 - a method of the class
        return hash(values(self))

    return __hash__


def _values(names: Iterable[str]) -> Callable[[object], object]:
    """Returns a function for the values of these fields, to be compared or hashed."""
    found = tuple(names)
    return attrgetter(*found) if found else lambda _: ()


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
