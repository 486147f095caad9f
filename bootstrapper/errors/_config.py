"""Errors of the file, its environment, its plugins and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from bootstrapper.errors._base import BootstrapperError, ExitCode, Problem, Source


class ConfigError(BootstrapperError):
    exit_code = ExitCode.CONFIG


class InvalidFileError(ConfigError):
    code = "BOOT-201"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def lines(self) -> list[str]:
        return [str(problem) for problem in self.problems]


def _place(problem: Problem) -> tuple[str, int, int]:
    source = problem.source
    return (source.file, source.line, source.column) if source else ("", 0, 0)


class UnknownEnvironmentError(ConfigError):
    code = "BOOT-202"

    def __init__(self, name: str | None, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        listed = ", ".join(known) or "none"
        if name is None:
            message = f"no environment chosen; the file declares: {listed}"
            hint = "Choose one with -e, or set BOOTSTRAPPER_ENVIRONMENT."
        else:
            message = f"environment {name!r} does not exist; the file declares: {listed}"
            hint = "Choose one of these with -e." if known else "Leave -e out, or declare it under environments:."
        super().__init__(message, hint=hint)


class UnsetVariablesError(ConfigError):
    """Variables without a value, or files that cannot be used, that the pending changes need; nothing was written."""

    code = "BOOT-203"
    of_file: ClassVar[str] = "file "
    """Begins what a file lacks, among the names of variables: `file admin.txt does not exist`."""

    def __init__(self, names: Iterable[str], messages: Mapping[str, str] | None = None) -> None:
        """Takes the names, or what files lack, and by name the messages that the file has for some of them."""
        self.names = tuple(dict.fromkeys(names))
        self.messages = dict(messages or {})
        said = "".join(f"; ${name}: {message}" for name, message in self.messages.items())
        files = [name for name in self.names if name.startswith(self.of_file)]
        unset = [name for name in self.names if name not in files]
        listed = ", ".join(f"${name}" for name in unset)
        missing = [f"{listed} {'is' if len(unset) == 1 else 'are'} not set here"] if unset else []
        all_of_it = "; ".join([*missing, *(f"{name} here" for name in files)])
        object_ = "it" if len(self.names) == 1 else "them"
        super().__init__(
            f"{all_of_it}, and the pending changes need {object_}{said}",
            hint="Each target of the fleet must have the variables that it names as target."
            if any("." in name for name in unset)
            else f"Set {listed} and run again."
            if not files
            else f"Put the {'value' if len(files) == 1 else 'values'} there{f', set {listed}' * bool(unset)}"
            " and run again.",
        )


class FleetError(ConfigError):
    """The list of targets is missing or cannot be read, or a worker has other files than the coordinator."""

    code = "BOOT-206"


class UsageError(ConfigError):
    code = "BOOT-204"


class PluginError(ConfigError):
    code = "BOOT-205"

    def __init__(self, plugin: str, reason: str, *, hint: str | None = None, source: Source | None = None) -> None:
        self.plugin = plugin
        self.reason = reason
        super().__init__(f"plugin {plugin}: {reason}", hint=hint, source=source)
