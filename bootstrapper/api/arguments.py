"""The arguments that the functions of the package share, and the request that they stand for."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from bootstrapper.api.event_log import EventLog
from bootstrapper.deadline import Stop
from bootstrapper.engine.request import Request
from bootstrapper.events import Event

File = str | os.PathLike[str]
OnEvent = Callable[[Event], object]

FILE_VARIABLE = "BOOTSTRAPPER_FILE"
ENVIRONMENT_VARIABLE = "BOOTSTRAPPER_ENVIRONMENT"
_DEFAULT_FILE = "bootstrap.yaml"


def request_of(
    file: File | None,
    environment: str | None,
    variables: Mapping[str, str] | None,
    timeout: float | None = None,
    *,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
    steps: Collection[str] = (),
    skip: Collection[str] = (),
    types: tuple[str, ...] = (),
    sql: bool = False,
    force: bool = False,
    confirmed: str | None = None,
    allow: Collection[str] = (),
    startup: bool = False,
) -> Request:
    """Returns the request that these arguments stand for."""
    known = dict(os.environ if variables is None else variables)
    return Request(
        file=Path(file or known.get(FILE_VARIABLE) or _DEFAULT_FILE),
        environment=environment or known.get(ENVIRONMENT_VARIABLE) or None,
        variables=known,
        steps=_names(steps),
        skip=_names(skip),
        types=types,
        timeout_seconds=timeout,
        sql=sql,
        force=force,
        confirmed=confirmed,
        allow=_names(allow),
        startup=startup,
        emit=EventLog(on_event).emit,
        stop=stop,
    )


def _names(given: Collection[str]) -> tuple[str, ...]:
    """Returns the names, also of one that is given without a list."""
    return (given,) if isinstance(given, str) else tuple(given)
