"""`$uuid`: the same UUID for the same text, on every machine and in every run."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from bootstrapper.plugin.context import Context
from bootstrapper.plugin.value import UNKNOWN, Value

NAMESPACE = UUID("6f2d1c0a-7b5e-4c1d-9e3f-2a8b4d6c0e91")  # must never change: databases hold ids made from it


class Uuid(Value):
    """`$uuid: text` is the UUIDv5 of the text in bootstrapper's own namespace."""

    key = "$uuid"
    pure = True
    constant = True

    def check(self, argument: Any) -> None:
        if argument is not UNKNOWN and (not isinstance(argument, str) or not argument):
            raise ValueError("$uuid takes a text that is not empty")

    def resolve(self, context: Context, argument: Any) -> object:
        self.check(argument)
        return str(uuid5(NAMESPACE, argument))
