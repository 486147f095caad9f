"""The program, also as `python -m bootstrapper`: a quick look first, else an ordinary run."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from bootstrapper.quick.answer import answer


def run() -> NoReturn:
    """Runs the program and ends the process, without finalising the interpreter."""
    lines = answer(sys.argv[1:], os.environ, sys.stderr)
    if lines is None:
        from bootstrapper import cli  # noqa: PLC0415 - loaded only where the quick look does not suffice

        cli.run()
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    run()
