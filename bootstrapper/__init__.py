"""Brings a PostgreSQL database to the state that one YAML file declares, and proves it.

The names below are all that plugins and programs need; they are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bootstrapper.plans import Action as Action
    from bootstrapper.plans import Answer as Answer
    from bootstrapper.plans import Bounds as Bounds
    from bootstrapper.plans import Change as Change
    from bootstrapper.plans import Deferred as Deferred
    from bootstrapper.plans import Finding as Finding
    from bootstrapper.plans import Plan as Plan
    from bootstrapper.plugin.check import Check as Check
    from bootstrapper.plugin.check import Probe as Probe
    from bootstrapper.plugin.context import Context as Context
    from bootstrapper.plugin.hooks import hookimpl as hookimpl
    from bootstrapper.plugin.options import StepModel as StepModel
    from bootstrapper.plugin.renderer import Renderer as Renderer
    from bootstrapper.plugin.scopes import Gate as Gate
    from bootstrapper.plugin.scopes import Scope as Scope
    from bootstrapper.plugin.step import Step as Step
    from bootstrapper.plugin.value import Value as Value

_HOMES = {
    "Action": "plans",
    "Answer": "plans",
    "Bounds": "plans",
    "Change": "plans",
    "Check": "plugin.check",
    "Context": "plugin.context",
    "Deferred": "plans",
    "Finding": "plans",
    "Gate": "plugin.scopes",
    "Plan": "plans",
    "Probe": "plugin.check",
    "Renderer": "plugin.renderer",
    "Scope": "plugin.scopes",
    "Step": "plugin.step",
    "StepModel": "plugin.options",
    "Value": "plugin.value",
    "hookimpl": "plugin.hooks",
}

__all__ = [
    "Action",
    "Answer",
    "Bounds",
    "Change",
    "Check",
    "Context",
    "Deferred",
    "Finding",
    "Gate",
    "Plan",
    "Probe",
    "Renderer",
    "Scope",
    "Step",
    "StepModel",
    "Value",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
