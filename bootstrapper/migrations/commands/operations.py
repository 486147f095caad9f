"""The commands about migrations, each made from the step of the file whose history it is about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import ValidationError

from bootstrapper.errors import UsageError
from bootstrapper.migrations.commands.downgrade import Downgrade
from bootstrapper.migrations.commands.new_revision import NewRevision, Written
from bootstrapper.migrations.commands.stamp import Stamp
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.plugin.step import Unit

Operation = Callable[[Unit], Unit]


def upgrade(target: str | None) -> Operation:
    """Returns the step of the file, with another target if one is given."""

    def make(unit: Unit) -> Unit:
        if target is None:
            return unit
        settings = _settings(unit)
        try:
            checked = type(settings)(target=target).target
        except ValidationError as error:
            reason = str(error.errors()[0].get("ctx", {}).get("error", error.errors()[0]["msg"]))
            raise UsageError(reason) from error
        return type(unit)(unit.name, settings.model_copy(update={"target": checked}), unit.source)

    return make


def downgrade(target: str, confirmed: Collection[str] | None = None) -> Operation:
    """Reverts revisions down to the target; if some were confirmed, only those."""
    return lambda unit: Downgrade(unit.name, _settings(unit), unit.source, target, confirmed)


def stamp(target: str) -> Operation:
    """Records the version rows of the target."""
    return lambda unit: Stamp(unit.name, _settings(unit), unit.source, target)


def revision(arguments: Mapping[str, Any], written: Written) -> Operation:
    """Writes a new revision file; `written` tells its path afterwards."""
    return lambda unit: NewRevision(unit.name, _settings(unit), unit.source, arguments, written)


def _settings(unit: Unit) -> MigrationSettings:
    assert isinstance(unit.options, MigrationSettings)
    return unit.options
