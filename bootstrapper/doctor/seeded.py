"""Which columns, tables and sequences the rows of a fixture read and write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from bootstrapper.doctor.privileges import On
from bootstrapper.errors import InvalidFileError
from bootstrapper.fixtures.declare.fixture import Fixture, Fixtures
from bootstrapper.fixtures.declare.references import NeedsRowsError, by_key, by_label, refers
from bootstrapper.fixtures.declare.rows import Row
from bootstrapper.fixtures.table.catalogue import Catalogue, Table
from bootstrapper.fixtures.table.tables import TableName
from bootstrapper.plugin.inspect import call_of, traits_of
from bootstrapper.plugin.value import Value


def columns(on: On, fixture: Fixture, table: Table, values: Mapping[str, Value]) -> Sequence[str]:
    """Returns the columns of this kind that the table has."""
    match on:
        case On.KEY:
            found: Sequence[str] = fixture.key
        case On.DECLARED:
            found = fixture.columns
        case On.COMPARED:
            found = _compared(fixture, values)
        case On.UPDATED:
            found = [name for name in _compared(fixture, values) if name in table.columns]
            found = [name for name in found if not table.columns[name].is_fixed]
        case _:
            found = ()
    return [name for name in found if name in table.columns]


def _compared(fixture: Fixture, values: Mapping[str, Value]) -> list[str]:
    if not fixture.updates:
        return []
    left_out = {*fixture.key, *fixture.config.create_only}
    return [name for name in fixture.columns if name not in left_out and _is_compared(fixture, name, values)]


def _is_compared(fixture: Fixture, column: str, values: Mapping[str, Value]) -> bool:
    """Returns whether a row has a value there that is not written only when the row is created."""
    if column not in fixture.nested:
        return True
    for row in fixture.samples:
        if column in row.values:
            raw = row.values[column]
            if refers(raw) or not (traits := traits_of(raw, values)).create_only or traits.compared:
                return True
    return False


def is_locked(fixture: Fixture, table: Table) -> bool:
    """Returns whether rows are inserted under a lock on the table; `Writer.needs_lock` decides alike."""
    return table.has_rules or not table.is_unique(fixture.key)


def sequences(fixture: Fixture, table: Table, *, are_set: bool) -> Iterator[tuple[str, str]]:
    """Yields schema and name of the sequences of columns that rows set, or that they leave to the default.

    The server asks for no privilege on the sequence of an identity column that it numbers itself.
    """
    for name, column in table.columns.items():
        if column.sequence is None:
            continue
        given = [name in row.values for row in fixture.samples]
        if are_set and any(given):
            yield column.sequence
        if not are_set and not column.identity and not all(given):
            yield column.sequence


def referenced(fixture: Fixture, fixtures: Fixtures, catalogue: Catalogue) -> Iterator[tuple[Table, str]]:
    """Yields the tables and columns that references of the fixture read."""
    table = catalogue[fixture.table]
    for column in fixture.nested:
        for row in fixture.samples:
            if refers(row.values.get(column)):
                for name, named in _targets(row, column, fixtures):
                    parent = catalogue.get(name)
                    if parent is None:
                        continue
                    taken = table.target_of(column, parent)
                    asked = [*named, *([taken] if taken is not None else [])]
                    yield from ((parent, each) for each in asked if each in parent.columns)


def _targets(row: Row, column: str, fixtures: Fixtures) -> Iterator[tuple[TableName, Sequence[str]]]:
    """Yields the table that a reference names, with the columns that it names; nothing if variables are in it."""
    call = call_of(row.values[column])
    assert call is not None
    argument = call[1]
    with suppress(InvalidFileError, NeedsRowsError, ValueError):
        if isinstance(argument, str):
            named = by_label(argument, fixtures, partial(row.source, column))
            parent = fixtures[named.fixture]
            yield parent.table, [*parent.key, *([named.column] if named.column else [])]
        else:
            name, key = by_key(argument)
            yield fixtures[name].table if name in fixtures else TableName.parse(name), list(key)
