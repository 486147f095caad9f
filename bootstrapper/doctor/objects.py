"""Finds the objects of a project on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from bootstrapper.doctor.needs import Surroundings, version_table
from bootstrapper.doctor.server_facts import ServerFacts
from bootstrapper.fixtures.declare.reader import declare
from bootstrapper.fixtures.table.catalogue import Catalogue, read_catalogue
from bootstrapper.fixtures.table.tables import TableName
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.step import Unit
from bootstrapper.plugin.traits import SeedsFixtures
from bootstrapper.postgres.connection.relations import current_schema

_USUAL = "public"
"""The schema of the usual search path."""


def find(connection: Connection[Any], project: Project, units: Sequence[Unit], facts: ServerFacts) -> Surroundings:
    """Reads the tables of the steps in two round trips; raises InvalidFileError for rows that cannot be read."""
    seeding = [unit for unit in units if isinstance(unit, SeedsFixtures)]
    wanted = {name for unit in seeding for name in unit.seeds(list(project.fixtures))}
    fixtures = declare(project) if wanted else {}  # references may lead to any of them
    migrating = [unit.options for unit in units if isinstance(unit.options, MigrationSettings)]
    tables = [*(fixture.table for fixture in fixtures.values()), *map(version_table, migrating)]
    return Surroundings(
        role=facts.role,
        owner=facts.owner,
        is_owned_by_superuser=facts.is_owned_by_superuser,
        database=facts.database,
        ledger=project.ledger,
        current_schema=(current_schema(connection) or _USUAL) if migrating else _USUAL,
        fixtures=fixtures,
        catalogue=_catalogue(connection, tables),
        values=project.values,
    )


def _catalogue(connection: Connection[Any], names: Sequence[TableName]) -> Catalogue:
    """Returns the tables; along the search path, also those that are hidden since the role may not use their schema."""
    if not names:
        return {}
    usual = {name: TableName(_USUAL, name.name) for name in names if name.schema is None}
    found = read_catalogue(connection, [*names, *usual.values()])
    hidden = {name: found[other] for name, other in usual.items() if other in found and not found[other].usable}
    return {**hidden, **found}
