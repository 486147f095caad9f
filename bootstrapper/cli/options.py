"""Options that several commands share, handed over as one `Invocation`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from bootstrapper.errors import UsageError
from bootstrapper.masking import Masker
from bootstrapper.units import parse_duration
from bootstrapper.wording import listed

DEFAULT_FILE = Path("bootstrap.yaml")
FILE_VARIABLE = "BOOTSTRAPPER_FILE"
ENVIRONMENT_VARIABLE = "BOOTSTRAPPER_ENVIRONMENT"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What the command line says. A command without one of the options gets its default here.

    Attributes:
        variables: The process's environment, read here and nowhere below.
        masker: One for the whole process, so that errors are masked as well.
    """

    file: Path = DEFAULT_FILE
    environment: str | None = None
    step: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    timeout: float | None = None
    format: str | None = None
    report: Path | None = None
    overwrite: bool = False
    confirm: str | None = None
    log_format: str = "text"
    quiet: bool = False
    no_color: bool = False
    traceback: bool = False
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    masker: Masker = field(default_factory=Masker)

    @property
    def again(self) -> str:
        """The options that another command needs to mean the same file and environment."""
        options = []
        if self.environment and self.variables.get(ENVIRONMENT_VARIABLE) != self.environment:
            options.append(f" -e {self.environment}")
        if self.file != DEFAULT_FILE and self.variables.get(FILE_VARIABLE) != str(self.file):
            options.append(f" -f {self.file}")
        return "".join(options)


def _seconds(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from error


def takes(*options: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[[_Function], _Function]:
    """Puts options on a command; its first argument is the Invocation, its own options stay as they are."""
    shared = {each.name for each in fields(Invocation)}

    def decorate(command: _Function) -> _Function:
        @functools.wraps(command)
        def call(**given: Any) -> Any:
            own = {name: value for name, value in given.items() if name not in shared}
            common = {name: value for name, value in given.items() if name in shared}
            masker = click.get_current_context().ensure_object(Masker)
            return command(Invocation(**common, masker=masker), **own)

        decorated: Callable[..., Any] = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[return-value]

    return decorate


def refuse_beside(option: str, others: Mapping[str, object], reason: str) -> None:
    """Raises UsageError where one of the others was given, too.

    Args:
        others: What was given by the option's name; whatever counts as false was not.
    """
    given = [name for name, value in others.items() if value]
    if given:
        raise UsageError(f"{option} does not go with {listed(given, 'or')}: {reason}", hint="Leave one of them out.")


def was_given(name: str) -> bool:
    """Whether a parameter of the command at hand stands on the command line, and is not its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


file = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    envvar=FILE_VARIABLE,
    show_envvar=True,
    help="The file that declares everything.",
)
environment = click.option(
    "-e",
    "--environment",
    metavar="NAME",
    envvar=ENVIRONMENT_VARIABLE,
    show_envvar=True,
    help="Which of the file's environments is meant.",
)
step = click.option("--step", multiple=True, metavar="NAME", help="Only this step; may be repeated.")
skip = click.option("--skip", multiple=True, metavar="NAME", help="All but this step; may be repeated.")
timeout = click.option(
    "--timeout", metavar="TIME", callback=_seconds, help="The time the whole run may take, such as 90s or 5m."
)
plan_format = click.option(
    "--format", metavar="FORMAT", help="How the plan is printed: text, json, markdown, or what a plugin adds."
)
data_format = click.option(
    "--format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How data is printed."
)
confirm = click.option(
    "--confirm",
    metavar="DATABASE",
    help="The database's name: writes to it although a protected environment wrote to it last, and does not ask.",
)
report = click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also writes what happened as JSON to this file, whatever the outcome.",
)
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replaces files that are there and were not made by this command."
)
log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How events and errors are printed on stderr.",
)
quiet = click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors on stderr.")
no_color = click.option("--no-color", is_flag=True, help="No colours; so does the variable NO_COLOR.")
traceback = click.option(
    "--traceback", is_flag=True, help="Also prints the traceback when the project's migration code fails."
)

REPORTING = (report, overwrite)
WHERE = (file, environment)
SELECTION = (*WHERE, step, skip, timeout)
PRINTING = (log_format, quiet, no_color)
RUNNING = (*PRINTING, traceback)
"""Of the commands that may run code of the project."""
