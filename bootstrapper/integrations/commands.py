"""The command line of bootstrapper as a command of a framework, such as `flask bootstrap plan`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from bootstrapper.api.arguments import ENVIRONMENT_VARIABLE, FILE_VARIABLE, File
from bootstrapper.cli import main

SUMMARY = "Plan, apply and inspect the database that bootstrap.yaml declares."


def run_command(arguments: Sequence[str], program: str, file: File | None, environment: str | None) -> int:
    """Runs one command of bootstrapper in this process and returns its exit code; errors are printed.

    Args:
        program: What the user typed before the arguments, for usage and hints.
        file: The configuration where the arguments name none.
        environment: The environment where the arguments name none.
    """
    with _set({FILE_VARIABLE: file, ENVIRONMENT_VARIABLE: environment}):
        return main(arguments or ["--help"], program=program)


def click_command(file: File | None, environment: str | None) -> click.Command:
    """Returns the command `bootstrap`, for frameworks whose command line is click's; its arguments are ours."""

    @click.command(
        "bootstrap",
        short_help=SUMMARY,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(context: click.Context, arguments: tuple[str, ...]) -> None:
        context.exit(run_command(arguments, context.command_path, file, environment))

    return command


@contextmanager
def _set(variables: dict[str, File | None]) -> Iterator[None]:
    """Sets the variables that have a value, which an option overrides."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: os.fspath(value) for name, value in variables.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
