"""The methods that the engine calls of a plugin's classes: what each must return, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from bootstrapper.plans import Answer, Bounds, ChangeLimits
from bootstrapper.plugin import results
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.value import Value

API_VERSION = 1
"""The version of these contracts; it rises when a plugin that was right before would not be any more."""

SETTLED = frozenset(["problems", "inputs", "seeds", "heads", "beforehand", "marks", "about"])
LOADING = SETTLED | {"__init__", "is_secret", "hides_argument", "variables", "files"}
"""Methods that are called for the configuration: what is wrong with them is an error of it."""
READING = frozenset(
    ["changes", "findings", "hazards", "with_sql", "done_reason", "bounds", "limits", "parts", "ask", "open"]
)
"""Methods that may only read, wherever they are called."""
REASONED = frozenset(["check", "resolve", "is_compared", "holds"])
"""Methods of values that raise ValueError with a reason, which callers report at its place in the file."""

SHOWN = frozenset(
    ["changes", "with_sql", "findings", "done_reason", "remarks", "answer", "ask", "beforehand", "problems"]
)
"""Methods whose results are texts for people."""

_bool = results.exactly(bool)
_texts = results.listed(str)

CONTRACTS: Mapping[type[Any], Mapping[str, results.Check]] = {
    Step: {
        "changes": results.CHANGES,
        "apply": results.nothing,
        "findings": results.FINDINGS,
        "hazards": results.HAZARDS,
        "problems": results.PROBLEMS,
        "inputs": results.PATHS,
        "prepare": results.nothing,
        "parts": results.parts,
        "bounds": results.exactly(Bounds, or_none=True),
        "done_reason": results.exactly(str),
        "remarks": _texts,
        "with_sql": results.CHANGES,
        "seeds": _texts,
        "limits": results.mapped(ChangeLimits),
        "heads": _texts,
    },
    Gate: {"open": results.nothing},
    Scope: {"around": results.exactly(AbstractContextManager)},
    Check: {
        "probe": results.exactly(Probe, or_none=True),
        "answer": results.exactly(Answer),
        "ask": results.exactly(Answer),
        "beforehand": results.exactly(Answer, or_none=True),
        "problems": results.PROBLEMS,
        "marks": _texts,
        "about": _texts,
    },
    Value: {
        "is_secret": _bool,
        "hides_argument": _bool,
        "variables": _texts,
        "files": _texts,
        "check": results.nothing,
        "resolve": results.plain,
        "is_compared": _bool,
        "holds": _bool,
    },
    Renderer: dict.fromkeys(("plan", "outcome", "status", "history"), results.exactly(str)),
}
"""The methods that the engine calls, by the class that they belong to, and what each must return."""

_LISTS = (results.CHANGES, results.FINDINGS, results.HAZARDS, results.PROBLEMS, results.PATHS, _texts, results.parts)


def may_yield(check: results.Check) -> bool:
    """Returns whether a method with this result may be a generator."""
    return check in _LISTS


def contract_of(kind: type[Any]) -> Mapping[str, results.Check]:
    """Returns the methods of a class that the engine calls, with what each must return."""
    found = next(contract for base, contract in CONTRACTS.items() if issubclass(kind, base))
    return {name: check for name, check in found.items() if hasattr(kind, name)}
