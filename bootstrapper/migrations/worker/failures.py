"""Turns what a worker says went wrong into errors without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrapper.errors import FencedOffError, MigrationError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.server_messages import key_detail, without_values
from bootstrapper.postgres.connection.sqlstates import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE

WORTH_ANOTHER_TRY = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, SERIALIZATION_FAILURE})

_LONGEST_TEXT = 1000
_DRIVER_HINT = (
    "Set `driver:` under with: to an installed driver that the engine of env.py supports, for example"
    " `driver: asyncpg`; it applies to sqlalchemy.url and DATABASE_URL."
)


def failed(failure: Mapping[str, Any], context: RunContext) -> MigrationError | FencedOffError:
    """The error that the worker's `failed` event stands for."""
    match failure["kind"]:
        case "fenced":
            return FencedOffError(failure["reason"])
        case "elsewhere":
            ours = context.project.target.where
            return MigrationError(
                f"env.py connected to {failure['where']}, and the database to migrate is {ours}",
                hint="Let env.py take its address from DATABASE_URL or sqlalchemy.url.",
            )
        case "version_table":
            return MigrationError(failure["reason"], hint=f"Write {failure['option']} under with: as env.py has it.")
        case "driver":
            traceback = context.masker.quote(failure.get("traceback") or "")
            return MigrationError(failure["reason"], traceback=traceback or None, hint=_DRIVER_HINT)
    quote, statement, sqlstate = context.masker.quote, failure.get("statement") or "", failure.get("sqlstate")
    quotes_values = (sqlstate or "").startswith("22")  # a revision may bind whatever its environment holds
    reason = without_values(failure["reason"], statement) if quotes_values else failure["reason"]
    return MigrationError(
        shorten(quote(reason)),
        revision=failure.get("revision"),
        statement=shorten(quote(statement)) or None,
        sqlstate=sqlstate,
        detail=key_detail(sqlstate, failure.get("detail"), context.masker),
        traceback=quote(failure.get("traceback") or "") or None,
    )


def shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ..."
