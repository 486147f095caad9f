"""Makes of the table the privileges on the objects of one project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from bootstrapper.dataclass import dataclass
from bootstrapper.doctor import seeded
from bootstrapper.doctor.privileges import NAMES, STEPS, On, Right
from bootstrapper.fixtures.declare.fixture import Fixtures
from bootstrapper.fixtures.table.catalogue import Catalogue
from bootstrapper.fixtures.table.tables import TableName
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.step import Unit
from bootstrapper.plugin.traits import SeedsFixtures
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.ledger.ledger import LedgerNames

COMMON = "privileges"
"""The name of the check of what belongs to no step."""


class Kind(StrEnum):
    DATABASE = "database"
    SCHEMA = "schema"
    TABLE = "table"
    COLUMN = "column"
    SEQUENCE = "sequence"
    ROLE = "role"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True)
class Thing:
    """An object, by names; empty ones do not apply to its kind."""

    kind: Kind
    schema: str = ""
    name: str = ""
    column: str = ""


@dataclass(frozen=True)
class Need:
    """One privilege on one object, or one of several with commas between them.

    Attributes:
        check: The step, or COMMON.
        by_member: Whether a role that the role may SET is enough, as env.py may do.
    """

    check: str
    right: Right
    thing: Thing
    privilege: str
    by_member: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What the needs of a project depend on.

    Attributes:
        owner: Of the database.
        current_schema: Where the project's own sessions create tables.
        catalogue: The tables of fixtures, and version tables.
    """

    role: str
    owner: str
    is_owned_by_superuser: bool
    database: str
    ledger: LedgerNames
    current_schema: str
    fixtures: Fixtures
    catalogue: Catalogue
    values: Mapping[str, Value]


def needs(command: str, units: Iterable[Unit], around: Surroundings) -> list[Need]:
    """Returns what the command needs for these steps, each once; without what the server cannot be asked about."""
    wanted = NAMES[command]
    units = list(units)
    found = [each for right in wanted.rights for each in _of_command(right, units, around)]
    for unit in units if wanted.looks else ():
        rights = STEPS.get(unit.uses)
        if rights is not None:
            asked = [*rights.looks, *(rights.applies if wanted.applies else ())]
            found += [each for right in asked for each in _of_step(right, unit, around)]
    return list(dict.fromkeys(found))


def _of_command(right: Right, units: Sequence[Unit], around: Surroundings) -> Iterator[Need]:
    if not right.known:
        return
    if right.on in (On.VERSION_SCHEMA, On.VERSION_TABLE):
        for unit in units:
            yield from _of_step(right, unit, around)
        return
    for thing in _whole(right, around):
        yield from (Need(COMMON, right, thing, privilege) for privilege in right.privileges)


def _whole(right: Right, around: Surroundings) -> Iterator[Thing]:
    """Yields the objects that belong to no step."""
    ledger = around.ledger
    match right.on:
        case On.DATABASE:
            yield Thing(Kind.DATABASE)
        case On.LEDGER_SCHEMA:
            yield Thing(Kind.SCHEMA, ledger.schema)
        case On.LEDGER_TABLES:
            yield from (Thing(Kind.TABLE, ledger.schema, ledger.table_name(name)) for name in right.names)
        case On.EXPIRED if ledger.keep_seconds is not None:
            yield from (Thing(Kind.TABLE, ledger.schema, ledger.table_name(name)) for name in right.names)
        case On.ROLE:
            yield from (Thing(Kind.ROLE, name=name) for name in right.names)
        case On.OWNER:
            yield Thing(Kind.ROLE, name=around.owner)
        case On.ITSELF:
            yield Thing(Kind.ATTRIBUTE)


def _of_step(right: Right, unit: Unit, around: Surroundings) -> Iterator[Need]:
    if not right.known:
        return
    if isinstance(unit.options, MigrationSettings):
        things: Iterable[Thing] = _migrated(right, unit.options, around)
    elif isinstance(unit, SeedsFixtures):
        things = _filled(right, unit, around)
    else:
        return
    by_member = isinstance(unit.options, MigrationSettings)
    for thing in things:
        # Columns of other tables come with their schemas.
        is_beside = right.on is On.REFERENCED and thing.kind is Kind.SCHEMA
        privileges = ("USAGE",) if is_beside else right.privileges
        yield from (Need(unit.name, right, thing, privilege, by_member) for privilege in privileges)


def version_table(settings: MigrationSettings) -> TableName:
    return TableName(settings.version_table_schema, settings.version_table)


def _migrated(right: Right, settings: MigrationSettings, around: Surroundings) -> Iterator[Thing]:
    table = around.catalogue.get(version_table(settings))
    schema = table.schema if table is not None else settings.version_table_schema or around.current_schema
    if right.on is On.VERSION_SCHEMA:
        yield Thing(Kind.SCHEMA, schema)
    elif right.on is On.VERSION_TABLE:
        yield Thing(Kind.TABLE, schema, settings.version_table)
    elif right.on is On.ITSELF and settings.adopt is not None and table is None:
        yield Thing(Kind.ATTRIBUTE)


def _filled(right: Right, unit: SeedsFixtures, around: Surroundings) -> Iterator[Thing]:
    for name in unit.seeds(list(around.fixtures)):
        fixture = around.fixtures[name]
        table = around.catalogue.get(fixture.table)
        if right.on is On.TRACKED and fixture.is_tracked:
            yield Thing(Kind.TABLE, around.ledger.schema, around.ledger.table_name("digests"))
        if table is None:
            continue
        if right.on is On.FIXTURE_SCHEMA:
            yield Thing(Kind.SCHEMA, table.schema)
        elif right.on in (On.SYNCED_TABLE, On.LOCKED_TABLE):
            if fixture.deletes if right.on is On.SYNCED_TABLE else seeded.is_locked(fixture, table):
                yield Thing(Kind.TABLE, *table.full_name)
        elif right.on is On.REFERENCED:
            for other, column in seeded.referenced(fixture, around.fixtures, around.catalogue):
                yield Thing(Kind.SCHEMA, other.schema)
                yield Thing(Kind.COLUMN, *other.full_name, column)
        elif right.on in (On.OWN_SEQUENCES, On.SET_SEQUENCES):
            sequences = seeded.sequences(fixture, table, are_set=right.on is On.SET_SEQUENCES)
            yield from (Thing(Kind.SEQUENCE, *sequence) for sequence in sequences)
        else:
            columns = seeded.columns(right.on, fixture, table, around.values)
            yield from (Thing(Kind.COLUMN, *table.full_name, column) for column in columns)
