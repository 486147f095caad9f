"""Writes the statements that give what is missing, with quoted identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from psycopg import sql

from bootstrapper.doctor.needs import Kind, Need, Thing
from bootstrapper.fixtures.table.statements import COMMA, raw


def grants(missing: Iterable[Need], role: str, database: str) -> tuple[str, ...]:
    """Returns one statement for each object.

    Args:
        role: The one that is to have them.
        database: The name of the current one.
    """
    by_object: dict[Thing, list[Need]] = {}
    for need in missing:
        by_object.setdefault(whole(need.thing), []).append(need)
    to = sql.Identifier(role)
    return tuple(f"{_grant(thing, needs, to, database).as_string()};" for thing, needs in by_object.items())


def whole(thing: Thing) -> Thing:
    """Returns the table of a column, and everything else as it is."""
    return replace(thing, kind=Kind.TABLE, column="") if thing.kind is Kind.COLUMN else thing


def _grant(thing: Thing, needs: Sequence[Need], to: sql.Identifier, database: str) -> sql.Composed:
    match thing.kind:
        case Kind.ATTRIBUTE:
            return sql.SQL("ALTER ROLE {} {}").format(to, raw(needs[0].privilege))
        case Kind.ROLE:
            return sql.SQL("GRANT {} TO {}").format(sql.Identifier(thing.name), to)
    privileges = [_privilege(name, columns) for name, columns in by_privilege(needs)]
    kind, name = _object(thing, database)
    return sql.SQL("GRANT {} ON {} {} TO {}").format(COMMA.join(privileges), raw(kind), name, to)


def by_privilege(needs: Iterable[Need]) -> Iterator[tuple[str, list[str]]]:
    """Yields each privilege with its columns; without any if it is needed on the whole object.

    Of several, any of which will do, it is the first.
    """
    found: dict[str, list[str]] = {}
    for need in needs:
        found.setdefault(need.privilege.partition(",")[0], []).append(need.thing.column)
    yield from ((name, [] if "" in columns else list(dict.fromkeys(columns))) for name, columns in found.items())


def _privilege(name: str, columns: Sequence[str]) -> sql.Composable:
    if not columns:
        return raw(name)
    return sql.SQL("{} ({})").format(raw(name), COMMA.join(map(sql.Identifier, columns)))


def _object(thing: Thing, database: str) -> tuple[str, sql.Identifier]:
    match thing.kind:
        case Kind.DATABASE:
            return "DATABASE", sql.Identifier(database)
        case Kind.SCHEMA:
            return "SCHEMA", sql.Identifier(thing.schema)
        case Kind.SEQUENCE:
            return "SEQUENCE", sql.Identifier(thing.schema, thing.name)
        case _:
            return "TABLE", sql.Identifier(thing.schema, thing.name)
