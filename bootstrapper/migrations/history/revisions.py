"""Reads one revision file without importing it.

A file made from Alembic's template is read line by line, an unusual one by its syntax tree, and one that computes its
identifiers is left to Alembic.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from bootstrapper.config.files import require_regular
from bootstrapper.config.recent import Recent
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import InvalidFileError, Problem
from bootstrapper.migrations.project.layout import DynamicProject

_NAMES = ("revision", "down_revision", "branch_labels", "depends_on")
_DOCSTRING = re.compile(r'\s*(?:#[^\n]*\n\s*)*[rRuU]?("""|\'\'\')(.*?)\1', re.DOTALL)
_FIRST_BLOCK = re.compile(r"^(?:def|class|async|if|for|while|with|try|match|@)\b", re.MULTILINE)
_ASSIGNMENT = re.compile(r"^(revision|down_revision|branch_labels|depends_on)\b([^=\n]*)=(.*)$", re.MULTILINE)
_NAMED_OTHERWISE = re.compile(r"\b(?:revision|down_revision|branch_labels|depends_on)\b|\bimport\s*\*")
_WORDS = ("revision", "branch_labels", "depends_on", "*")
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_SIMPLE = re.compile(r"""\s*(?:None|"([^"\\]*)"|'([^'\\]*)')\s*(?:\#.*)?""")
_ID_IN_NAME = re.compile(r"([a-f0-9]+)\.py")


@dataclass(frozen=True)
class Revision:
    """One revision, as its file declares it.

    Attributes:
        down: The revisions that this one follows.
        depends: Revisions, or branch labels, of other branches that must be applied first.
        message: The first paragraph of the docstring, on one line.
    """

    id: str
    down: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    message: str = ""
    file: Path | None = None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Returns a revision that the worker reported."""
        down, depends, labels = (tuple(facts[name]) for name in ("down", "depends", "labels"))
        return cls(facts["id"], down, depends, labels, facts["message"], Path(facts["file"]))


_READ = Recent[tuple[Path, str], Revision](most=4096)


@dataclass(frozen=True)
class _Declared:
    """The assignments of a file; a name that is missing was not assigned."""

    docstring: str
    values: dict[str, tuple[str, ...]]


def read_revision(file: Path, digest: str | None = None) -> Revision:
    """Raises DynamicProject if the identifiers are not literals, InvalidFileError if the file cannot be read.

    Args:
        digest: The SHA-256 of the content in hex if it is known: then the same content is not read once more.
    """
    known = _READ.known((file, digest)) if digest is not None else None
    if known is not None:
        return known
    try:
        require_regular(file)
        content = file.read_bytes()
    except OSError as error:
        raise InvalidFileError([Problem(f"{file} cannot be read: {error.strerror or error}")]) from error
    key = (file, hashlib.sha256(content).hexdigest())
    return _READ.get(key, partial(_revision, content, file))


def line_of(file: Path, name: str) -> int:
    """Returns the line on which a file first assigns a name; 1 if that is unknown."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return 1
    return next((number for number, line in enumerate(lines, start=1) if line.startswith(name)), 1)


def _revision(content: bytes, file: Path) -> Revision:
    declared = _read_lines(content) or _read_tree(content, file)
    values = declared.values
    identifier = values.get("revision", ())
    if "revision" not in values and (named := _ID_IN_NAME.fullmatch(file.name)):
        identifier = (named[1],)
    if len(identifier) != 1:
        raise DynamicProject(f"{file.name} does not set `revision`")
    down, labels, depends = (values.get(name, ()) for name in _NAMES[1:])
    message = " ".join(declared.docstring.strip().split("\n\n")[0].split())
    return Revision(identifier[0], down, depends, labels, message, file)


def _read_lines(content: bytes) -> _Declared | None:
    """Reads the usual form: one assignment a line, all four between the docstring and the first block; otherwise None.

    Also None if the file names any of them elsewhere: it may be assigned again there.
    """
    try:
        text = content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None
    docstring = _DOCSTRING.match(text)
    if docstring is None:
        return None
    block = _FIRST_BLOCK.search(text, docstring.end())
    end = block.start() if block else len(text)
    head = text[docstring.end() : end]
    values: dict[str, tuple[str, ...]] = {}
    for name, annotation, literal in _ASSIGNMENT.findall(head):
        simple = _SIMPLE.fullmatch(literal)
        if simple is None or name in values or annotation.strip()[:1] not in ("", ":"):
            return None
        values[name] = tuple(group for group in simple.groups() if group is not None)
    quoted = '"""' in head or "'''" in head or "\\\n" in head
    if quoted or len(values) < len(_NAMES):
        return None
    is_named_again = _names_any(_ASSIGNMENT.sub("", head)) or _names_any(text[end:])
    return None if is_named_again else _Declared(docstring[2], values)


def _names_any(text: str) -> bool:
    """Whether code, not a comment, contains one of the names; most texts have none of the words at all."""
    if not any(word in text for word in _WORDS):
        return False
    return _NAMED_OTHERWISE.search(_COMMENT.sub("", text)) is not None


def _read_tree(content: bytes, file: Path) -> _Declared:
    try:
        module = ast.parse(content, file.name)
    except (SyntaxError, ValueError) as error:
        raise DynamicProject(f"{file.name} cannot be parsed as Python") from error
    assigned = [pair for node in module.body for pair in _assigned(node)]
    if sorted(_bound(module)) != sorted(name for name, _ in assigned):
        raise DynamicProject(f"{file.name} computes its identifiers")
    values = {name: _literal(value, name, file) for name, value in dict(assigned).items()}  # the last one counts
    return _Declared(ast.get_docstring(module) or "", values)


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return
    for target in targets:
        if isinstance(target, ast.Name) and target.id in _NAMES and node.value is not None:
            yield target.id, node.value


def _bound(module: ast.Module) -> Iterator[str]:
    """Yields the names that the module binds: outside its functions and classes, or as their `global`."""
    declared = [name for node in ast.walk(module) if isinstance(node, ast.Global) for name in node.names]
    yield from (name for name in declared if name in _NAMES)
    todo: list[ast.AST] = list(module.body)
    while todo:
        node = todo.pop()
        yield from (name for name in _binds(node) if name in (*_NAMES, "*"))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.alias():
            yield node.asname or node.name
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Call(func=ast.Name(id="exec" | "globals" | "locals" | "vars")):
            yield "*"  # it may bind any name


def _literal(value: ast.expr, name: str, file: Path) -> tuple[str, ...]:
    """Returns the strings of a literal: None, one string, or several."""
    try:
        literal = ast.literal_eval(value)
    except ValueError as error:
        raise DynamicProject(f"{file.name} computes its {name}") from error
    strings = (literal,) if isinstance(literal, str) else tuple(literal or ())
    if not all(isinstance(item, str) for item in strings):
        raise DynamicProject(f"{file.name} has a {name} that is not a string")
    return strings
