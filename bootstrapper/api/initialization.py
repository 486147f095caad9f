"""What an application asks for when it starts, under the names that such code usually has.

The arguments are those of `functions`. A database that a newer release has changed is left as it is, with a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bootstrapper.api import run
from bootstrapper.api.arguments import File, OnEvent, request_of
from bootstrapper.api.functions import apply, wait
from bootstrapper.api.outcomes import Outcome, Ready
from bootstrapper.deadline import Stop
from bootstrapper.engine.request import Request
from bootstrapper.errors import AheadError


def initialize_database(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    allow: Collection[str] = (),
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Outcome:
    """Brings the database to the declared state: waits for it, migrates and seeds it, in one of many replicas.

    Raises the error of the first step that failed.
    """
    return apply(
        file,
        environment=environment,
        variables=variables,
        timeout=timeout,
        allow=allow,
        startup=True,
        on_event=on_event,
        stop=stop,
    )


def seed_database(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    allow: Collection[str] = (),
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Outcome:
    """Writes only the declared rows, as the command `seed` does; of `when`, only `environment` is asked."""
    asked = request_of(
        file, environment, variables, timeout, on_event=on_event, stop=stop, types=("seed",), allow=allow, startup=True
    )
    return run.apply(asked, "seed")


def is_database_initialized(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> bool:
    """Returns whether the database is as declared, or ahead of this code: `initialize_database` would change nothing.

    Raises UnreachableError if the database does not answer in time.
    """
    return not _is_pending(request_of(file, environment, variables, timeout, startup=True))


def needs_migration(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> bool:
    """Returns whether revisions are pending that `initialize_database` would apply; not in a database that is ahead.

    Raises UnreachableError if the database does not answer in time.
    """
    whole = request_of(file, environment, variables, timeout, startup=True)
    return _is_pending(replace(whole, types=("migrate",))) and not run.is_left_alone(whole)


def wait_for_database(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Ready:
    """Waits until the database accepts connections, as the step `wait` of the file has it."""
    return wait(file, environment=environment, variables=variables, timeout=timeout, on_event=on_event, stop=stop)


def _is_pending(request: Request) -> bool:
    try:
        return bool(run.plan(request, judges=False).pending)
    except AheadError as error:
        if not error.is_acceptable:
            raise
        return False
