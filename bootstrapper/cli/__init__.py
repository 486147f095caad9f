"""The command line: a module for each command, or for a few alike, and what they share. A command reads its options
(`options`), makes one call of the api (`api_request`), prints events to stderr (`reporter`) and data to stdout
(`output`), and returns an exit code; `error_output` prints errors. Imports the api and all below; only the program
and the tests import it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from bootstrapper import __version__
from bootstrapper.cli import error_output
from bootstrapper.cli.lazy import LazyGroup
from bootstrapper.cli.output import prepare, silence, takes_colour
from bootstrapper.cli.reportfile import report_refusal
from bootstrapper.errors import ExitCode
from bootstrapper.masking import Masker
from bootstrapper.programs.replacement import finish_process
from bootstrapper.programs.signals import interruption_raises

_COMMANDS = {
    "Every day": {
        "plan": "bootstrapper.cli.plan:plan",
        "apply": "bootstrapper.cli.apply:apply",
        "run": "bootstrapper.cli.run_program:run",
        "status": "bootstrapper.cli.status:status",
        "validate": "bootstrapper.cli.validate:validate",
    },
    "Database": {
        "wait": "bootstrapper.cli.wait:wait",
        "migrate": "bootstrapper.cli.step_types:migrate",
        "upgrade": "bootstrapper.cli.revisions:upgrade",
        "downgrade": "bootstrapper.cli.revisions:downgrade",
        "stamp": "bootstrapper.cli.revisions:stamp",
        "reset": "bootstrapper.cli.reset:reset",
        "revision": "bootstrapper.cli.revisions:revision",
    },
    "Fixtures": {
        "seed": "bootstrapper.cli.step_types:seed",
        "pull": "bootstrapper.cli.pull:pull",
    },
    "Backups": {
        "backup": "bootstrapper.cli.step_types:backup",
        "backups": "bootstrapper.cli.backups:backups",
        "restore": "bootstrapper.cli.restore:restore",
    },
    "Many databases": {
        "fleet": "bootstrapper.cli.fleet:fleet",
    },
    "Guards": {
        "freeze": "bootstrapper.cli.freezing:freeze",
        "unfreeze": "bootstrapper.cli.freezing:unfreeze",
        "environment": "bootstrapper.cli.environment:environment",
    },
    "Inspect": {
        "history": "bootstrapper.cli.history:history",
        "drift": "bootstrapper.cli.drift:drift",
        "lock": "bootstrapper.cli.lock:lock",
        "doctor": "bootstrapper.cli.doctor:doctor",
        "config": "bootstrapper.cli.config:config",
        "explain": "bootstrapper.cli.explain:explain",
    },
    "Set up": {
        "init": "bootstrapper.cli.init:init",
        "dev": "bootstrapper.cli.dev:dev",
        "url": "bootstrapper.cli.url:url",
        "plugins": "bootstrapper.cli.plugins:plugins",
        "completion": "bootstrapper.cli.completion:completion",
    },
}
_EXIT_CODES = """
Exit codes: 0 done or nothing to do, 1 a step failed, 2 wrong usage or configuration, 3 a bug in bootstrapper,
4 changes are pending, 5 database unreachable, 6 refused (not retryable), 7 lock not available, 8 a change that was
not in the plan, 9 refused by a guard, 10 database ahead of this code, 130 or 143 interrupted. 5 and 7 are retryable.
"""


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    aliases={"setup": "apply", "migration": "revision"},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES,
)
@click.version_option(__version__, prog_name="bootstrapper", message="%(prog)s %(version)s")
def group() -> None:
    """Bring a PostgreSQL database to the state that bootstrap.yaml declares, and verify it."""


def run() -> NoReturn:
    """Runs the program and ends the process without finalising the interpreter, which costs as much as a quick run."""
    code = main()
    finish_process()
    os._exit(code)


def main(arguments: Sequence[str] | None = None, *, program: str = "bootstrapper") -> int:
    """Runs one command and returns its exit code; the only place that prints errors.

    Args:
        program: The name in the usage, where another command line hands over to this one.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = given[: given.index("--")] if "--" in given else given  # what follows may be options of another program
    masker = Masker()
    prepare()
    try:
        with interruption_raises():
            code = group.main(given, prog_name=program, standalone_mode=False, obj=masker)
    except SystemExit:  # raised by click where the reader of its help closed the pipe
        silence(sys.stdout)
        code = ExitCode.DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a bug is printed with its traceback, exit code 3
        colour = takes_colour(sys.stderr, os.environ, no_color="--no-color" in own)
        is_log = _wants(own, "--log-format", "json")
        code = error_output.report(error, masker, as_json=is_log, colour=colour, with_traceback="--traceback" in own)
        if _wants(own, "--format", "json"):
            error_output.print_as_data(error, masker)
        report_refusal(error, own, masker)
    with suppress(OSError):
        sys.stdout.flush()
    return int(code or 0)


def _wants(arguments: Sequence[str], option: str, value: str) -> bool:
    """Reads the option without click: errors in the arguments themselves have to be JSON as well."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return any(first == f"{option}={value}" or (first, second) == (option, value) for first, second in pairs)
