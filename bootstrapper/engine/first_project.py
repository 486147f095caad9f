"""The project as the file alone declares it, before its database, steps and inputs are known."""

from __future__ import annotations

from bootstrapper.config.load import Loaded
from bootstrapper.engine.plugins import Plugins
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames


def first_project(loaded: Loaded, found: Plugins, command: str, *, validates: bool) -> Project:
    ledger = loaded.config.ledger
    return Project(
        name=loaded.config.name or loaded.directory.resolve().name,
        command=command,
        directory=loaded.directory,
        document=loaded.document,
        environment=loaded.environment,
        protected=loaded.protected,
        protected_environments=[name for name, each in loaded.config.environments.items() if each.protected],
        target=Target({}),
        ledger=LedgerNames(ledger.schema_, tuple(ledger.grant_to), ledger.keep_for),
        inputs="",
        variables=loaded.variables,
        default_secrets=False,
        validates=validates,
        fixtures=loaded.config.fixtures,
        values={key: kind() for key, kind in found.values.items()},
    )
