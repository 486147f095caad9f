"""The answer to a command line: what an ordinary run with nothing to do prints, or that there is to be one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from bootstrapper import __version__
from bootstrapper.quick import command_line, crowd
from bootstrapper.quick.command_line import DEFAULT_FILE, Asked

if TYPE_CHECKING:  # loaded in turn
    from bootstrapper.quick.declared import Declared
    from bootstrapper.quick.look import Found

OFF_VARIABLE = "BOOTSTRAPPER_QUICK"
"""Set to `off`, it leaves everything to the ordinary run."""

_LONGEST_SHOWN_AS_MS = 0.9995
_DIMMED = "\x1b[2m=\x1b[0m"


class Answer(NamedTuple):
    """There is nothing to do.

    Attributes:
        lines: What an ordinary run prints to stderr.
        program: The path of the program that the process becomes, and its arguments, its name first; None for none.
    """

    lines: Sequence[str]
    program: tuple[str, Sequence[str]] | None = None


def answer(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    stderr: TextIO,
    on_first: Callable[[Declared], None] = lambda declared: None,
) -> Answer | None:
    """Returns the answer; None if there is to be an ordinary run.

    Whatever is wrong is a matter of the ordinary run, which says it.

    Args:
        on_first: Called before an ordinary run that is to apply a file to a database without a ledger.
    """
    try:
        asked = command_line.read(arguments, variables)
        if asked is None or variables.get(OFF_VARIABLE) == "off":
            return None
        program = (_path(asked.program[0], variables), asked.program) if asked.program else None
        lines = _lines(asked, variables, _gate_line(asked, variables, stderr), on_first)
        if lines is None or not all(line.replace(_DIMMED, "").isprintable() for line in lines):
            return None
        "".join(lines).encode(stderr.encoding)
    except Exception:  # noqa: BLE001 - see above
        return None
    return Answer(() if asked.quiet else lines, program)


def _path(program: str, variables: Mapping[str, str]) -> str:
    from bootstrapper.programs.replacement import find_program  # noqa: PLC0415 - only where there is a program

    return find_program(program, variables)


def _gate_line(asked: Asked, variables: Mapping[str, str], stderr: TextIO) -> str:
    """Returns the form of the line about a gate: as a log has it, or a terminal."""
    if not stderr.isatty() or variables.get("TERM") == "dumb" or variables.get("CI"):
        return "{0}: {1}"
    mark = "=" if asked.no_color or variables.get("NO_COLOR") else _DIMMED
    return f"  {mark} {{0:<12}}  {{1}}"


def _lines(
    asked: Asked, variables: Mapping[str, str], gate_line: str, on_first: Callable[[Declared], None]
) -> Sequence[str] | None:
    found = is_first = None
    with crowd.Place() as turn:
        from bootstrapper.quick import declared, look  # noqa: PLC0415 - only for command lines that they answer

        file = declared.read(asked.file, asked.environment, variables, __version__)
        try:
            found = look.look(file, variables, turn.tell, asked.command)
        except look.NoLedgerError:
            is_first = file if asked.command == command_line.RUN and not asked.follows else None
    if is_first is not None:
        on_first(is_first)
    if found is None or found.seconds >= _LONGEST_SHOWN_AS_MS:
        return None
    server, database = place_of(found)
    environment = f" · environment {asked.environment}" if asked.environment else ""
    name = os.path.basename(asked.file)
    connect = [_connect(asked, variables)] if found.is_embedded and not asked.follows else []
    return [
        f"apply · {server} · database {database}{environment}",
        *(
            gate_line.format(gate, f"ready: {detail} ({found.seconds * 1000:.0f} ms)")
            for gate, detail in found.record.gates
        ),
        f"{'reached' if asked.follows else 'nothing to do'}: the database matches {name}",
        *connect,
    ]


def _connect(asked: Asked, variables: Mapping[str, str]) -> str:
    """Returns how to connect to an embedded server: with the same file and environment, unless variables name them."""
    again = ""
    if asked.environment and variables.get("BOOTSTRAPPER_ENVIRONMENT") != asked.environment:
        again += f" -e {asked.environment}"
    if asked.file not in (DEFAULT_FILE, variables.get("BOOTSTRAPPER_FILE")):
        again += f" -f {asked.file}"
    return f"connect: bootstrapper dev psql{again} · URL: bootstrapper dev url{again}"


def place_of(found: Found) -> tuple[str, str]:
    """Returns the server and the database, as all messages name them."""
    host, port, database = found.place
    if found.is_embedded:
        return "embedded PostgreSQL", database
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", database
