"""Errors, without secrets, from the failures that a worker reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrapper.errors import FencedOffError, MigrationError
from bootstrapper.migrations.project.drivers import DRIVERS
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.server_messages import key_detail, without_values
from bootstrapper.postgres.connection.sqlstates import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE

RETRYABLE = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, SERIALIZATION_FAILURE})

DRIVER_MODULES = frozenset(driver.module for driver in DRIVERS)
_LONGEST_TEXT = 1000
_DRIVER_HINT = (
    "Set `driver` under `with:` to an installed driver that the engine of env.py supports, for example"
    " `driver: asyncpg`; it applies to sqlalchemy.url and DATABASE_URL."
)


def failed(failure: Mapping[str, Any], context: RunContext) -> MigrationError | FencedOffError:
    """Returns the error for the worker's `failed` event."""
    kind = "driver" if failure.get("module") in DRIVER_MODULES else failure["kind"]
    match kind:
        case "fenced":
            return FencedOffError(failure["reason"])
        case "elsewhere":
            ours = context.project.target.where
            return MigrationError(
                f"env.py connected to {failure['where']} instead of {ours}",
                hint="Read the address in env.py from DATABASE_URL or sqlalchemy.url.",
            )
        case "unplanned":
            return MigrationError(failure["reason"], hint="Apply again.")
        case "version_table":
            return MigrationError(
                failure["reason"], hint=f"Set `{failure['option']}` under `with:` to the value in env.py."
            )
        case "driver":
            traceback = context.masker.quote(failure.get("traceback") or "")
            return MigrationError(failure["reason"], traceback=traceback or None, hint=_DRIVER_HINT)
    quote, statement, sqlstate = context.masker.quote, failure.get("statement") or "", failure.get("sqlstate")
    quotes_values = (sqlstate or "").startswith("22")  # a revision may bind secrets from its environment
    reason = without_values(failure["reason"], statement) if quotes_values else failure["reason"]
    return MigrationError(
        shorten(quote(reason)),
        revision=failure.get("revision"),
        statement=shorten(quote(statement)) or None,
        sqlstate=sqlstate,
        place=failure.get("place"),
        detail=key_detail(sqlstate, failure.get("detail"), context.masker),
        traceback=quote(failure.get("traceback") or "") or None,
    )


def shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ..."
