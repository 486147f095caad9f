"""The answer to a command line: what an ordinary run with nothing to do prints, or that there is to be one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from bootstrapper import __version__
from bootstrapper.quick import command_line, crowd
from bootstrapper.quick.command_line import Asked

OFF_VARIABLE = "BOOTSTRAPPER_QUICK"
"""Set to `off`, it leaves everything to the ordinary run."""

_LONGEST_SHOWN_AS_MS = 0.9995


def answer(arguments: Sequence[str], variables: Mapping[str, str], stderr: TextIO) -> Sequence[str] | None:
    """Returns what an ordinary run would print to stderr before it ends with 0; None if there is to be one.

    Whatever is wrong is a matter of the ordinary run, which says it.
    """
    try:
        asked = command_line.read(arguments, variables)
        if asked is None or variables.get(OFF_VARIABLE) == "off":
            return None
        if stderr.isatty() and not asked.quiet:  # where the ordinary run has a live view
            return None
        lines = _lines(asked, variables)
        if lines is None or asked.quiet:
            return None if lines is None else ()
        "".join(lines).encode(stderr.encoding)
    except Exception:  # noqa: BLE001 - see above
        return None
    return lines if all(line.isprintable() for line in lines) else None


def _lines(asked: Asked, variables: Mapping[str, str]) -> Sequence[str] | None:
    with crowd.Place() as turn:
        from bootstrapper.quick import declared, look  # noqa: PLC0415 - only for command lines that they answer

        file = declared.read(asked.file, asked.environment, variables, __version__)
        found = look.look(file, variables, turn.tell) if file is not None else None
    if found is None or found.seconds >= _LONGEST_SHOWN_AS_MS:
        return None
    host, port, database = found.place
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    environment = f" · environment {asked.environment}" if asked.environment else ""
    name = os.path.basename(asked.file)
    return [
        f"apply · {place} · database {database}{environment}",
        *(f"{gate}: ready: {detail} ({found.seconds * 1000:.0f} ms)" for gate, detail in found.record.gates),
        f"{'reached' if asked.follows else 'nothing to do'}: the database matches {name}",
    ]
