"""Findings about revisions that open a second connection beside the one that they are applied on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.plans import Finding

_WORDS = (b"engine", b"SessionLocal", b"db")
_MAKERS = frozenset({"create_engine", "create_async_engine", "engine_from_config", "async_engine_from_config"})
_SQLALCHEMY = "sqlalchemy"
_HARMLESS = frozenset({"name", "dialect", "driver", "url"})
"""Attributes of an engine that open no connection."""

MESSAGE = (
    "uses a second connection, which sees only committed changes: with one transaction per revision these differ from"
    " plain Alembic, which uses one transaction for all"
)
REMEDY = "Use op.get_bind() there, or set `transaction_per_migration: false` under `with:`."


def findings(pending: Sequence[Revision]) -> list[Finding]:
    """Returns findings about all pending revisions but the first: before that one, nothing is uncommitted anyway."""
    found = ((revision, next(_second_connections(revision.file), None)) for revision in pending[1:])
    return [
        Finding(f"revision {revision.id}", f"{MESSAGE} ({place})", REMEDY)
        for revision, place in found
        if place is not None
    ]


def _second_connections(file: Path | None) -> Iterator[str]:
    """Yields the places in the text of a revision; helpers of the project are not searched."""
    try:
        content = file.read_bytes() if file is not None else b""
        module = ast.parse(content) if any(word in content for word in _WORDS) else None
    except (OSError, SyntaxError, ValueError):
        return
    if module is None:
        return
    modules, engines = set(_modules(module)), set(_imported(module, _is_engine))
    databases = set(_imported(module, lambda name: name == "db"))
    harmless = {
        id(node.value) for node in ast.walk(module) if isinstance(node, ast.Attribute) and node.attr in _HARMLESS
    }
    for node in ast.walk(module):
        if id(node) not in harmless and (_leads_to_engine(node, modules, engines) or _uses_database(node, databases)):
            assert isinstance(node, ast.expr)
            yield f"{ast.unparse(node)}, line {node.lineno}"


def _leads_to_engine(node: ast.AST, modules: set[str], engines: set[str]) -> bool:
    match node:
        case ast.Attribute(attr="engine", ctx=ast.Load(), value=ast.Name(id=name)):
            return name not in modules
        case ast.Attribute(attr="engine", ctx=ast.Load()):
            return True
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in _MAKERS:
            return True
        case ast.Name(id=name, ctx=ast.Load()):
            return name in engines
    return False


def _uses_database(node: ast.AST, names: set[str]) -> bool:
    """Whether it uses the database object of Flask-SQLAlchemy, whose sessions are on its own engine."""
    match node:
        case ast.Attribute(attr="session" | "get_engine", value=ast.Name(id=name)):
            return name in names
        case ast.Call(args=arguments, keywords=keywords):
            given = [*arguments, *(keyword.value for keyword in keywords)]
            return any(isinstance(each, ast.Name) and each.id in names for each in given)
    return False


def _modules(module: ast.Module) -> Iterator[str]:
    """Yields the names of SQLAlchemy itself, whose `engine` is a module."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (each.asname or _SQLALCHEMY for each in node.names if each.name.split(".")[0] == _SQLALCHEMY)


def _imported(module: ast.Module, is_wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yields the names imported from the project's own modules, as the revision calls them."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] != _SQLALCHEMY:
            yield from (each.asname or each.name for each in node.names if is_wanted(each.name))


def _is_engine(name: str) -> bool:
    """Whether the name is that of an engine, or of a factory of sessions on one."""
    return name in ("SessionLocal", "engine") or name.endswith("_engine")
