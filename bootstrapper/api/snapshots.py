"""Saves, lists, loads and removes snapshots of an embedded server's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bootstrapper.api import project
from bootstrapper.backups.snapshots import Snapshot, Snapshots, require_name
from bootstrapper.deadline import Deadline
from bootstrapper.engine.request import Request
from bootstrapper.errors import BackupError, UsageError


def listed(request: Request) -> list[Snapshot]:
    """Returns all snapshots; none if the server does not exist."""
    if not project.embedded_server(request).exists:
        return []
    with _snapshots(request) as snapshots:
        return snapshots.listed()


def save(request: Request, name: str, *, replaces: bool) -> int:
    """Saves the database as it is now, and returns how many sessions were terminated.

    Raises UsageError for a name that is not valid or in use, GuardError if a run is connected.
    """
    require_name(name)
    with _snapshots(request) as snapshots:
        return snapshots.save(name, replaces=replaces)


def require(request: Request, name: str) -> None:
    """Raises UsageError if there is no such snapshot."""
    require_name(name)
    with _snapshots(request) as snapshots:
        snapshots.require(name)


def load(request: Request, name: str) -> int:
    """Replaces the database by a snapshot, and returns how many sessions were terminated.

    Raises UsageError if there is no such snapshot, GuardError if a run is connected.
    """
    require_name(name)
    with _snapshots(request) as snapshots:
        return snapshots.load(name)


def remove(request: Request, name: str) -> None:
    """Removes a snapshot; raises UsageError if it does not exist."""
    require_name(name)
    with _snapshots(request) as snapshots:
        snapshots.remove(name)


@contextmanager
def _snapshots(request: Request) -> Iterator[Snapshots]:
    """The server runs for the time of the command, and on if it ran before."""
    server = project.embedded_server(request)
    if not server.exists:
        raise UsageError(
            f"the embedded server in {server.folder} does not exist yet", hint="Create it with `bootstrapper apply`."
        )
    with server.borrowed() as target:
        request.masker.learn(target.password)
        try:
            yield Snapshots(target, Deadline.never())
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error).partition("\n")[0]
            raise BackupError(f"the snapshot failed: {said}", hint="Run again; the database is complete.") from error
