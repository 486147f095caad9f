"""The command lines that the quick look answers; every other one is left to click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

RUN = "apply"
"""What the commands that run are called in a record; `plan` and `status` ask more."""

_PRINTING = ("-q", "--quiet", "--no-color")
_APPLYING = (*_PRINTING, "--follow", "--record")
_READING = (*_PRINTING, "--exit-code")
_FLAGS = {
    "apply": _APPLYING,
    "setup": _APPLYING,
    "run": (*_PRINTING, "--follow"),
    "plan": _READING,
    "status": _READING,
}
DEFAULT_FILE = "bootstrap.yaml"
_VALUES = {"-f": "file", "--file": "file", "-e": "environment", "--environment": "environment"}


class Asked(NamedTuple):
    """What the command line asks for.

    Attributes:
        command: As the record of a run names it: `apply`, `plan` or `status`.
        program: What the process becomes afterwards, with its arguments; empty for nothing.
    """

    command: str
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
    command = arguments[0] if arguments else ""
    if command not in _FLAGS or bool(program) != (command == "run"):
        return None
    values = {"file": variables.get("BOOTSTRAPPER_FILE"), "environment": variables.get("BOOTSTRAPPER_ENVIRONMENT")}
    flags = set()
    rest = iter(arguments[1:end])
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in _FLAGS[command]:
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
    prints_plan = _FLAGS[command] is _READING and not (is_quiet and "--exit-code" in flags)
    if prints_plan or flags.issuperset(("--follow", "--record")):
        return None
    command = command if _FLAGS[command] is _READING else RUN
    return Asked(command, file, values["environment"], "--follow" in flags, is_quiet, "--no-color" in flags, program)
