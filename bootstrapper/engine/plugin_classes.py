"""Takes the classes of plugins: what can be seen to be wrong with one is said before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from bootstrapper.errors import PluginError
from bootstrapper.plugin.boundary import guarded
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.contracts import CONTRACTS, contract_of, may_yield
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.step import Unit
from bootstrapper.plugin.traits import TRAITS
from bootstrapper.plugin.value import Value

_JOINING = ("all", "any", "not")
_REFERENCE = "$ref"


def usable(kind: type[Any], name: str, origin: str) -> type[Any]:
    """Returns a plugin's class as the engine uses it; raises PluginError for one that cannot work.

    Args:
        name: Its `uses`, `key` or `format`.
        origin: The plugin, as errors name it.
    """
    _require_reachable(kind, name, origin)
    _require_methods(kind, origin)
    _require_strict_options(kind, origin)
    return guarded(kind, origin)


def _require_reachable(kind: type[Any], name: str, origin: str) -> None:
    """Raises PluginError for a name that the file cannot use."""
    if issubclass(kind, Check) and name in _JOINING:
        raise PluginError(origin, f"{kind.__name__} cannot have the key {name!r}, which joins checks")
    if issubclass(kind, Value) and (name == _REFERENCE or not name.startswith("$") or len(name) == 1):
        hint = "Keys of value functions begin with $; $ref is that of references."
        raise PluginError(origin, f"{kind.__name__} cannot have the key {name!r}", hint=hint)


def _require_methods(kind: type[Any], origin: str) -> None:
    """Raises PluginError for a method that the engine cannot call."""
    for name, check in contract_of(kind).items():
        method, expected = getattr(kind, name), _expected(kind, name)
        if not callable(method):
            raise PluginError(origin, f"{kind.__name__}.{name} is not a method")
        within = inspect.unwrap(method) if name == "around" else method  # @asynccontextmanager hides what it wraps
        if inspect.iscoroutinefunction(within) or inspect.isasyncgenfunction(within):
            raise PluginError(origin, f"{kind.__name__}.{name} is asynchronous; it must be `def`, not `async def`")
        if inspect.isgeneratorfunction(method) and not may_yield(check):
            raise PluginError(origin, f"{kind.__name__}.{name} yields; nothing of it would run")
        parameters = list(inspect.signature(expected).parameters.values())[1:]
        named = {each.name: None for each in parameters if each.kind is each.KEYWORD_ONLY}
        is_plain = not isinstance(inspect.getattr_static(kind, name), staticmethod | classmethod)
        try:
            inspect.signature(method).bind(*[None] * (len(parameters) - len(named) + is_plain), **named)
        except TypeError:
            wanted = ", ".join(["self", *(each.name for each in parameters)])
            raise PluginError(origin, f"{kind.__name__}.{name} must take ({wanted})") from None
    if issubclass(kind, Check):
        _require_question(kind, origin)


def _expected(kind: type[Any], name: str) -> Callable[..., Any]:
    """Returns the method of the contract, or of the trait, that this one stands for."""
    bases = [*(base for base in CONTRACTS if issubclass(kind, base)), *TRAITS]
    found: Callable[..., Any] = next(getattr(base, name) for base in bases if hasattr(base, name))
    return found


def _require_question(kind: type[Check], origin: str) -> None:
    """Raises PluginError for a check that neither asks by a probe nor by itself."""
    own = {name for name in ("probe", "answer", "ask") if getattr(kind, name) is not getattr(Check, name)}
    if "ask" not in own and not {"probe", "answer"} <= own:
        raise PluginError(origin, f"{kind.__name__} defines neither `probe` and `answer` nor `ask`")


def _require_strict_options(kind: type[Any], origin: str) -> None:
    """Raises PluginError for a model that would take unknown keys."""
    model: Any = getattr(kind, "options_type" if issubclass(kind, Unit) else "argument_type", None)
    is_model = inspect.isclass(model) and issubclass(model, BaseModel)
    if (is_model or issubclass(kind, Unit)) and not (is_model and issubclass(model, StepModel)):
        base = next(each.__name__ for each in CONTRACTS if issubclass(kind, each))
        raise PluginError(origin, f"{kind.__name__}: the type in {base}[...] must be a subclass of StepModel")
