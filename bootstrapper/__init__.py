"""Brings a PostgreSQL database to the state that one YAML file declares, and proves it.

The names below are all that plugins and programs need; they are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bootstrapper.hookspecs import hookimpl as hookimpl
    from bootstrapper.plan import Action as Action
    from bootstrapper.plan import Answer as Answer
    from bootstrapper.plan import Bounds as Bounds
    from bootstrapper.plan import Change as Change
    from bootstrapper.plan import Deferred as Deferred
    from bootstrapper.plan import Finding as Finding
    from bootstrapper.plan import Plan as Plan
    from bootstrapper.renderer import Renderer as Renderer
    from bootstrapper.step import Check as Check
    from bootstrapper.step import Context as Context
    from bootstrapper.step import Gate as Gate
    from bootstrapper.step import Probe as Probe
    from bootstrapper.step import Scope as Scope
    from bootstrapper.step import Step as Step
    from bootstrapper.step import StepModel as StepModel
    from bootstrapper.step import Value as Value

_HOMES = {
    "Action": "plan",
    "Answer": "plan",
    "Bounds": "plan",
    "Change": "plan",
    "Check": "step",
    "Context": "step",
    "Deferred": "plan",
    "Finding": "plan",
    "Gate": "step",
    "Plan": "plan",
    "Probe": "step",
    "Renderer": "renderer",
    "Scope": "step",
    "Step": "step",
    "StepModel": "step",
    "Value": "step",
    "hookimpl": "hookspecs",
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
