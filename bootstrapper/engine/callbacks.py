"""Hooks that are called with something, while a command runs: where they come from, and what they may return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, InvalidFileError, PluginError, Problem
from bootstrapper.plugin import results
from bootstrapper.plugin.faults import line_of, raised
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.quoting import quoted


@dataclass(frozen=True)
class Callback:
    """A plugin's function for a hook.

    Attributes:
        origin: The plugin, as errors name it.
        call: Takes the arguments by name, and returns a list of results without None.
    """

    origin: str
    hook: str
    call: Callable[..., list[Any]]

    def said(self, error: BaseException) -> str:
        """Returns what the plugin's function did wrong, with its line."""
        is_result = isinstance(error, results.WrongResultError)
        return f"{self.hook} {error if is_result else raised(error)}{'' if is_result else line_of(error, self.origin)}"


def ask_configured(callbacks: Sequence[Callback], project: Project, quote: Callable[[str], str]) -> None:
    """Raises InvalidFileError with what plugins find wrong with the project, or PluginError for one that fails."""
    problems: list[Problem] = []
    for callback in callbacks:
        try:
            for result in callback.call(project=project):
                problems += quoted(results.PROBLEMS(result))
        except BootstrapperError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(callback.origin, quote(callback.said(error))) from error
    if problems:
        raise InvalidFileError(problems)
