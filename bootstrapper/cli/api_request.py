"""Builds the request to the api from the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bootstrapper.cli.options import Invocation
from bootstrapper.engine.open import Request
from bootstrapper.events import Emit, Event

if TYPE_CHECKING:  # imported only by the commands that need it
    from bootstrapper.migrations.commands.operations import Operation


def silent(event: Event) -> None:
    """Ignores the event, for commands that print none."""


def request(
    invocation: Invocation,
    emit: Emit = silent,
    *,
    types: tuple[str, ...] = (),
    explicit: Mapping[str, object] | None = None,
    operation: Operation | None = None,
    sql: bool = False,
    force: bool = False,
) -> Request:
    return Request(
        file=invocation.file,
        environment=invocation.environment,
        variables=invocation.variables,
        steps=invocation.step,
        skip=invocation.skip,
        types=types,
        explicit=explicit,
        timeout_seconds=invocation.timeout,
        operation=operation,
        sql=sql,
        force=force,
        confirmed=invocation.confirm,
        emit=emit,
        masker=invocation.masker,
    )
