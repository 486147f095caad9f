"""`$literal`: data that looks like something else, taken as it stands."""

from __future__ import annotations

from typing import Any

from bootstrapper.step import Context, Value


class Literal(Value):
    """`$literal: anything`: no variable and no value function in it is looked at."""

    key = "$literal"
    verbatim = True

    def resolve(self, context: Context, argument: Any) -> object:
        return argument
