"""The command lines that the quick look answers; every other one is left to click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

_COMMANDS = ("apply", "setup", "run")
DEFAULT_FILE = "bootstrap.yaml"
_FLAGS = ("-q", "--quiet", "--no-color", "--follow")
_VALUES = {"-f": "file", "--file": "file", "-e": "environment", "--environment": "environment"}


class Asked(NamedTuple):
    """What the command line asks for.

    Attributes:
        program: What the process becomes afterwards, with its arguments; empty for nothing.
    """

    file: str
    environment: str | None
    follows: bool
    quiet: bool
    no_color: bool
    program: tuple[str, ...] = ()


def read(arguments: Sequence[str], variables: Mapping[str, str]) -> Asked | None:
    """Returns what is asked for; None if click has to read it."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    program = tuple(arguments[end + 1 :])
    if not arguments or arguments[0] not in _COMMANDS or bool(program) != (arguments[0] == "run"):
        return None
    values = {"file": variables.get("BOOTSTRAPPER_FILE"), "environment": variables.get("BOOTSTRAPPER_ENVIRONMENT")}
    flags = set()
    rest = iter(arguments[1:end])
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
    file = values["file"] or DEFAULT_FILE
    if not {"", "."}.isdisjoint(file.removeprefix("/").split("/")):  # an ordinary run shows it in another form
        return None
    is_quiet = not flags.isdisjoint(("-q", "--quiet"))
    return Asked(file, values["environment"], "--follow" in flags, is_quiet, "--no-color" in flags, program)
