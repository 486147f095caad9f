"""Loads plugins: the built-ins first, then what the file lists, folders of single files and installed distributions,
and those that come with bootstrapper.

An installed distribution that the file does not list is shown by `plugins list`, and never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bootstrapper import __version__
from bootstrapper.builtin import registry as builtins
from bootstrapper.config.files import is_folder
from bootstrapper.config.load import Loaded
from bootstrapper.config.recent import Recent
from bootstrapper.dataclass import dataclass
from bootstrapper.engine import distributions
from bootstrapper.engine.callbacks import Callback
from bootstrapper.engine.plugin_files import import_file, package_of, require_unshared, sources
from bootstrapper.engine.plugin_registry import Collector, Found, PluginInfo, Quote
from bootstrapper.errors import GuardError, PluginError, Source
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.faults import loading
from bootstrapper.plugin.on_demand import ByName
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.step import Unit
from bootstrapper.plugin.value import Value

_OWN = "bootstrapper.integrations."
"""Begins the names of plugins that come with bootstrapper, and that only a file that lists them loads."""
_BUILT_IN = Found("built-in", "bootstrapper", builtins, __version__)

Listed = Sequence[tuple[str, Source | None]]
"""What the file lists, folders and names of distributions, with the places in the file."""


@dataclass(frozen=True)
class Plugins:
    """Everything that `uses:`, checks, values and `--format` may name.

    Attributes:
        observers: The functions that are told the events of a run.
        configured: The functions that are asked about the configuration.
        files: The files of local plugins, and of the packages of installed ones; they belong to the digest of the
            configuration.
        versions: Names and versions of installed distributions, which belong to it as well.
    """

    steps: Mapping[str, type[Unit]]
    checks: Mapping[str, type[Check]]
    values: Mapping[str, type[Value]]
    renderers: Mapping[str, type[Renderer]]
    observers: tuple[Callback, ...] = ()
    configured: tuple[Callback, ...] = ()
    files: tuple[Path, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A plugin that is yet to be imported.

    Attributes:
        files: Returns the files that decide what it does, once it is imported.
    """

    name: str
    origin: str
    load: Callable[[], object]
    files: Callable[[], Sequence[Path]]
    version: str | None = None
    distribution: str | None = None

    def found(self) -> Found:
        """Imports it; raises PluginError."""
        return Found(self.name, self.origin, self.load(), self.version)


def listed(loaded: Loaded) -> Listed:
    return [
        (text, loaded.document.source(("plugins", position)))
        for position, text in enumerate(loaded.config.plugins)
        if ("plugins", position) not in loaded.misshapen
    ]


def load(listed: Listed, directory: Path, *, quote: Quote = str, protected: bool = False) -> Plugins:
    """Imports what the file lists, in its order, after the built-ins.

    Args:
        directory: Where relative folders start.
        quote: Makes what a plugin's own error says fit to be shown.
        protected: Whether the environment is protected: then folders and files that others may write are refused.

    Raises PluginError, or GuardError for such a folder or file.
    """
    found = [_BUILT_IN]
    files: list[Path] = []
    versions: list[str] = []
    for text, source in listed:
        for candidate in _candidates(text, source, directory, quote, protected=protected):
            found.append(candidate.found())
            files += candidate.files()
            versions += [f"{candidate.distribution} {candidate.version}"] if candidate.distribution else []
    return replace(_collected(found, tuple(dict.fromkeys(files)), quote), versions=tuple(versions))


def survey(listed: Listed, directory: Path, *, quote: Quote = str, protected: bool = False) -> tuple[PluginInfo, ...]:
    """Returns the built-ins, what the file lists, and installed distributions that it does not list.

    A plugin that `load` would raise an error for has that as its failure, and does not hide the others.
    """
    collector = Collector(quote)
    infos = [collector.add(_BUILT_IN)]
    for text, source in listed:
        try:
            candidates = list(_candidates(text, source, directory, quote, protected=protected))
        except (PluginError, GuardError) as error:
            infos.append(PluginInfo.failed(text, text, error))
            continue
        for candidate in candidates:
            try:
                infos.append(collector.add(candidate.found()))
            except PluginError as error:
                infos.append(PluginInfo.failed(candidate.name, candidate.origin, error, candidate.version))
    return (*infos, *_unlisted(text for text, _ in listed))


def folders(listed: Iterable[str], directory: Path) -> list[Path] | None:
    """Returns the folders of single files that the file lists; None if it lists an installed distribution as well."""
    texts = list(listed)
    return [directory / _expanded(text) for text in texts] if all(map(_is_folder, texts)) else None


def first_folder(listed: Listed, directory: Path) -> Path | None:
    """Returns the first folder of single files that the file lists."""
    return next((directory / _expanded(text) for text, _ in listed if _is_folder(text)), None)


def _candidates(
    text: str, source: Source | None, directory: Path, quote: Quote, *, protected: bool
) -> Iterator[_Candidate]:
    """Yields the plugins of a folder or a distribution, none of them imported; raises as `load` does."""
    if text.startswith(_OWN):
        yield _own(text, source, quote)
    elif _is_folder(text):
        yield from _local(directory / _expanded(text), text, source, quote, protected=protected)
    else:
        yield from _installed(text, source, quote)


def _own(text: str, source: Source | None, quote: Quote) -> _Candidate:
    def load() -> object:
        if find_spec(text) is None:
            raise PluginError(text, "no such plugin of bootstrapper", source=source)
        with loading(text, "import", source, quote):
            return import_module(text)

    return _Candidate(text.removeprefix(_OWN), text, load, tuple, __version__)


def _local(folder: Path, text: str, source: Source | None, quote: Quote, *, protected: bool) -> Iterator[_Candidate]:
    if protected:
        require_unshared(folder, source)
    if not is_folder(folder):
        raise PluginError(text, "folder does not exist", source=source)
    files = sources(folder)
    package = package_of(folder, files)
    for path in sorted(path for path in folder.glob("*.py") if not path.name.startswith("_")):
        yield _Candidate(path.stem, str(path), partial(import_file, path, package, quote), partial(list, files))


def _installed(text: str, source: Source | None, quote: Quote) -> Iterator[_Candidate]:
    for point in distributions.points_of(text, source):
        yield _Candidate(
            point.name,
            f"{text} ({point.value})",
            partial(distributions.import_point, text, point, source, quote),
            partial(distributions.code_of, point),
            distributions.version_of(point),
            distributions.name_of(point),
        )


def _unlisted(listed: Iterable[str]) -> Iterator[PluginInfo]:
    for point in distributions.unlisted(listed):
        origin = f"{distributions.name_of(point)} ({point.value})"
        yield PluginInfo(point.name, origin, listed=False, version=distributions.version_of(point))


def _is_folder(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "/" in text


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # an unknown user; the folder is not found then
        return Path(text)


_COLLECTED = Recent[tuple[object, ...], tuple[Sequence[Found], Plugins]](most=16)


def _collected(found: Sequence[Found], files: tuple[Path, ...], quote: Quote) -> Plugins:
    """As `_collect`; what the same modules provide stays the same."""
    key = (files, *((item.name, item.origin, id(item.plugin)) for item in found))
    return _COLLECTED.get(key, lambda: (found, _collect(found, files, quote)))[1]  # the ids belong to what it keeps


def _collect(found: Sequence[Found], files: tuple[Path, ...], quote: Quote) -> Plugins:
    collector = Collector(quote)
    for item in found:
        collector.add(item)
    return Plugins(
        ByName(collector.found("steps")),
        ByName(collector.found("checks")),
        ByName(collector.found("values")),
        ByName(collector.found("renderers")),
        collector.callbacks("events"),
        collector.callbacks("configured"),
        files,
    )
