"""The request to a worker: the project's configuration, the address, and the statements of the fence."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from bootstrapper.migrations.project import drivers
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker import fence_statements
from bootstrapper.migrations.worker.early import UNBUFFERED
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_url import filled_in
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.table_names import DEFAULT_SCHEMA, TABLES
from bootstrapper.postgres.lock.fence import Fence

if TYPE_CHECKING:
    from bootstrapper.migrations.project.layout import Layout


def configuration_request(
    settings: MigrationSettings, layout: Layout, target: Target, *, pooled: bool = False
) -> dict[str, Any]:
    """Returns what every command of the worker requires to load the project."""
    found = layout.configuration
    location = {"script_location": layout.script_location} if settings.script_location else {}
    return {
        "ini": str(found.ini) if found.ini else None,
        "toml": str(found.toml) if found.toml else None,
        "toml_options": found.toml_texts(),
        "section": settings.section,
        "options": {**found.own, **location},
        "attributes": settings.attributes,
        "x": list(settings.x),
        **_addresses(settings, layout, target, pooled=pooled),
    }


def _addresses(settings: MigrationSettings, layout: Layout, target: Target, *, pooled: bool) -> dict[str, Any]:
    """Returns the address with each possible driver, in order, and those for each kind of engine as alternatives."""
    preferred = (layout.configuration.driver, target.driver)
    named = [driver for driver in drivers.DRIVERS if driver.name == settings.driver]

    def addresses(found: Iterable[drivers.Driver]) -> list[dict[str, str]]:
        return [{**asdict(driver), "url": target.url(driver.name, pooled=pooled)} for driver in found]

    return {
        "addresses": addresses(named or drivers.candidates(layout.engine, preferred)),
        "sync_addresses": [] if named else addresses(drivers.candidates("sync", preferred)),
        "async_addresses": [] if named else addresses(drivers.candidates("async", preferred)),
        "bare_address": None if named else target.url(),
    }


def history_request(settings: MigrationSettings, layout: Layout, target: Target) -> dict[str, Any]:
    """Requests all revisions; env.py is run, without a connection, if it sets the version folders."""
    asked = configuration_request(settings, layout, target)
    return {**asked, "command": "history", "runs_environment": layout.is_set_by_environment}


def render_request(
    settings: MigrationSettings,
    layout: Layout,
    target: Target,
    walks: Sequence[tuple[Sequence[str], str]],
    direction: Literal["upgrade", "downgrade"] = "upgrade",
) -> dict[str, Any]:
    """Requests the SQL between version rows and a target, for each of these pairs."""
    return {
        **configuration_request(settings, layout, target),
        "command": "render",
        "direction": direction,
        "walks": [[list(rows), text] for rows, text in walks],
    }


def fenced_request(
    settings: MigrationSettings,
    layout: Layout,
    target: Target,
    fence: Fence,
    *,
    command: Literal["upgrade", "downgrade", "revision"],
    step: str,
    targets: Sequence[str] = (),
    revisions: Sequence[str] | None = None,
    rows: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Requests work in the database, behind the fence.

    Args:
        revisions: The only ones that may be run or reverted; None where the version rows could not be read.
        rows: The version rows that `revisions` were planned from.
    """
    own_schema = fence.ledger.schema == DEFAULT_SCHEMA
    return {
        **configuration_request(settings, layout, target, pooled=fence.pooled),
        "command": command,
        "pooled": fence.pooled,
        "targets": list(targets),
        "revisions": revisions,
        "rows": list(rows),
        "arguments": dict(arguments or {}),
        "hidden_schema": None if own_schema else fence.ledger.schema,
        "hidden_tables": [[fence.ledger.schema, fence.ledger.table_name(name)] for name in TABLES],
        "transaction_per_migration": settings.transaction_per_migration,
        "version_table": settings.version_table,
        "version_table_schema": settings.version_table_schema,
        "run_id": str(fence.run_id),
        "token": str(fence.token),
        "application_name": fence.application_name,
        "system_identifier": fence.system_identifier,
        "database_oid": str(fence.database_oid),
        "may": fence_statements.may(fence),
        "asks": fence_statements.statements(settings, fence, step, has_identifier=True),
        "asks_without_identifier": fence_statements.statements(settings, fence, step, has_identifier=False),
    }


def scratch_request(
    settings: MigrationSettings, layout: Layout, target: Target, fence: Fence, *, goal: str
) -> dict[str, Any]:
    """Requests the migration of a scratch database; the worker checks only that env.py connected to that one.

    Args:
        fence: The run's own, with the scratch database's oid.
    """
    asked = fenced_request(settings, layout, target, fence, command="upgrade", step="", targets=[goal])
    for name, has_identifier in (("asks", True), ("asks_without_identifier", False)):
        asked[name] = fence_statements.scratch_statements(settings, fence, has_identifier=has_identifier)
    return asked


def environment(settings: MigrationSettings, project: Project, asked: Mapping[str, Any]) -> dict[str, str]:
    """Returns the project's variables; DATABASE_URL as it was given, unless the step names a driver."""
    name = {"PGAPPNAME": str(asked["application_name"])} if "application_name" in asked else {}
    pooled = bool(asked.get("pooled"))
    url = project.target.url(settings.driver or project.target.driver, pooled=pooled)
    return {
        **UNBUFFERED,
        **project.variables,
        **name,
        "DATABASE_URL": url,
        **filled_in(settings.env, project.target, pooled=pooled),
    }


def interpreter(settings: MigrationSettings, project: Project) -> str:
    """Returns the configured interpreter: a path starts at the file's folder, a bare name is looked up in PATH."""
    if settings.python is None:
        return sys.executable
    return str(project.path(settings.python)) if "/" in settings.python else settings.python
