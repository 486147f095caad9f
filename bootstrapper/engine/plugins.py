"""Loads plugins and collects what they provide; the only caller of hooks.

Built-ins come first, then what the file lists: folders of single files, and installed distributions by name. An
installed distribution that the file does not list is shown by `plugins list`, and never imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pluggy

from bootstrapper.builtin import registry as builtins
from bootstrapper.config.files import is_folder
from bootstrapper.config.recent import Recent
from bootstrapper.engine import distributions
from bootstrapper.engine.plugin_files import import_file, require_unshared
from bootstrapper.errors import PluginError, Source
from bootstrapper.plugin import hooks as hookspecs
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.faults import is_ours, loading
from bootstrapper.plugin.on_demand import ByName, OnDemand
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.plugin.value import Value
from bootstrapper.text import did_you_mean

_HOOK_PREFIX = "bootstrapper_"

Quote = Callable[[str], str]


@dataclass(frozen=True)
class PluginInfo:
    """One plugin and what it provides; an unlisted one was not imported, so that is unknown."""

    name: str
    origin: str
    listed: bool
    steps: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    renderers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plugins:
    """Everything that `uses:`, checks, values and `--format` may name.

    Attributes:
        files: The files of local plugins, and of the packages of installed ones; they belong to the digest of the
            configuration.
        versions: Names and versions of installed distributions, which belong to it as well.
    """

    steps: Mapping[str, type[Unit]]
    checks: Mapping[str, type[Check]]
    values: Mapping[str, type[Value]]
    renderers: Mapping[str, type[Renderer]]
    infos: tuple[PluginInfo, ...]
    files: tuple[Path, ...] = ()
    versions: tuple[str, ...] = ()


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

    def _taken(self, thing: object, origin: str) -> tuple[str, object]:
        """Returns the name, and the class as the engine uses it."""
        if not (inspect.isclass(thing) and issubclass(thing, self.base)):
            names = " or ".join(base.__name__ for base in self.base)
            raise PluginError(origin, f"{thing!r} is not a subclass of {names}")
        if inspect.isabstract(thing):
            missing = ", ".join(sorted(getattr(thing, "__abstractmethods__", ())))
            raise PluginError(origin, f"{thing.__name__} does not define {missing}")
        name = getattr(thing, self.attribute, None)
        if not isinstance(name, str) or not name:
            raise PluginError(origin, f"{thing.__name__} has no `{self.attribute}`")
        if not is_ours(thing):
            from bootstrapper.engine.plugin_classes import usable  # noqa: PLC0415 - for plugins of others alone

            thing = usable(thing, name, origin)
        return name, thing


@dataclass(frozen=True)
class _Found:
    name: str
    origin: str
    plugin: object


def load(
    listed: Sequence[tuple[str, Source | None]], directory: Path, *, quote: Quote = str, protected: bool = False
) -> Plugins:
    """Imports what the file lists, in its order, after the built-ins.

    Args:
        listed: Folders and names of distributions, with their places in the file.
        directory: Where relative folders start.
        quote: Makes what a plugin's own error says fit to be shown.
        protected: Whether the environment is protected: then folders and files that others may write are refused.

    Raises PluginError, or GuardError for such a folder or file.
    """
    found = [_Found("built-in", "bootstrapper", builtins)]
    files: list[Path] = []
    versions: list[str] = []
    for text, source in listed:
        if _is_folder(text):
            folder = directory / _expanded(text)
            if protected:
                require_unshared(folder, source)
            local = _local_plugins(folder, text, source, quote)
            files += [path for path, _ in local]
            found += [plugin for _, plugin in local]
        else:
            for point in distributions.points_of(text, source):
                plugin = distributions.import_point(text, point, source, quote)
                found.append(_Found(point.name, _origin(text, point), plugin))
                files += distributions.code_of(point)
                versions.append(distributions.version_of(point))
    return replace(_collected(found, tuple(files), quote), versions=tuple(versions))


def folders(listed: Iterable[str], directory: Path) -> list[Path] | None:
    """Returns the folders of single files that the file lists; None if it lists an installed distribution as well."""
    texts = list(listed)
    return [directory / _expanded(text) for text in texts] if all(map(_is_folder, texts)) else None


def _is_folder(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "/" in text


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # an unknown user; the folder is not found then
        return Path(text)


def _local_plugins(folder: Path, text: str, source: Source | None, quote: Quote) -> list[tuple[Path, _Found]]:
    if not is_folder(folder):
        raise PluginError(text, "folder does not exist", source=source)
    paths = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return [(path, _Found(path.stem, str(path), import_file(path, quote))) for path in paths]


def unlisted(listed: Iterable[str]) -> list[PluginInfo]:
    """Returns installed distributions with plugins that the file does not list; none of them is imported."""
    points = distributions.unlisted(listed)
    return [PluginInfo(point.name, _origin(distributions.name_of(point), point), listed=False) for point in points]


def _origin(name: str, point: EntryPoint) -> str:
    return f"{name} ({point.value})"


_COLLECTED = Recent[tuple[object, ...], tuple[Sequence[_Found], Plugins]](most=16)


def _collected(found: Sequence[_Found], files: tuple[Path, ...], quote: Quote) -> Plugins:
    """As `_collect`; what the same modules provide stays the same."""
    key = (files, *((item.name, item.origin, id(item.plugin)) for item in found))
    return _COLLECTED.get(key, lambda: (found, _collect(found, files, quote)))[1]  # the ids belong to what it keeps


def _collect(found: Sequence[_Found], files: tuple[Path, ...], quote: Quote) -> Plugins:
    manager = pluggy.PluginManager("bootstrapper")
    manager.add_hookspecs(hookspecs)
    for item in found:
        _register(manager, item)
    values = _Registry("value", "key", (Value,))
    checks = _Registry("check", "key", (Check,))
    steps = _Registry("step", "uses", (Gate, Scope, Step))
    renderers = _Registry("renderer", "format", (Renderer,))
    infos = []
    for item in found:
        infos.append(
            PluginInfo(
                item.name,
                item.origin,
                listed=True,
                values=_brought(manager, found, item, "bootstrapper_values", values, quote=quote),
                checks=_brought(manager, found, item, "bootstrapper_checks", checks, quote=quote),
                steps=_brought(manager, found, item, "bootstrapper_steps", steps, quote=quote),
                renderers=_brought(manager, found, item, "bootstrapper_renderers", renderers, quote=quote),
            )
        )
    return Plugins(
        ByName(steps.found),
        ByName(checks.found),
        ByName(values.found),
        ByName(renderers.found),
        tuple(infos),
        files,
    )


def _register(manager: pluggy.PluginManager, item: _Found) -> None:
    hooks = [
        name for name in dir(item.plugin) if name.startswith(_HOOK_PREFIX) and callable(getattr(item.plugin, name))
    ]
    for name in hooks:
        _require_known_hook(manager, item, name)
    if not hooks:
        hint = "Add one, such as bootstrapper_steps; start the name of a file that is not a plugin with _."
        raise PluginError(item.origin, "has no hooks", hint=hint)
    name = f"{item.origin}:{item.name}"
    if manager.has_plugin(name) or manager.is_registered(item.plugin):
        raise PluginError(item.origin, "is listed twice")
    try:
        manager.register(item.plugin, name=name)
    except pluggy.PluginValidationError as error:
        reason = str(error).replace("\n", " ")
        raise PluginError(
            item.origin, reason, hint="Write the hook with the signature in docs/reference/hooks.md."
        ) from error


def _require_known_hook(manager: pluggy.PluginManager, item: _Found, name: str) -> None:
    known = [hook for hook in dir(manager.hook) if hook.startswith(_HOOK_PREFIX)]
    if name not in known:
        raise PluginError(item.origin, f"unknown hook {name!r}", hint=did_you_mean(name, known))
    if manager.parse_hookimpl_opts(item.plugin, name) is None:
        raise PluginError(item.origin, f"{name} is not marked as a hook", hint="Write @bootstrapper.hookimpl above it.")


def _brought(
    manager: pluggy.PluginManager,
    found: Sequence[_Found],
    item: _Found,
    hook: str,
    registry: _Registry,
    *,
    quote: Quote,
) -> tuple[str, ...]:
    others = [other.plugin for other in found if other.plugin is not item.plugin]
    caller = manager.subset_hook_caller(hook, remove_plugins=others)
    with loading(item.origin, hook, quote=quote):
        results = caller()
    if not results and caller.get_hookimpls():  # pluggy leaves None out
        results = [None]
    things = [thing for result in results for thing in _listed_things(result, item, hook)]
    return tuple(registry.add(thing, item.origin) for thing in things)


def _listed_things(result: object, item: _Found, hook: str) -> list[object]:
    if not isinstance(result, (list, tuple)):
        raise PluginError(item.origin, f"{hook} must return a list of classes, not {type(result).__name__}")
    return list(result)
