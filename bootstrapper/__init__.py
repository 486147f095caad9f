"""Brings a PostgreSQL database to the state that one YAML file declares, and proves it.

The names below are all that plugins need; they are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bootstrapper.errors import BootstrapperError as BootstrapperError
    from bootstrapper.errors import Problem as Problem
    from bootstrapper.errors import RefusedError as RefusedError
    from bootstrapper.errors import Source as Source
    from bootstrapper.errors import StepError as StepError
    from bootstrapper.errors import StepFailedError as StepFailedError
    from bootstrapper.errors import UnreachableError as UnreachableError
    from bootstrapper.events import Warned as Warned
    from bootstrapper.plans import Action as Action
    from bootstrapper.plans import Answer as Answer
    from bootstrapper.plans import Bounds as Bounds
    from bootstrapper.plans import Change as Change
    from bootstrapper.plans import Deferred as Deferred
    from bootstrapper.plans import Finding as Finding
    from bootstrapper.plans import Plan as Plan
    from bootstrapper.plans import Verdict as Verdict
    from bootstrapper.plugin.check import Check as Check
    from bootstrapper.plugin.check import Probe as Probe
    from bootstrapper.plugin.context import Context as Context
    from bootstrapper.plugin.hooks import hookimpl as hookimpl
    from bootstrapper.plugin.options import StepModel as StepModel
    from bootstrapper.plugin.project import Project as Project
    from bootstrapper.plugin.renderer import Renderer as Renderer
    from bootstrapper.plugin.scopes import Gate as Gate
    from bootstrapper.plugin.scopes import Scope as Scope
    from bootstrapper.plugin.step import Step as Step
    from bootstrapper.plugin.traits import Bounded as Bounded
    from bootstrapper.plugin.traits import Explained as Explained
    from bootstrapper.plugin.traits import HasHeads as HasHeads
    from bootstrapper.plugin.traits import Parted as Parted
    from bootstrapper.plugin.traits import Prepared as Prepared
    from bootstrapper.plugin.traits import Remarked as Remarked
    from bootstrapper.plugin.traits import SeedsFixtures as SeedsFixtures
    from bootstrapper.plugin.traits import ShowsSql as ShowsSql
    from bootstrapper.plugin.value import UNKNOWN as UNKNOWN
    from bootstrapper.plugin.value import Value as Value

_HOMES = {
    "Action": "plans",
    "Answer": "plans",
    "BootstrapperError": "errors",
    "Bounded": "plugin.traits",
    "Bounds": "plans",
    "Change": "plans",
    "Check": "plugin.check",
    "Context": "plugin.context",
    "Deferred": "plans",
    "Explained": "plugin.traits",
    "Finding": "plans",
    "Gate": "plugin.scopes",
    "HasHeads": "plugin.traits",
    "Parted": "plugin.traits",
    "Plan": "plans",
    "Prepared": "plugin.traits",
    "Probe": "plugin.check",
    "Problem": "errors",
    "Project": "plugin.project",
    "RefusedError": "errors",
    "Remarked": "plugin.traits",
    "Renderer": "plugin.renderer",
    "Scope": "plugin.scopes",
    "SeedsFixtures": "plugin.traits",
    "ShowsSql": "plugin.traits",
    "Source": "errors",
    "Step": "plugin.step",
    "StepError": "errors",
    "StepFailedError": "errors",
    "StepModel": "plugin.options",
    "UNKNOWN": "plugin.value",
    "UnreachableError": "errors",
    "Value": "plugin.value",
    "Verdict": "plans",
    "Warned": "events",
    "hookimpl": "plugin.hooks",
}

__all__ = [
    "UNKNOWN",
    "Action",
    "Answer",
    "BootstrapperError",
    "Bounded",
    "Bounds",
    "Change",
    "Check",
    "Context",
    "Deferred",
    "Explained",
    "Finding",
    "Gate",
    "HasHeads",
    "Parted",
    "Plan",
    "Prepared",
    "Probe",
    "Problem",
    "Project",
    "RefusedError",
    "Remarked",
    "Renderer",
    "Scope",
    "SeedsFixtures",
    "ShowsSql",
    "Source",
    "Step",
    "StepError",
    "StepFailedError",
    "StepModel",
    "UnreachableError",
    "Value",
    "Verdict",
    "Warned",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
