"""The base model of `with:` blocks, and of arguments of checks that have keys."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError


class Empty(str):
    """An empty text that came from variables: an optional key with it counts as left out."""

    __slots__ = ()


class StepModel(BaseModel):
    """Base of every options model: unknown keys are errors, instances do not change.

    A key that may be left out counts as left out where nothing stands after it, unless it takes null itself. A model is
    built when it is first used: that takes longer than loading its module.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _leaves_out_what_is_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        optional = {key: field for name, field in cls.model_fields.items() for key in (name, field.alias or name)}
        optional = {key: field for key, field in optional.items() if not field.is_required()}
        return {
            key: value
            for key, value in data.items()
            if not (key in optional and _is_empty(value, optional[key].annotation))
        }

    @field_validator("*", mode="before")
    @classmethod
    def _takes_no_number_for_an_answer(cls, value: object, info: ValidationInfo) -> object:
        """Rejects bools for numbers and vice versa, which pydantic converts: `keep: true` would keep one backup."""
        kinds = set(_kinds(cls.model_fields[info.field_name].annotation)) if info.field_name else set()
        if isinstance(value, bool) and int in kinds and bool not in kinds:
            raise PydanticKnownError("int_type")
        if type(value) is int and bool in kinds and int not in kinds:
            raise PydanticKnownError("bool_type")
        return value


def type_argument(kind: type, root: type, inherited: Any) -> Any:
    """Returns the type in brackets after the base of a class, as in `class Grant(Step[GrantOptions])`.

    Args:
        root: The class of the contract, or one above it.
        inherited: What to return where no type is in brackets.
    """
    for base in vars(kind).get("__orig_bases__", ()):
        origin, arguments = get_origin(base), get_args(base)
        if isinstance(origin, type) and issubclass(origin, root) and not isinstance(arguments[0], TypeVar):
            return arguments[0]
    return inherited


def _is_empty(value: object, annotation: Any) -> bool:
    return isinstance(value, Empty) or (value is None and NoneType not in set(_kinds(annotation)))


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yields the types of a field, without Annotated and unions around them."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    elif get_origin(annotation) not in (Union, UnionType):
        yield annotation
        return
    for each in inner:
        yield from _kinds(each)
