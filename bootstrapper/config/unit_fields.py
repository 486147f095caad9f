"""Fields of models that hold times and sizes; apart from `units`, which help and messages need without pydantic."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from bootstrapper.config.units import OLDEST_DAYS, parse_duration, parse_limit, parse_size

Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)$", "examples": ["5s"]}),
]
"""A time in the file, a number of seconds in the program."""

Age = Annotated[
    float,
    BeforeValidator(partial(parse_duration, longest_days=OLDEST_DAYS)),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)$", "examples": ["30d"]}),
]
"""How old something may be, as `Seconds`."""

Limit = Annotated[
    int | Fraction,
    BeforeValidator(parse_limit),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3})?\s*%$", "examples": ["10%"]},
            ]
        }
    ),
]
"""A number of changes, or a share of what is declared."""

Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,15}\s*(B|kB|MB|GB)$", "examples": ["10MB"]}),
]
"""A size in the file, a number of bytes in the program."""
