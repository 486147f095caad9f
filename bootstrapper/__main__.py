"""The program, also as `python -m bootstrapper`: a quick look first, else an ordinary run."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from bootstrapper.quick import crowd
from bootstrapper.quick.answer import Answer, answer

if TYPE_CHECKING:  # loaded by the look
    from bootstrapper.quick.declared import Declared


def run() -> NoReturn:
    """Runs the program and ends the process, without finalising the interpreter."""
    _open_missing_streams()
    try:
        found = answer(sys.argv[1:], os.environ, sys.stderr, _start_worker)
        if found is not None:
            _end(found)
        from bootstrapper import cli  # noqa: PLC0415 - loaded only where the quick look does not suffice
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - as `main` of the command line does
        from bootstrapper.cli.error_output import report  # noqa: PLC0415 - as above
        from bootstrapper.masking import Masker  # noqa: PLC0415 - as above

        os._exit(report(error, Masker(), as_json=False, colour=False))
    cli.run()


def _start_worker(file: Declared) -> None:
    """Has the worker of a first apply load while the run itself does; one at a time, since only one has the lock."""
    if not file.migrates:
        return
    from bootstrapper.migrations.worker import early  # noqa: PLC0415 - only before a first apply

    place = crowd.alone() if early.helps() else None
    if place is not None:
        early.start(file.folder, file.variables, place)


def _open_missing_streams() -> None:
    """A stream that the caller closed takes whatever is written to it; files and sockets never get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as we live


def _end(found: Answer) -> NoReturn:
    with suppress(OSError):  # as of an ordinary run, whose reader may be gone
        sys.stderr.write("".join(f"{line}\n" for line in found.lines))
        sys.stderr.flush()
    if found.program is not None:
        from bootstrapper.programs.replacement import replace_process  # noqa: PLC0415 - only where there is a program

        replace_process(*found.program, os.environ)
    os._exit(0)


if __name__ == "__main__":
    run()
