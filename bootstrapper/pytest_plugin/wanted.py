"""What a test asks for: options of pytest's configuration and command line, and the marker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from bootstrapper.dataclass import dataclass

Scope = Literal["function", "class", "module", "package", "session"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MARKER = "bootstrap"
_KEYWORDS = ("file", "environment", "scope")


@dataclass(frozen=True)
class Wanted:
    """The configuration that a template is made from.

    Attributes:
        root: pytest's root folder; `inputs` are relative to it.
        url: Address of the server to use instead of that of the file, with its variables unresolved.
        skip: Steps that are left out.
        inputs: Glob patterns of further files that the bootstrapped state depends on.
    """

    root: Path
    file: Path
    environment: str | None = None
    url: str | None = None
    skip: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("bootstrapper", "databases bootstrapped from bootstrap.yaml")
    group.addoption("--bootstrap-recreate", action="store_true", help="make the template database again")
    group.addoption("--bootstrap-environment", metavar="NAME", help="overrides bootstrap_environment")
    group.addoption("--bootstrap-database-url", metavar="URL", help="overrides bootstrap_database_url")
    group.addoption("--bootstrap-scope", choices=SCOPES, help="overrides bootstrap_scope")
    for name, kind, default, meaning in (
        ("file", "string", "", "the file, relative to the root folder (default: $BOOTSTRAPPER_FILE or bootstrap.yaml)"),
        ("environment", "string", "", "the environment of the file (default: $BOOTSTRAPPER_ENVIRONMENT)"),
        ("database_url", "string", "", "address of the server to use instead of that of the file; may hold ${NAME}"),
        ("scope", "string", "function", f"scope of bootstrap_database: {', '.join(SCOPES)}"),
        ("skip", "args", [], "steps of the file to leave out"),
        ("inputs", "args", [], "patterns of further files that the database depends on, relative to the root folder"),
    ):
        parser.addini(f"bootstrap_{name}", f"{meaning}.", type=kind, default=default)  # type: ignore[arg-type]


def configured(config: pytest.Config, variables: Mapping[str, str] = os.environ) -> Wanted:
    """Returns what the configuration asks for: the command line, then pytest's file, then the environment."""
    file = config.getini("bootstrap_file") or variables.get("BOOTSTRAPPER_FILE") or "bootstrap.yaml"
    environment = _option(config, "environment") or variables.get("BOOTSTRAPPER_ENVIRONMENT")
    return Wanted(
        root=config.rootpath,
        file=config.rootpath / file,
        environment=environment or None,
        url=_option(config, "database_url") or None,
        skip=tuple(config.getini("bootstrap_skip")),
        inputs=tuple(config.getini("bootstrap_inputs")),
    )


def wanted_by(node: pytest.Item | pytest.Collector, config: pytest.Config) -> Wanted:
    """Returns what the closest marker of a test, class or module asks for, over the configuration."""
    given = _marked(node)
    wanted = configured(config)
    if "file" in given:
        wanted = replace(wanted, file=config.rootpath / given["file"])
    if "environment" in given:
        wanted = replace(wanted, environment=given["environment"])
    return wanted


def configured_scope(config: pytest.Config) -> Scope:
    return _scope(_option(config, "scope"), "bootstrap_scope")


def scope_of(node: pytest.Item | pytest.Collector, config: pytest.Config) -> Scope:
    """Returns the scope that the marker names, else the configured one."""
    configured = configured_scope(config)
    scope = _scope(_marked(node).get("scope", configured), f"@pytest.mark.{MARKER}: scope")
    if SCOPES.index(scope) < SCOPES.index(configured):
        raise pytest.UsageError(
            f"@pytest.mark.{MARKER}: scope {scope!r} is narrower than bootstrap_scope, which is {configured!r}"
        )
    return scope


def _scope(given: object, where: str) -> Scope:
    for scope in SCOPES:
        if scope == given:
            return scope
    raise pytest.UsageError(f"{where}: {given!r} is not one of {', '.join(SCOPES)}")


def _option(config: pytest.Config, name: str) -> Any:
    given = config.getoption(f"bootstrap_{name}")
    return given if given is not None else config.getini(f"bootstrap_{name}")


def _marked(node: pytest.Item | pytest.Collector) -> Mapping[str, Any]:
    marker = node.get_closest_marker(MARKER)
    if marker is None:
        return {}
    unknown = [*map(repr, marker.args), *sorted(marker.kwargs.keys() - set(_KEYWORDS))]
    if unknown:
        raise pytest.UsageError(
            f"@pytest.mark.{MARKER} takes {', '.join(_KEYWORDS)} as keywords, not {', '.join(unknown)}"
        )
    return marker.kwargs
