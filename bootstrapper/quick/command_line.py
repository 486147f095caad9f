"""The command lines that the quick look answers; every other one is left to click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

_COMMANDS = ("apply", "setup")
_FLAGS = ("-q", "--quiet", "--no-color", "--follow")
_VALUES = {"-f": "file", "--file": "file", "-e": "environment", "--environment": "environment"}


class Asked(NamedTuple):
    """What the command line asks for."""

    file: str
    environment: str | None
    follows: bool
    quiet: bool


def read(arguments: Sequence[str], variables: Mapping[str, str]) -> Asked | None:
    """Returns what is asked for; None if click has to read it."""
    if not arguments or arguments[0] not in _COMMANDS:
        return None
    values = {"file": variables.get("BOOTSTRAPPER_FILE"), "environment": variables.get("BOOTSTRAPPER_ENVIRONMENT")}
    flags = set()
    rest = iter(arguments[1:])
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in _FLAGS:
            flags.add(argument)
        elif name in _VALUES and ((equals == "=" and name.startswith("--")) or argument == name):
            values[_VALUES[name]] = value if equals else next(rest, "")
        else:
            return None
    if "" in values.values():
        return None
    file = values["file"] or "bootstrap.yaml"
    return Asked(file, values["environment"], "--follow" in flags, not flags.isdisjoint(("-q", "--quiet")))
