"""Collects what plugins provide; the only caller of hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from operator import attrgetter
from typing import Any, Self

import pluggy

from bootstrapper.dataclass import dataclass
from bootstrapper.engine.callbacks import Callback
from bootstrapper.engine.plugin_api import require_supported
from bootstrapper.errors import BootstrapperError, PluginError
from bootstrapper.plugin import hooks as hookspecs
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.faults import is_ours, loading, text_of
from bootstrapper.plugin.on_demand import OnDemand
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.value import Value
from bootstrapper.text import did_you_mean

_HOOK_PREFIX = "bootstrapper_"
_maker_of = attrgetter("__init__.__qualname__")
_CALLED = ("events", "configured")
_CLASSES = "Return the class, not an instance of it: `[Name]`, not `[Name()]`."

Quote = Callable[[str], str]


@dataclass(frozen=True)
class PluginInfo:
    """One plugin and what it provides; of an unlisted one, which was not imported, that is unknown.

    Attributes:
        hooks: The hooks that are called at each run, `events` and `configured`.
        origin: Its file, or its distribution and module.
        version: That of its distribution; None for a file.
        failure: Why it could not be loaded; None if it was.
    """

    name: str
    origin: str
    listed: bool
    version: str | None = None
    failure: str | None = None
    hint: str | None = None
    steps: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    renderers: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()

    @classmethod
    def failed(cls, name: str, origin: str, error: BootstrapperError, version: str | None = None) -> Self:
        failure = error.reason if isinstance(error, PluginError) else error.message
        return cls(name, origin, listed=True, version=version, failure=failure, hint=error.hint)


@dataclass(frozen=True)
class Found:
    """A plugin that was imported."""

    name: str
    origin: str
    plugin: object
    version: str | None = None


@dataclass
class _Registry:
    """One kind of contract by name, and which plugin provides it."""

    kind: str
    attribute: str
    base: tuple[type, ...]
    found: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add(self, thing: object, origin: str) -> str:
        if isinstance(thing, OnDemand):
            name = thing.name
        else:
            name, thing = self._taken(thing, origin)
        if name in self.found:
            raise PluginError(
                origin,
                f"{self.kind} {name!r} is already provided by {self.origins[name]}",
                hint=f"Give one of the two another `{self.attribute}`, or list only one of the plugins.",
            )
        self.found[name] = thing
        self.origins[name] = origin
        return name

    def hint_for(self, error: BaseException) -> str | None:
        """Returns a hint for a hook that fails because it makes instances, which need what only the engine has."""
        makers = tuple(f"{_maker_of(base)}() missing" for base in self.base)
        return _CLASSES if isinstance(error, TypeError) and text_of(error).startswith(makers) else None

    def _taken(self, thing: object, origin: str) -> tuple[str, object]:
        """Returns the name, and the class as the engine uses it."""
        if not (inspect.isclass(thing) and issubclass(thing, self.base)):
            if isinstance(thing, self.base):
                raise PluginError(origin, f"{type(thing).__name__} is returned as an instance", hint=_CLASSES)
            names = " or ".join(base.__name__ for base in self.base)
            raise PluginError(origin, f"{thing!r} is not a subclass of {names}")
        if inspect.isabstract(thing):
            missing = ", ".join(sorted(getattr(thing, "__abstractmethods__", ())))
            raise PluginError(origin, f"{thing.__name__} does not define {missing}")
        name = getattr(thing, self.attribute, None)
        if name is None or name == "":
            raise PluginError(origin, f"{thing.__name__} has no `{self.attribute}`")
        if not isinstance(name, str):
            raise PluginError(origin, f"`{self.attribute}` of {thing.__name__} must be text, not {type(name).__name__}")
        if not is_ours(thing):
            from bootstrapper.engine.plugin_classes import usable  # noqa: PLC0415 - for plugins of others alone

            thing = usable(thing, name, origin)
        return name, thing

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            del self.found[name], self.origins[name]


class Collector:
    """Registers plugins one after the other; none may provide what an earlier one does."""

    def __init__(self, quote: Quote) -> None:
        self._quote = quote
        self._manager = pluggy.PluginManager("bootstrapper")
        self._manager.add_hookspecs(hookspecs)
        self._added: list[Found] = []
        self._registries = {
            "values": _Registry("value", "key", (Value,)),
            "checks": _Registry("check", "key", (Check,)),
            "steps": _Registry("step", "uses", (Gate, Scope, Step)),
            "renderers": _Registry("renderer", "format", (Renderer,)),
        }

    def found(self, kind: str) -> Mapping[str, Any]:
        """Returns everything of a kind, such as `steps`, by name."""
        return self._registries[kind].found

    def callbacks(self, kind: str) -> tuple[Callback, ...]:
        """Returns the functions for a hook that is called with something: `events` or `configured`."""
        hook = f"{_HOOK_PREFIX}{kind}"  # only now: a caller calls plugins that are registered later as well
        callers = [(item.origin, self._caller(item, hook)) for item in self._added]
        return tuple(Callback(origin, hook, caller) for origin, caller in callers if caller.get_hookimpls())

    def add(self, item: Found) -> PluginInfo:
        """Calls the hooks of a plugin. Raises PluginError; then nothing of it was added."""
        known = {kind: set(registry.found) for kind, registry in self._registries.items()}
        try:
            self._register(item)
            provided = {kind: self._provided(item, kind) for kind in self._registries}
        except PluginError:
            for kind, registry in self._registries.items():
                registry.forget(registry.found.keys() - known[kind])
            raise
        self._added.append(item)
        called = tuple(kind for kind in _CALLED if self._caller(item, f"{_HOOK_PREFIX}{kind}").get_hookimpls())
        return PluginInfo(
            item.name,
            item.origin,
            listed=True,
            version=item.version,
            steps=provided["steps"],
            checks=provided["checks"],
            values=provided["values"],
            renderers=provided["renderers"],
            hooks=called,
        )

    def _register(self, item: Found) -> None:
        require_supported(item.plugin, item.origin)
        hooks = [
            name for name in dir(item.plugin) if name.startswith(_HOOK_PREFIX) and callable(getattr(item.plugin, name))
        ]
        for name in hooks:
            self._require_known_hook(item, name)
        if not hooks:
            hint = "Add one, such as bootstrapper_steps; start the name of a file that is not a plugin with _."
            raise PluginError(item.origin, "has no hooks", hint=hint)
        name = f"{item.origin}:{item.name}"
        if self._manager.has_plugin(name) or self._manager.is_registered(item.plugin):
            raise PluginError(item.origin, "is listed twice")
        try:
            self._manager.register(item.plugin, name=name)
        except pluggy.PluginValidationError as error:
            reason = str(error).replace("\n", " ")
            raise PluginError(
                item.origin, reason, hint="Write the hook with the signature in the module bootstrapper.plugin.hooks."
            ) from error

    def _require_known_hook(self, item: Found, name: str) -> None:
        known = [hook for hook in dir(self._manager.hook) if hook.startswith(_HOOK_PREFIX)]
        if name not in known:
            raise PluginError(item.origin, f"unknown hook {name!r}", hint=did_you_mean(name, known))
        if self._manager.parse_hookimpl_opts(item.plugin, name) is None:
            raise PluginError(
                item.origin, f"{name} is not marked as a hook", hint="Write @bootstrapper.hookimpl above it."
            )
        _require_callable(getattr(item.plugin, name), name, item.origin)

    def _provided(self, item: Found, kind: str) -> tuple[str, ...]:
        """Returns the names of what the plugin's hook of a kind returns."""
        hook = f"{_HOOK_PREFIX}{kind}"
        caller = self._caller(item, hook)
        with loading(item.origin, hook, quote=self._quote, hint=self._registries[kind].hint_for):
            results = caller()
        if not results and caller.get_hookimpls():  # pluggy leaves None out
            results = [None]
        things = [thing for result in results for thing in _listed_things(result, item, hook)]
        return tuple(self._registries[kind].add(thing, item.origin) for thing in things)

    def _caller(self, item: Found, hook: str) -> pluggy.HookCaller:
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not item.plugin]
        return self._manager.subset_hook_caller(hook, remove_plugins=others)


def _require_callable(function: Callable[..., object], name: str, origin: str) -> None:
    """Raises PluginError for a hook that is asynchronous, or that takes what it is not called with."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(origin, f"{name} is asynchronous; it must be `def`, not `async def`")
    known = list(inspect.signature(getattr(hookspecs, name)).parameters)
    parameters = inspect.signature(function).parameters.values()
    taken = [each for each in parameters if each.default is each.empty and not str(each).startswith("*")]
    if any(each.name not in known or each.kind is not each.POSITIONAL_OR_KEYWORD for each in taken):
        raise PluginError(origin, f"{name} must take ({', '.join(known)}), not {inspect.signature(function)}")


def _listed_things(result: object, item: Found, hook: str) -> list[object]:
    if not isinstance(result, (list, tuple)):
        found = f"the class {result.__name__}" if isinstance(result, type) else type(result).__name__
        raise PluginError(item.origin, f"{hook} must return a list of classes, not {found}")
    return list(result)
