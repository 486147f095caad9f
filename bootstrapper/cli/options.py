"""Options shared by several commands, passed to them as one `Invocation`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from bootstrapper.cli.output import reserving_stdout
from bootstrapper.config.units import parse_duration
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import UsageError
from bootstrapper.masking import Masker
from bootstrapper.text import listed

DEFAULT_FILE = Path("bootstrap.yaml")
FILE_VARIABLE = "BOOTSTRAPPER_FILE"
ENVIRONMENT_VARIABLE = "BOOTSTRAPPER_ENVIRONMENT"

_Function = TypeVar("_Function", bound=Callable[..., Any])
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """Shared options of the command line; those that a command does not have keep their default.

    Attributes:
        variables: The environment of the process, which no code below the command line reads.
        masker: The same for the whole process, so that errors are masked as well.
    """

    file: Path = DEFAULT_FILE
    environment: str | None = None
    step: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    timeout: float | None = None
    format: str | None = None
    full: bool = False
    report: Path | None = None
    overwrite: bool = False
    confirm: str | None = None
    allow: tuple[str, ...] = ()
    log_format: str = "text"
    quiet: bool = False
    no_color: bool = False
    traceback: bool = False
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    masker: Masker = field(default_factory=Masker)

    def wants_exit_code_only(self, *, exit_code: bool) -> bool:
        """Returns whether nothing goes to stdout as the exit code says it: with --exit-code and --quiet, as text."""
        return exit_code and self.quiet and self.format in (None, "text")

    @property
    def again(self) -> str:
        """Returns the options that another command needs for the same file and environment."""
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


def takes(*options: Option) -> Callable[[_Function], _Function]:
    """Adds options to a command: shared ones arrive as its Invocation, its own ones as keyword arguments."""
    shared = {each.name for each in fields(Invocation)}

    def decorate(command: _Function) -> _Function:
        @functools.wraps(command)
        def call(**given: Any) -> Any:
            own = {name: value for name, value in given.items() if name not in shared}
            common = {name: value for name, value in given.items() if name in shared}
            masker = click.get_current_context().ensure_object(Masker)
            with reserving_stdout():
                return command(Invocation(**common, masker=masker), **own)

        decorated: Callable[..., Any] = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[return-value]

    return decorate


def refuse_beside(option: str, others: Mapping[str, object], reason: str) -> None:
    """Raises UsageError if one of the others was given as well.

    Args:
        others: The values by the names of their options; a false value was not given.
    """
    given = [name for name, value in others.items() if value]
    if given:
        raise UsageError(f"{option} cannot be combined with {listed(given, 'or')}: {reason}", hint="Omit one of them.")


def refuse_empty(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Raises BadParameter if the argument is empty; the callback of arguments that are names."""
    if text == "":
        shown = (parameter.metavar or parameter.name or "").strip("[]").upper()
        raise click.BadParameter("must not be empty", context, parameter, shown)
    return text


def was_given(name: str) -> bool:
    """Returns whether the parameter stands on the command line of the current command."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def file_option(name: str, text: str, *, metavar: str = "FILE") -> Option:
    """Returns an option for a file that is written, or was written by such an option."""
    return click.option(name, metavar=metavar, type=click.Path(dir_okay=False, path_type=Path), help=text)


file = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    envvar=FILE_VARIABLE,
    show_envvar=True,
    help="Configuration file.",
)
environment = click.option(
    "-e",
    "--environment",
    metavar="NAME",
    envvar=ENVIRONMENT_VARIABLE,
    show_envvar=True,
    help="Environment declared in the file.",
)
step = click.option("--step", multiple=True, metavar="NAME", help="Only this step; repeatable.")
skip = click.option("--skip", multiple=True, metavar="NAME", help="All but this step; repeatable.")
timeout = click.option(
    "--timeout", metavar="TIME", callback=_seconds, help="Time limit of the whole run, such as 90s or 5m."
)
timeout_each = click.option(
    "--timeout", metavar="TIME", callback=_seconds, help="Time limit of the run of each target, such as 90s or 5m."
)
plan_format = click.option(
    "--format", metavar="FORMAT", help="Format of the plan: text, json, markdown, sarif, or one of a plugin."
)
outcome_format = click.option(
    "--format",
    metavar="FORMAT",
    help="Print the plan as well, as text, markdown or a format of a plugin; with json, an object per event instead.",
)
found_format = click.option(
    "--format",
    metavar="FORMAT",
    default="text",
    show_default=True,
    help="Format of the output: text, json, or one of a plugin.",
)
data_format = click.option(
    "--format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format of the output."
)
full = click.option("--full", is_flag=True, help="List every change of the plan, not only the first of each table.")
confirm = click.option(
    "--confirm",
    metavar="DATABASE",
    help="Write to DATABASE without asking, even if it belongs to another environment.",
)
allow = click.option(
    "--allow",
    multiple=True,
    metavar="HAZARD",
    help="Permit this hazard, such as drop-column, in a protected environment; repeatable.",
)
report = file_option("--report", "Write a JSON report of the run to FILE, also on failure.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace existing files that this command did not write.")
dry_run = click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")
yes = click.option("--yes", is_flag=True, help="Do not ask; not sufficient in a protected environment.")
log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of events and errors on stderr.",
)
exit_code = click.option(
    "--exit-code",
    is_flag=True,
    help="Exit with 4 if changes are pending, else with 0; with --quiet, print no text to stdout.",
)
quiet = click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors to stderr.")
no_color = click.option("--no-color", is_flag=True, help="Disable colours, as the variable NO_COLOR does.")
traceback = click.option("--traceback", is_flag=True, help="Print the traceback if the project's migration code fails.")

REPORTING = (report, overwrite)
WHERE = (file, environment)
SELECTION = (*WHERE, step, skip, timeout)
PRINTING = (log_format, quiet, no_color)
RUNNING = (*PRINTING, traceback)
"""For commands that may run code of the project."""
