"""Builds the request to the api from the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, Unpack

from bootstrapper.cli.options import Invocation
from bootstrapper.engine.request import Request
from bootstrapper.events import Emit, Event
from bootstrapper.plans.saved import SavedPlan

if TYPE_CHECKING:  # imported only by the commands that need it
    from bootstrapper.migrations.commands.operations import Operation


class Specifics(TypedDict, total=False):
    """What a command itself adds to the shared options; the keys are those of the request."""

    types: tuple[str, ...]
    explicit: Mapping[str, object] | None
    operation: Operation
    sql: bool
    force: bool
    records: bool
    startup: bool
    saved: SavedPlan | None


def silent(event: Event) -> None:
    """Ignores the event, for commands that print none."""


def request(invocation: Invocation, emit: Emit = silent, **specifics: Unpack[Specifics]) -> Request:
    return Request(
        file=invocation.file,
        environment=invocation.environment,
        variables=invocation.variables,
        steps=invocation.step,
        skip=invocation.skip,
        timeout_seconds=invocation.timeout,
        confirmed=invocation.confirm,
        allow=invocation.allow,
        emit=emit,
        masker=invocation.masker,
        **specifics,
    )
