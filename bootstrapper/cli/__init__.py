"""The command line: options, one api call, a renderer, an exit code."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from bootstrapper import __version__
from bootstrapper.cli import failures
from bootstrapper.cli.lazy import LazyGroup
from bootstrapper.cli.output import prepare, silence, takes_colour
from bootstrapper.cli.reportfile import report_refusal
from bootstrapper.cli.signals import interruption_raises
from bootstrapper.errors import ExitCode
from bootstrapper.masking import Masker

_COMMANDS = {
    "plan": "bootstrapper.cli.plan:plan",
    "apply": "bootstrapper.cli.apply:apply",
    "status": "bootstrapper.cli.status:status",
    "upgrade": "bootstrapper.cli.revisions:upgrade",
    "downgrade": "bootstrapper.cli.revisions:downgrade",
    "stamp": "bootstrapper.cli.revisions:stamp",
    "revision": "bootstrapper.cli.revisions:revision",
    "history": "bootstrapper.cli.history:history",
    "pull": "bootstrapper.cli.pull:pull",
    "wait": "bootstrapper.cli.wait:wait",
    "migrate": "bootstrapper.cli.step_types:migrate",
    "seed": "bootstrapper.cli.step_types:seed",
    "backup": "bootstrapper.cli.step_types:backup",
    "restore": "bootstrapper.cli.restore:restore",
    "backups": "bootstrapper.cli.backups:backups",
    "validate": "bootstrapper.cli.validate:validate",
    "config": "bootstrapper.cli.config:config",
    "plugins": "bootstrapper.cli.plugins:plugins",
    "lock": "bootstrapper.cli.lock:lock",
    "url": "bootstrapper.cli.url:url",
    "dev": "bootstrapper.cli.dev:dev",
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    aliases={"setup": "apply", "migration": "revision"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="bootstrapper", message="%(prog)s %(version)s")
def group() -> None:
    """Brings a PostgreSQL database to the state that bootstrap.yaml declares, and proves it.

    Exit codes: 0 done or nothing to do, 1 a step failed, 2 usage or configuration, 3 a bug, 4 changes are pending,
    5 database unreachable, 6 refused for good, 7 lock not free, 9 refused by a guard, 10 database ahead of this code,
    130 or 143 interrupted. 5 and 7 are worth another try.
    """


def run() -> NoReturn:
    """The program. Ends the process without taking the interpreter apart, which would cost as much as a quick run."""
    code = main()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code; the only place where errors become words."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    masker = Masker()
    prepare()
    try:
        with interruption_raises():
            code = group.main(given, prog_name="bootstrapper", standalone_mode=False, obj=masker)
    except SystemExit:  # click's answer to a reader of its help who went away
        silence(sys.stdout)
        code = ExitCode.DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a bug gets its traceback, and exit code 3
        colour = takes_colour(sys.stderr, os.environ, no_color="--no-color" in given)
        shown = {"as_json": _wants_json(given), "colour": colour, "with_traceback": "--traceback" in given}
        code = failures.report(error, masker, **shown)
        report_refusal(error, given, masker)
    with suppress(OSError):
        sys.stdout.flush()
    return int(code or 0)


def _wants_json(arguments: Sequence[str]) -> bool:
    """Read by hand, because an error in the arguments themselves is printed as asked, too."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return any(first == "--log-format=json" or (first, second) == ("--log-format", "json") for first, second in pairs)
