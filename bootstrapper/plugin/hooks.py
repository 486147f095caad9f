"""Every hook, in call order. Built-ins are registered through the same hooks as plugins.

What a hook raises, `sys.exit()` included, and a result that is not a list of classes, are errors of the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from bootstrapper.plugin.check import Check
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.value import Value

hookspec = pluggy.HookspecMarker("bootstrapper")
hookimpl = pluggy.HookimplMarker("bootstrapper")


@hookspec
def bootstrapper_values() -> Sequence[type[Value]]:  # type: ignore[empty-body]
    """Value functions, each named by its `key`. Called once, when the plugins are loaded."""


@hookspec
def bootstrapper_checks() -> Sequence[type[Check]]:  # type: ignore[empty-body]
    """Checks, each named by its `key`. Called once, when the plugins are loaded."""


@hookspec
def bootstrapper_steps() -> Sequence[type[Gate | Scope | Step]]:  # type: ignore[empty-body]
    """Gates, scopes and steps, each named by its `uses`. Called once, when the plugins are loaded."""


@hookspec
def bootstrapper_renderers() -> Sequence[type[Renderer]]:  # type: ignore[empty-body]
    """Renderers for `--format`, each named by its `format`. Called once, when the plugins are loaded."""
