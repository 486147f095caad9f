"""Drops objects without CASCADE, so that nothing else goes with them: what depends on them, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Any

from psycopg import Connection, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.schema.objects import DatabaseObject


@dataclass(frozen=True)
class Removal:
    """How objects are dropped.

    Attributes:
        objects: In the order in which they are dropped.
        parts: Statements that come before: they drop constraints, triggers, policies and defaults of these objects.
        kept: Schemas that are not dropped, since other objects are in them.
        obstacles: What keeps them from being dropped: other objects that depend on them, or would go with them.
    """

    objects: tuple[DatabaseObject, ...]
    parts: tuple[str, ...]
    kept: tuple[DatabaseObject, ...]
    obstacles: tuple[str, ...]


def plan_removal(
    connection: Connection[Any], doomed: Sequence[DatabaseObject], others: Sequence[DatabaseObject]
) -> Removal:
    """Finds out how to drop the doomed objects; reads the catalogues only.

    Args:
        others: The other objects of the database.
    """
    query = files("bootstrapper.migrations.schema").joinpath("removal.sql").read_bytes()
    arrays = {
        "classes": [each.catalogue for each in doomed],
        "oids": [each.oid for each in doomed],
        "other_classes": [each.catalogue for each in others],
        "other_oids": [each.oid for each in others],
    }
    by_number = dict(enumerate(doomed, 1))
    order: TopologicalSorter[DatabaseObject] = TopologicalSorter(dict.fromkeys(doomed, ()))
    parts: list[str] = []
    kept: list[DatabaseObject] = []
    obstacles: list[str] = []
    for what, number, used, text in connection.execute(query, arrays):
        if what == "before":
            order.add(by_number[used], by_number[number])
        elif what == "part":
            parts.append(text)
        elif by_number[used].kind == "schema":
            kept.append(by_number[used])
        else:
            obstacles.append(f"{text} depends on {by_number[used].name}")
    try:
        ordered = tuple(each for each in order.static_order() if each not in kept)
    except CycleError as error:
        circle = " and ".join(each.name for each in error.args[1][1:])
        return Removal((), (), (), (*sorted(obstacles), f"{circle} depend on each other"))
    return Removal(ordered, tuple(sorted(parts)), tuple(dict.fromkeys(kept)), tuple(sorted(obstacles)))


def lock_tables(connection: Connection[Any], objects: Sequence[DatabaseObject]) -> None:
    """Locks the tables until the transaction ends, so that no session can come to depend on them meanwhile."""
    tables = [sql.SQL(each.identity) for each in objects if each.kind == "table"]
    if tables:
        statement = sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE")
        connection.execute(statement.format(sql.SQL(", ONLY ").join(tables)))


def remove(connection: Connection[Any], removal: Removal) -> None:
    """Drops the objects, inside the caller's transaction; the server refuses where another object depends on one."""
    for statement in (*removal.parts, *(each.drop for each in removal.objects)):
        connection.execute(statement.encode())
