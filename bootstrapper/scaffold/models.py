"""The tables that a project's models declare, or else those that its revisions create."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bootstrapper.dataclass import dataclass
from bootstrapper.scaffold.sources import called, keyword, literal, text_of, tree_of

_COLUMNS = frozenset({"Column", "mapped_column", "Field"})
_OPERATIONS = frozenset({"create_table", "drop_table", "rename_table"})
_HINTS = ("__tablename__", "Table(", "table=True", ".Model")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class ModelTable:
    """A table, as the source shows it.

    Attributes:
        columns: Those that were found; a base class may add others.
        key: A unique column, or else the primary key; empty if none was found.
        file: Where it is declared.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    file: Path


def declared(files: Iterable[Path]) -> list[ModelTable]:
    """Returns the tables of SQLAlchemy, SQLModel and Flask-SQLAlchemy models, sorted by name."""
    found: dict[str, ModelTable] = {}
    for file in files:
        text = text_of(file) if file.suffix == ".py" else None
        if text is not None and any(hint in text for hint in _HINTS):
            for table in filter(_is_plain, _tables(file)):
                found.setdefault(table.name, table)
    return [found[name] for name in sorted(found)]


def created(revisions: Sequence[Path]) -> list[ModelTable]:
    """Returns the tables that revisions create and none of them drops or renames, sorted by name."""
    made: dict[str, ModelTable] = {}
    removed: set[str] = set()
    for file in revisions:
        tree = tree_of(file)
        for function in ast.walk(tree) if tree is not None else ():
            if not isinstance(function, ast.FunctionDef) or not function.name.startswith("upgrade"):
                continue
            for operation, name, call in _operations(function):
                if operation == "create_table":
                    made[name] = ModelTable(name, *_listed_columns(call.args[1:]), file)
                else:
                    removed.add(name)
    return list(filter(_is_plain, (made[name] for name in sorted(made.keys() - removed))))


def _is_plain(table: ModelTable) -> bool:
    """Whether its names can stand in a comment."""
    return all(name.isprintable() for name in (table.name, *table.columns))


def _operations(function: ast.FunctionDef) -> Iterator[tuple[str, str, ast.Call]]:
    for node in ast.walk(function):
        match node:
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if (operation := called(node)) in _OPERATIONS:
                yield str(operation), _qualified(name, literal(keyword(node, "schema"))), node


def _tables(file: Path) -> Iterator[ModelTable]:
    tree = tree_of(file)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.ClassDef():
                name = _class_table(node)
                if name:
                    yield ModelTable(_qualified(name, _class_schema(node)), *_class_columns(node), file)
            case ast.Call(args=[first, _, *rest]) if called(node) == "Table":
                if name := literal(first):
                    yield ModelTable(_qualified(name, literal(keyword(node, "schema"))), *_listed_columns(rest), file)


def _class_table(model: ast.ClassDef) -> str | None:
    """Returns the name of a model's table: the declared one, or the one that its framework derives from the class."""
    assigned = _assigned(model, "__tablename__")
    if assigned is not None:
        return literal(assigned)
    if any(isinstance(node, ast.FunctionDef) and node.name == "__tablename__" for node in model.body):
        return None
    if _assigned(model, "__abstract__") is not None:
        return None
    if any(each.arg == "table" and getattr(each.value, "value", False) is True for each in model.keywords):
        return model.name.lower()  # as SQLModel does
    if any(ast.unparse(base) == "db.Model" for base in model.bases):
        return _CAPITAL.sub("_", model.name).lower()  # as Flask-SQLAlchemy does
    return None


def _assigned(model: ast.ClassDef, name: str) -> ast.expr | None:
    for node in model.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return value
            case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
                return value
    return None


def _class_schema(model: ast.ClassDef) -> str | None:
    arguments = _assigned(model, "__table_args__")
    if isinstance(arguments, ast.Tuple) and arguments.elts:
        arguments = arguments.elts[-1]
    if not isinstance(arguments, ast.Dict):
        return None
    pairs = zip(arguments.keys, arguments.values, strict=True)
    return next((literal(value) for key, value in pairs if literal(key) == "schema"), None)


def _class_columns(model: ast.ClassDef) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found: list[tuple[str, ast.Call]] = []
    for node in model.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call)
            ) if called(call) in _COLUMNS:
                given = literal(call.args[0]) if call.args else None
                found.append((given or name, call))
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=None):
                if ast.unparse(annotation).startswith("Mapped["):
                    found.append((name, ast.Call(ast.Name("mapped_column"), [], [])))
    return _columns_and_key(found)


def _listed_columns(arguments: Sequence[ast.expr]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns = [each for each in arguments if isinstance(each, ast.Call) and called(each) == "Column" and each.args]
    return _columns_and_key([(name, each) for each in columns if (name := literal(each.args[0]))])


def _columns_and_key(found: Sequence[tuple[str, ast.Call]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    unique = [name for name, call in found if _is_true(call, "unique")]
    primary = [name for name, call in found if _is_true(call, "primary_key")]
    return tuple(name for name, _ in found), tuple(unique[:1] or primary)


def _is_true(call: ast.Call, name: str) -> bool:
    return getattr(keyword(call, name), "value", None) is True


def _qualified(name: str, schema: str | None) -> str:
    return f"{schema}.{name}" if schema else name
