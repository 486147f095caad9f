"""Snapshots of the embedded server's database: copies of it in databases of their own, on the same server.

Every change of a name is one transaction, and a copy gets its name only when it is complete. So a killed command leaves
the database as it was, or as it was to become; the next command drops the remains.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, errors, sql

from bootstrapper.backups.restore import maintenance_database, sessions
from bootstrapper.backups.restore.database_properties import copy_properties
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, GuardError, UsageError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server import scratch
from bootstrapper.postgres.server.database_properties import Properties, grants, properties
from bootstrapper.text import did_you_mean

LONGEST_NAME = 40

_PREFIX = "bootstrapper_snapshot_"
_UNFINISHED = "bootstrapper_snapshotting_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OURS = "bootstrapper: "
_LISTED = """
SELECT d.datname, pg_catalog.pg_database_size(d.oid), pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database AS d WHERE pg_catalog.starts_with(d.datname::text, %s) ORDER BY d.datname
"""
_COPY = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
_REVOKE = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
_CLOSE = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
_RENAME = sql.SQL("ALTER DATABASE {} RENAME TO {}")
_COMMENT = sql.SQL("COMMENT ON DATABASE {} IS {}")


@dataclass(frozen=True)
class Snapshot:
    """A saved state.

    Attributes:
        saved_at: None if its comment was changed.
        comment: That of the database itself.
    """

    name: str
    size: int
    saved_at: datetime | None
    comment: str | None = None


def require_name(name: str) -> None:
    """Raises UsageError for a name that a snapshot cannot have."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid name of a snapshot",
            hint=f"Use up to {LONGEST_NAME} letters, digits and _ . -, with a letter or a digit first.",
        )


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one database; the target is that of the superuser of an embedded server."""

    target: Target
    deadline: Deadline

    def listed(self) -> list[Snapshot]:
        """Returns all of them, by name."""
        with self._outside() as connection:
            return _listed(connection)

    def require(self, name: str) -> None:
        """Raises UsageError if there is no snapshot of this name."""
        known = [each.name for each in self.listed()]
        if name not in known:
            raise UsageError(
                f"snapshot {name!r} does not exist",
                hint=did_you_mean(name, known) or "Save one with `bootstrapper dev snapshot save`.",
            )

    def save(self, name: str, *, replaces: bool = False) -> int:
        """Copies the database, and returns how many sessions were terminated for that.

        Raises:
            UsageError: There is one of this name, and it is not to be replaced.
            GuardError: A run is connected, or transactions are prepared.
        """
        final = _PREFIX + name
        with self._outside() as connection:
            is_known = name in [each.name for each in _listed(connection)]
            if is_known and not replaces:
                raise UsageError(f"snapshot {name!r} already exists", hint="Name another one, or pass --replace.")
            with _reserved(connection) as draft, _reserved(connection) as aside:
                ended = self._copy(connection, self._database, draft)
                like = properties(connection, self._database)
                _make_alike(connection, draft, replace(like, comment=None, is_template=False))
                described = json.dumps({"saved_at": datetime.now(UTC).isoformat(), "comment": like.comment})
                connection.execute(_COMMENT.format(sql.Identifier(draft), sql.Literal(_OURS + described)))
                connection.execute(_CLOSE.format(sql.Identifier(draft)))
                _rename(connection, *([(final, aside)] if is_known else []), (draft, final))
        return ended

    def load(self, name: str) -> int:
        """Puts a copy of the snapshot in the place of the database; returns how many sessions were terminated.

        Raises:
            UsageError: There is no snapshot of this name.
            GuardError: A run is connected, or transactions are prepared.
        """
        self.require(name)
        source = _PREFIX + name
        with self._outside() as connection:
            self._require_idle(connection)
            (found,) = [each for each in _listed(connection) if each.name == name]
            like = replace(properties(connection, source), comment=found.comment)
            with _reserved(connection) as draft, _reserved(connection) as aside:
                connection.execute(_COPY.format(*map(sql.Identifier, (draft, source, like.owner))))
                _make_alike(connection, draft, like)
                with self._alone(connection) as ended:
                    _rename(connection, (self._database, aside), (draft, self._database))
        return ended

    def remove(self, name: str) -> None:
        """Raises UsageError if there is no snapshot of this name, BackupError if it cannot be dropped."""
        self.require(name)
        with self._outside() as connection:
            if not scratch.drop(connection, _PREFIX + name):
                raise BackupError(f"snapshot {name!r} cannot be dropped", hint="Run again.")

    @property
    def _database(self) -> str:
        return self.target.parameters["dbname"]

    @contextmanager
    def _outside(self) -> Iterator[Connection[Any]]:
        """Yields a connection to another database; drops first what a killed command left."""
        with maintenance_database.outside(self.target, self._database, self.deadline) as connection:
            scratch.drop_abandoned(connection, _UNFINISHED)
            yield connection

    def _copy(self, connection: Connection[Any], source: str, new: str) -> int:
        self._require_idle(connection)
        owner = properties(connection, source).owner
        with self._alone(connection) as ended:
            connection.execute(_COPY.format(*map(sql.Identifier, (new, source, owner))))
        return ended

    @contextmanager
    def _alone(self, connection: Connection[Any]) -> Iterator[int]:
        """Keeps sessions out of the database; yields how many there were.

        The server admits no new ones while CREATE DATABASE or RENAME waits for the others to end, so that nothing has
        to be closed to connections, which a killed command would leave closed.
        """
        with maintenance_database.outside(self.target, self._database, self.deadline) as watcher:
            count = len(sessions.others(connection, self._database))
            try:
                with sessions.kept_out(watcher, self._database):
                    yield count
            except errors.ObjectInUse as error:
                raise GuardError(
                    f"other sessions stay connected to database {self._database!r}:",
                    details=map(str, sessions.others(connection, self._database)),
                    hint="Stop the application, and run again.",
                ) from error

    def _require_idle(self, connection: Connection[Any]) -> None:
        """Raises GuardError rather than end a run, or if transactions are prepared, which no session has to end."""
        sessions.require_no_prepared(connection, self._database)
        runs = [
            each for each in sessions.others(connection, self._database) if each.application.startswith("bootstrapper")
        ]
        if runs:
            raise GuardError(
                f"a run is connected to database {self._database!r}:",
                details=map(str, runs),
                hint="Wait until it has ended, or stop it.",
            )


@contextmanager
def _reserved(connection: Connection[Any]) -> Iterator[str]:
    with scratch.reserved_name(connection, _UNFINISHED) as name:
        yield name


def _make_alike(connection: Connection[Any], name: str, like: Properties) -> None:
    """Gives a copy the settings and the grants, which CREATE DATABASE does not copy."""
    copy_properties(connection, name, like)
    connection.execute(_REVOKE.format(sql.Identifier(name)))
    for statement in grants(name, like):
        connection.execute(statement)


def _rename(connection: Connection[Any], *pairs: tuple[str, str]) -> None:
    """Changes all names in one transaction."""
    with connection.transaction():
        for old, new in pairs:
            connection.execute(_RENAME.format(sql.Identifier(old), sql.Identifier(new)))


def _listed(connection: Connection[Any]) -> list[Snapshot]:
    rows = connection.execute(_LISTED, (_PREFIX,)).fetchall()
    return [Snapshot(name.removeprefix(_PREFIX), size, *_described(comment)) for name, size, comment in rows]


def _described(comment: str | None) -> tuple[datetime | None, str | None]:
    """Returns what `save` wrote into the comment of the copy."""
    try:
        found = json.loads((comment or "").removeprefix(_OURS))
        return datetime.fromisoformat(found["saved_at"]), found["comment"]
    except (ValueError, TypeError, KeyError):
        return None, None
