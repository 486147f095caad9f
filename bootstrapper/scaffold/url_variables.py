"""The variables that a project reads the address of its database from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from bootstrapper.config import document
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import InvalidFileError
from bootstrapper.scaffold.sources import keyword, literal, text_of, tree_of
from bootstrapper.scaffold.variable_names import names_address, parts

_FUNCTIONS = frozenset({"getenv", "config", "env"})
"""Of os, python-decouple and environs; `get` counts as a method of os.environ or of an Env only."""
_ENVIRONMENTS = re.compile(r"(.*\.)?environ|env")
_SETTINGS_FILES = re.compile(r"(settings?|config|configuration|database|db)\.py")
_ENV_FILES = re.compile(r"\.env(\.[\w-]+)*|[\w-]+\.env(\.[\w-]+)?|env\.(example|sample|template)")
_COMPOSE_FILES = re.compile(r"(docker-)?compose([.-][\w-]+)*\.ya?ml")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*['\"]?([^\s'\"#]*)", re.MULTILINE)
_SCHEME = re.compile(r"postgres(?:ql)?(?:\+(?P<driver>[a-z0-9_]+))?://")


@dataclass(frozen=True)
class Variable:
    """A variable that is read or set somewhere.

    Attributes:
        place: File and line, relative to the project; its value is never shown.
        driver: SQLAlchemy's driver in an address that is set there.
        is_address: Whether it is set to the address of a PostgreSQL there.
    """

    name: str
    place: str
    driver: str | None = None
    is_address: bool = False


@dataclass(frozen=True)
class Found:
    """Where the project has the address from.

    Attributes:
        url: The variable with the whole address; None if none was found.
        parts: If there is none, variables with its parts, by libpq's keyword.
        is_read: Whether code reads it, not only an example sets it.
        others: Further variables that may hold an address.
    """

    url: Variable | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    is_read: bool = False
    others: tuple[Variable, ...] = ()


def find(root: Path, modules: Sequence[Path], every: Iterable[Path]) -> Found:
    """Looks in the modules behind env.py first, then in settings, and at last in env files and Compose files.

    Args:
        modules: Those behind env.py, the nearest first.
        every: All files of the project.
    """
    listed = list(every)
    settings = [file for file in listed if _SETTINGS_FILES.fullmatch(file.name) and file not in modules]
    near = [each for file in modules for each in _read(root, file)]
    further = [each for file in settings for each in _read(root, file)]
    written = [each for file in listed for each in _set(root, file)]
    for read in (near, further):
        addresses = [each for each in read if names_address(each.name)]
        if addresses:
            return _with_driver(addresses, written, is_read=True)
        if whole := parts(each.name for each in read):
            place = next(each.place for each in read if each.name in whole.values())
            return Found(parts=whole, place=place, is_read=True)
    addresses = [each for each in written if each.is_address and names_address(each.name)]
    return _with_driver(addresses, written, is_read=False) if addresses else Found()


def _with_driver(found: Sequence[Variable], written: Sequence[Variable], *, is_read: bool) -> Found:
    """Prefers a variable that is set somewhere, too; and takes the driver from there."""
    by_name = {each.name: each for each in reversed(written)}
    first = next((each for each in found if each.name in by_name), found[0])
    drivers = [each.driver for each in written if each.name == first.name and each.driver]
    url = Variable(first.name, first.place, drivers[0] if drivers else None)
    others = {each.name: each for each in reversed(found) if each.name != url.name}
    return Found(url, place=url.place, is_read=is_read, others=tuple(others.values()))


def _place(root: Path, file: Path, line: int) -> str:
    shown = file.relative_to(root) if file.is_relative_to(root) else file
    return f"{shown}:{line}"


def _read(root: Path, file: Path) -> Iterator[Variable]:
    """Yields the variables that a module reads from its environment."""
    tree = tree_of(file)
    for node in ast.walk(tree) if tree is not None else ():
        for name, line in _names(node):
            if _NAME.fullmatch(name):
                yield Variable(name, _place(root, file, line))


def _names(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yields the variables that an expression or a class reads, each with its line."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="environ") | ast.Name(id="environ"), slice=index):
            if name := literal(index):
                yield name, index.lineno
        case ast.Call(args=[first, *_], func=function) if _reads(function):
            name = literal(first)
            if name and name.isupper():
                yield name, first.lineno
        case ast.ClassDef(bases=bases) if any(ast.unparse(base).endswith("Settings") for base in bases):
            yield from _fields(node)


def _reads(function: ast.expr) -> bool:
    match function:
        case ast.Name(id=name):
            return name in _FUNCTIONS
        case ast.Attribute(value=owner, attr=name):
            return name == "getenv" or _ENVIRONMENTS.fullmatch(ast.unparse(owner)) is not None
    return False


def _fields(settings: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """Yields the variables of a settings class of pydantic: its fields with their prefix, or their aliases."""
    prefix = _prefix(settings)
    for node in settings.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                aliases = list(_aliases(value)) if isinstance(value, ast.Call) else []
                yield from ((each, node.lineno) for each in aliases or [f"{prefix}{name}".upper()])


def _aliases(call: ast.Call) -> Iterator[str]:
    for name in ("validation_alias", "alias", "env"):
        value = keyword(call, name)
        choices = value.args if isinstance(value, ast.Call) else [value]
        yield from filter(None, map(literal, choices))


def _prefix(settings: ast.ClassDef) -> str:
    for node in ast.walk(settings):
        match node:
            case ast.keyword(arg="env_prefix", value=value):
                return literal(value) or ""
            case ast.Assign(targets=[ast.Name(id="env_prefix")], value=value):
                return literal(value) or ""
            case ast.Dict(keys=keys, values=values):
                found = (item for key, item in zip(keys, values, strict=True) if key and literal(key) == "env_prefix")
                if (item := next(found, None)) is not None:
                    return literal(item) or ""
    return ""


def _set(root: Path, file: Path) -> Iterator[Variable]:
    """Yields the variables that an env file or a Compose file sets; values are looked at for their scheme only."""
    if _ENV_FILES.fullmatch(file.name):
        text = text_of(file) or ""
        for match in _LINE.finditer(text):
            yield _variable(match[1], match[2], _place(root, file, text.count("\n", 0, match.start(1)) + 1))
    elif _COMPOSE_FILES.fullmatch(file.name):
        yield from _composed(root, file)


def _composed(root: Path, file: Path) -> Iterator[Variable]:
    try:
        parsed = document.parse((text_of(file) or "").encode(), file.name)
    except InvalidFileError:
        return
    services = parsed.data.get("services") if isinstance(parsed.data, dict) else None
    for name, service in services.items() if isinstance(services, dict) else ():
        declared = service.get("environment") if isinstance(service, dict) else None
        line = parsed.source(("services", name, "environment")).line if declared else 0
        pairs = (
            declared.items()
            if isinstance(declared, dict)
            else (str(entry).split("=", 1) for entry in declared or () if "=" in str(entry))
        )
        for variable, value in pairs:
            if _NAME.fullmatch(str(variable)):
                yield _variable(str(variable), str(value), _place(root, file, line))


def _variable(name: str, value: str, place: str) -> Variable:
    scheme = _SCHEME.match(value)
    return Variable(name, place, scheme["driver"] if scheme else None, is_address=scheme is not None)
