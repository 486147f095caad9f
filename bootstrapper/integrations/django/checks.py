"""A system check that looks whether the database is as bootstrap.yaml declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks

PENDING = "bootstrapper.W001"
NOT_KNOWN = "bootstrapper.E001"


def pending_changes(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Warns of pending changes, and reports an error if they cannot be told; connects only if databases are checked."""
    if not databases:
        return []
    from bootstrapper.api.functions import status  # noqa: PLC0415 - other commands of manage.py do not need it
    from bootstrapper.errors import BootstrapperError  # noqa: PLC0415 - likewise
    from bootstrapper.integrations.django.configuration import configured  # noqa: PLC0415 - likewise

    startup = configured()
    try:
        found = status(startup.file, environment=startup.environment)
    except BootstrapperError as error:
        return [_unknown(error)]
    steps = ", ".join(step.name for step in found.plan.pending)
    warned = [checks.Warning(f"changes are pending: {steps}", hint=_APPLY, id=PENDING)] if steps else []
    return warned + [_unknown(error) for error in found.errors]


_APPLY = "Run `manage.py bootstrap plan` to see them, `manage.py bootstrap apply` to make them."


def _unknown(error: Any) -> checks.CheckMessage:
    return checks.Error(str(error), hint=error.hint, id=NOT_KNOWN)
