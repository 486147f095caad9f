"""`manage.py bootstrap`: the command line of bootstrapper, with the file and the environment of the settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bootstrapper.integrations.commands import SUMMARY, run_command
from bootstrapper.integrations.django.configuration import configured


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Leaves all arguments to bootstrapper, `--help` and `--version` included."""

    help = SUMMARY
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        sys.exit(self._run(_without_django(argv[2:]), argv))

    def print_help(self, prog_name: str, subcommand: str) -> None:
        self._run(["--help"], [prog_name, subcommand])

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_: Any, arguments: Sequence[str], **__: Any) -> None:
        """Serves `call_command("bootstrap", "apply")`."""
        code = self._run(arguments, ["manage.py", "bootstrap"])
        if code:
            raise CommandError(f"bootstrapper ended with exit code {code}", returncode=code)

    def _run(self, arguments: Sequence[str], typed: Sequence[str]) -> int:
        startup = configured()
        return run_command(arguments, f"{PurePath(typed[0]).name} {typed[1]}", startup.file, startup.environment)


def _without_django(arguments: list[str]) -> list[str]:
    """Returns the arguments without `--settings` and `--pythonpath`, which manage.py has acted on."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    return parser.parse_known_args(arguments[:end])[1] + arguments[end:]
