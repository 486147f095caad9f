"""Answers about the file and its project without planning a run: validation, plugins, renderers, addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrapper.builtin import registry
from bootstrapper.config import load
from bootstrapper.config.load import Loaded
from bootstrapper.dataclass import dataclass
from bootstrapper.engine import plugins as engine_plugins
from bootstrapper.engine.open import Resolved, load_plugins, resolve
from bootstrapper.engine.plugin_registry import PluginInfo
from bootstrapper.engine.redact import disclose
from bootstrapper.engine.request import Request
from bootstrapper.engine.secrets import learn_variables
from bootstrapper.errors import UsageError
from bootstrapper.plans import Hazard
from bootstrapper.plugin.renderer import Renderer

if TYPE_CHECKING:
    from bootstrapper.postgres.server.embedded import EmbeddedServer


_STAND_IN = "1"
"""Fits where text is expected, and where a number is."""
_STAND_IN_URL = "postgresql://target/target"
"""Fits at the beginning of the address of the database."""


@dataclass(frozen=True)
class Validation:
    """What a file declares that was found right.

    Attributes:
        fixtures: The number of rows by fixture; None for those in a file of their own.
        allowed: The hazards that steps allow, by step; only where the environment is protected.
        revisions: The number of revisions whose SQL was examined.
        hazards: What was found in it, as if each table that they do not create had rows.
    """

    file: Path
    environment: str | None
    steps: tuple[str, ...]
    fixtures: Mapping[str, int | None]
    allowed: Mapping[str, tuple[str, ...]]
    revisions: int = 0
    hazards: tuple[Hazard, ...] = ()


def validate(request: Request, revisions: Collection[Path] = ()) -> Validation:
    """Reads the file, its overlay, its plugins and fixtures; connects to nothing, and lists no targets of a fleet.

    Args:
        revisions: Files of revisions whose SQL is examined as well; env.py renders it, without a connection.
    """
    resolved = resolve(_of_some_target(request), "validate", connects=False, looks_further=True)
    rows = {name: _row_count(fixture.rows) for name, fixture in resolved.project.fixtures.items()}
    steps = tuple(f"{entry.name} ({entry.unit.uses})" for entry in resolved.entries)
    is_protected = resolved.project.protected
    allowed = {entry.name: entry.allowed for entry in resolved.entries if entry.allowed and is_protected}
    hazards: tuple[Hazard, ...] = ()
    if revisions:
        from bootstrapper.api import revision_files  # noqa: PLC0415 - the linter takes as long to load as all else

        hazards = revision_files.hazards(request, resolved, revisions)
    return Validation(request.file, resolved.project.environment, steps, rows, allowed, len({*revisions}), hazards)


def plugins(request: Request) -> tuple[PluginInfo, ...]:
    """What is built in, what the file lists, also if it fails to load, and what is installed without being listed."""
    loaded = _load(request)
    learn_variables(request.masker, loaded.variables)  # what is wrong with a plugin may quote one
    listed = engine_plugins.listed(loaded)
    return engine_plugins.survey(listed, loaded.directory, quote=request.masker.quote, protected=loaded.protected)


def renderer(
    request: Request,
    format_name: str,
    width: int = 80,
    *,
    what: str = "plan",
    besides: Iterable[str] = (),
    is_full: bool = False,
) -> Renderer:
    """What turns a plan, or what else a command finds, into text of a format; a built-in one needs no file.

    Args:
        what: What it is to render, by the name of its method.
        besides: Formats that the command has itself.

    Raises UsageError for an unknown format, and for one that cannot render this.
    """
    found = {kind.format: kind for kind in registry.bootstrapper_renderers()}
    if format_name not in found:
        found = dict(load_plugins(request, _load(request)).renderers)
    known = ", ".join(sorted({*besides, *(name for name, kind in found.items() if kind.has(what))}))
    if format_name not in found:
        raise UsageError(f"unknown format {format_name!r}", hint=f"Choose one of these: {known}.")
    made = found[format_name](width)
    if not found[format_name].has(what):
        raise UsageError(f"format {format_name!r} has no {what}", hint=f"Choose one of these: {known}.")
    made.is_full = is_full
    made.file = str(request.file)
    return made


def embedded_server(request: Request) -> EmbeddedServer:
    """The embedded server of the file. Raises UsageError where the database is on a server of its own."""
    resolved: Resolved = resolve(request, "dev")
    if resolved.address.embedded is None:
        raise UsageError(
            f"the database is on {resolved.address.server}, not embedded",
            hint="Unset the variable that holds its address, or write `url: embedded:.bootstrapper/postgres`.",
        )
    return resolved.address.embedded


def url(request: Request, driver: str | None = None) -> str:
    """The database's URL, password included, for SQLAlchemy's driver where one is named.

    An embedded server is started where it does not run: the URL would lead nowhere otherwise.
    """
    address = resolve(request, "url").address
    with address.reached(writes=True) as target:
        return target.url(driver)


def is_protected(request: Request) -> bool:
    """Whether the environment is one in which nothing is dropped without its name being typed."""
    return _load(request).protected


def config_text(request: Request) -> str:
    """The file as it is in effect, with the overlay laid over it, as YAML without any secret."""
    loaded = _load(request)
    secret = {key for key, kind in load_plugins(request, loaded).values.items() if kind.secret}
    return disclose(loaded.document.data, secret)


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of plans."""
    from bootstrapper.plans.schema import plan_schema  # noqa: PLC0415 - only this needs it

    return plan_schema()


def config_schema(request: Request | None = None) -> dict[str, Any]:
    """The JSON Schema of files; with a request, that of its file, with what its plugins add."""
    from bootstrapper.engine import json_schema  # noqa: PLC0415 - only this command needs it

    return json_schema.json_schema(load_plugins(request, _load(request)) if request is not None else None)


def _of_some_target(request: Request) -> Request:
    """Returns the request with a stand-in for each variable of a target, if the file is one for many databases."""
    document = load.read_all(request.file, request.environment, request.variables).document
    if document.get(("fleet",)) is None:
        return request
    database = document.get(("database",), {})
    urls = [str(database.get(key, "")) for key in ("url", "direct_url")] if isinstance(database, dict) else []
    stand_ins = {
        name: _STAND_IN_URL if any(url.startswith((f"${{{name}}}", f"${{{name}:")) for url in urls) else _STAND_IN
        for name in document.names_of_target()
    }
    return replace(request, variables={**stand_ins, **request.variables})


def _row_count(rows: object) -> int | None:
    return len(rows) if isinstance(rows, dict | list) else None


def _load(request: Request) -> Loaded:
    return load.load(request.file, request.environment, request.variables)
