"""Judges the privileges of the role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.doctor.granted import granted
from bootstrapper.doctor.grants import by_privilege, grants, whole
from bootstrapper.doctor.needs import COMMON, Kind, Need, Surroundings, Thing, needs
from bootstrapper.doctor.privileges import NAMES, On, Right
from bootstrapper.doctor.result import Result, ok, problem, warning
from bootstrapper.errors import ExitCode
from bootstrapper.plugin.step import Unit
from bootstrapper.plugin.traits import SeedsFixtures
from bootstrapper.text import listed

_SHOWN = 5
_OWNER = "Run as the owner of the objects, or as a superuser."

# What pg_dump reads of the database: not members of extensions, not the table of the lock.
_UNREADABLE = """
SELECT * FROM (
    SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                        ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END AS is_readable,
           pg_catalog.row_security_active(c.oid) AS hides_rows
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
      AND (n.nspname, c.relname) <> (%s, %s)
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
            AND d.deptype = 'e')
) AS t
WHERE NOT t.is_readable OR t.hides_rows ORDER BY t.name
"""
_READ_ALL = Need(
    "", Right(("membership",), On.ROLE, ("pg_read_all_data",)), Thing(Kind.ROLE, name="pg_read_all_data"), "membership"
)
_SEE_ALL_ROWS = Need("", Right(("BYPASSRLS",), On.ITSELF), Thing(Kind.ATTRIBUTE), "BYPASSRLS")


def privileges(
    connection: Connection[Any], command: str, units: Sequence[Unit], around: Surroundings
) -> Iterator[Result]:
    """Yields what the role lacks for the command, for the ledger and for each step that it looks at or applies."""
    asked = needs(command, units, around)
    has = granted(connection, asked)
    seeding = [unit.name for unit in units if isinstance(unit, SeedsFixtures) and NAMES[command].looks]
    for check in dict.fromkeys([*(need.check for need in asked), *seeding]):
        missing = [need for need in asked if need.check == check and has[need] is False and _is_needed(need, has)]
        yield from _judge(check, missing, command, around)
        if not missing:
            yield ok(check, _fine(check, command, units, around))


def _is_needed(need: Need, has: Mapping[Need, bool | None]) -> bool:
    """Returns whether the case is given in which the privilege is needed."""
    if need.right.when_missing is None:
        return True
    others = [has[other] for other in has if other.right.on is need.right.when_missing and other.check == need.check]
    return None in others


def _judge(check: str, missing: Sequence[Need], command: str, around: Surroundings) -> Iterator[Result]:
    required = [need for need in missing if not need.right.without]
    if required:
        said = f"role {around.role!r} lacks what {command} needs:"
        yield _with(problem(check, said, ExitCode.REFUSED, _OWNER), required, around)
    given = {(need.thing, need.privilege) for need in required}
    others = [need for need in missing if need.right.without and (need.thing, need.privilege) not in given]
    for lost in dict.fromkeys(need.right.without for need in others):
        optional = [need for need in others if need.right.without == lost]
        yield _with(warning(check, f"role {around.role!r} lacks this, so {lost}:", _OWNER), optional, around)


def _with(result: Result, missing: Sequence[Need], around: Surroundings) -> Result:
    """Adds what is missing by object, for people and as statements."""
    by_object: dict[Thing, list[Need]] = {}
    for need in missing:
        by_object.setdefault(whole(need.thing), []).append(need)
    details = tuple(_one(thing, needs, around.database) for thing, needs in by_object.items())
    # A member of a superuser can do everything: that is for people to decide.
    given = [need for need in missing if need.right.on is not On.OWNER or not around.is_owned_by_superuser]
    return replace(result, details=details, statements=grants(given, around.role, around.database))


def _one(thing: Thing, missing: Sequence[Need], database: str) -> str:
    if thing.kind is Kind.ATTRIBUTE:
        return missing[0].privilege
    if thing.kind is Kind.ROLE:
        return f"membership of {thing.name}"
    parts = [f"{name} ({', '.join(columns)})" if columns else name for name, columns in by_privilege(missing)]
    place = ".".join(filter(None, (thing.schema, thing.name))) or database
    return f"{', '.join(parts)} on {thing.kind} {place}"


def _fine(check: str, command: str, units: Sequence[Unit], around: Surroundings) -> str:
    """Returns that all is granted, and what does not exist yet."""
    if check == COMMON:
        return f"all that {command} needs beside its steps"
    unit = next(unit for unit in units if unit.name == check)
    names = unit.seeds(list(around.fixtures)) if isinstance(unit, SeedsFixtures) else ()
    tables = [around.fixtures[name].table for name in names]
    absent = list(dict.fromkeys(str(table) for table in tables if table not in around.catalogue))
    if not absent:
        return f"every privilege that {command} needs"
    return f"every privilege on tables that exist; not yet: {_some(absent)}"


def dump(connection: Connection[Any], unit: Unit, settings: BackupSettings, around: Surroundings) -> Result:
    """Judges whether pg_dump may read everything; a part of it may be left out of the dump by patterns."""
    names, role = around.ledger, around.role
    rows = connection.execute(_UNREADABLE, (names.schema, names.table_name("lock"))).fetchall()
    if not rows:
        return ok(unit.name, "may read all tables and sequences")
    unreadable = tuple(name for name, is_readable, _ in rows if not is_readable)
    hiding = tuple(name for name, is_readable, _ in rows if is_readable)
    missing = [*([_READ_ALL] if unreadable else []), *([_SEE_ALL_ROWS] if hiding else [])]
    found = problem(unit.name, f"role {role!r} may not read all that pg_dump reads:", ExitCode.FAILED, _OWNER)
    if settings.schemas or settings.tables or settings.exclude:
        said = f"role {role!r} may not read this; check that the patterns leave it out:"
        found = warning(unit.name, said, _OWNER)
    lines = [f"{_some(unreadable)}"] if unreadable else []
    lines += [f"rows of {_some(hiding)}, by row-level security"] if hiding else []
    statements = tuple(text for need in missing for text in grants([need], role, around.database))
    return replace(found, details=tuple(lines), statements=statements)


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return listed([*names[:_SHOWN], *more])
