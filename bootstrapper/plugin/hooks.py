"""Every hook, in call order. Built-ins are registered through the same hooks as plugins."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from bootstrapper.errors import Problem
from bootstrapper.events import Event
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.value import Value

hookspec = pluggy.HookspecMarker("bootstrapper")
hookimpl = pluggy.HookimplMarker("bootstrapper")


@hookspec
def bootstrapper_values() -> Sequence[type[Value]]:  # type: ignore[empty-body]
    """Value functions, each named by its `key`. Called once, when the plugins are loaded.

    What it raises, `sys.exit()` included, and a result that is not a list of classes, are errors of the configuration:
    exit code 2, with plugin and line.
    """


@hookspec
def bootstrapper_checks() -> Sequence[type[Check]]:  # type: ignore[empty-body]
    """Checks, each named by its `key`. Called once, when the plugins are loaded.

    What it raises, `sys.exit()` included, and a result that is not a list of classes, are errors of the configuration:
    exit code 2, with plugin and line.
    """


@hookspec
def bootstrapper_steps() -> Sequence[type[Gate | Scope | Step]]:  # type: ignore[empty-body]
    """Gates, scopes and steps, each named by its `uses`. Called once, when the plugins are loaded.

    What it raises, `sys.exit()` included, and a result that is not a list of classes, are errors of the configuration:
    exit code 2, with plugin and line.
    """


@hookspec
def bootstrapper_renderers() -> Sequence[type[Renderer]]:  # type: ignore[empty-body]
    """Renderers for `--format`, each named by its `format`. Called once, when the plugins are loaded.

    What it raises, `sys.exit()` included, and a result that is not a list of classes, are errors of the configuration:
    exit code 2, with plugin and line.
    """


@hookspec
def bootstrapper_configured(project: Project) -> Sequence[Problem] | None:
    """Says what is wrong with the project as a whole; None, or an empty list, if nothing is.

    Called once each time that a command, also `validate`, has read the file: after that is found valid, and before
    anything is connected to. Problems are reported together, each with its place, and end the command with exit code 2.
    So does what it raises, `sys.exit()` included, with plugin and line; an error of `bootstrapper` keeps its own exit
    code.
    """


@hookspec
def bootstrapper_events(event: Event) -> None:
    """Observes a run of `apply`, or of another command that writes: called with each event, from RunStarted to
    RunFinished.

    Called in a thread of its own, one event after the other, while the run goes on: outside its transactions, and
    without delaying it. Only the end of a run waits until all is observed, for 5 seconds at most; then it warns, and
    goes on without. What it raises, `sys.exit()` included, is one warning with plugin and line; it is not called again
    in that run, whose result and exit code stay as they are. Events carry no secrets. `validate`, `plan`, `status` and
    a follower are not observed.
    """
