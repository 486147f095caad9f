"""`$literal`: data that looks like a variable or a value function, taken literally."""

from __future__ import annotations

from typing import Any

from bootstrapper.plugin.context import Context
from bootstrapper.plugin.value import Value


class Literal(Value):
    """`$literal: anything`; variables and value functions in it are not evaluated."""

    key = "$literal"
    pure = True
    constant = True
    verbatim = True

    def resolve(self, context: Context, argument: Any) -> object:
        return argument
