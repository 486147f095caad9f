"""Updates the ledger of a restored database: records the restore, and invalidates older locks."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from bootstrapper import __version__
from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.errors import FencedOffError
from bootstrapper.plans import Change
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.ledger import environment_mark, frozen, ledger
from bootstrapper.postgres.ledger.chain import record_step
from bootstrapper.postgres.ledger.environment_mark import Mark
from bootstrapper.postgres.ledger.frozen import Freeze
from bootstrapper.postgres.ledger.ledger import RESTORED_AS_OF, LedgerNames
from bootstrapper.postgres.ledger.ownership import require_ours
from bootstrapper.postgres.lock.fence import RELEASE, Fence
from bootstrapper.postgres.lock.hold import Hold

_FREE = """
UPDATE {lock} SET token = 1 + greatest(token, %s, (SELECT coalesce(max(token), 0) FROM {runs})), {no_holder}
RETURNING token
"""
# The run that took the backup held the lock, so it is the latest one in the dump.
_END_OF_DUMP = """
UPDATE {runs} SET outcome = CASE command WHEN 'backup' THEN 'done' ELSE 'interrupted' END,
    error = CASE command WHEN 'backup' THEN NULL ELSE %s END, finished_at = greatest(started_at, %s)
WHERE outcome IS NULL AND serial = (SELECT max(serial) FROM {runs})
"""
_BEGAN = "UPDATE {runs} SET started_at = %s WHERE run_id = %s"


def started_at(connection: Connection[Any], fence: Fence) -> datetime:
    """Returns when the run began, from the old database's ledger."""
    query = fence.ledger.fill("SELECT started_at FROM {runs} WHERE run_id = %s")
    row = connection.execute(query, (fence.run_id,), binary=True).fetchone()  # text would depend on DateStyle
    if row is None:
        raise FencedOffError("the ledger does not contain this run any more")
    began: datetime = row[0]
    return began


def settle(
    connection: Connection[Any],
    fence: Fence,
    *,
    project: Project,
    changes: list[Change],
    began: datetime,
    manifest: Manifest | None,
    origin: Mapping[str, str | None],
    carried: Freeze | None,
    mark: Mark | None,
    reason: str | None,
) -> int:
    """Records the restore as done in the new database's ledger, and returns the token of its lock.

    Also ends the run that took the backup, which is unfinished in the dump.

    The entry is visible only once the database has its name, which it gets only if the restore succeeds. The token is
    higher than any in both databases, so that runs from before the restore are fenced off.

    Args:
        fence: The run's fence in the old database.
        began: When that run began.
        origin: What was restored, for the history.
        carried: The freeze of the old database, which goes on.
        mark: The environment that the old database belongs to; without one, that of the dump stays.
        reason: Why the new database is frozen otherwise; None if it is not.
    """
    names = fence.ledger
    require_ours(connection, names, project.target.where)  # triggers in the dump would fire here
    with connection.transaction():
        ledger.create(connection, names)
        ledger.complete(connection, names)
        frozen.replace(connection, names, carried, reason, socket.gethostname())
        if mark is not None:
            environment_mark.carry(connection, names, mark)
        row = connection.execute(names.fill(_FREE), (fence.token,)).fetchone()
        assert row is not None
        token = int(row[0])
        told = f"its backup was restored by run {fence.run_id}; later changes of this run are not in this database"
        ended = manifest.created_at if manifest is not None else began
        connection.execute(names.fill(_END_OF_DUMP), (told, ended))
        ledger.start_run(
            connection,
            names,
            run_id=fence.run_id,
            token=token,
            command=project.command,
            environment=project.environment,
            inputs=project.inputs,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            project=project.name,
            file=project.document.name,
        )
        ledger.note_restored(connection, names, fence.run_id, origin)
        connection.execute(names.fill(_BEGAN), (began, fence.run_id))
        record(connection, names, fence, changes)
        ledger.finish_run(connection, names, fence.run_id, "done")
    return token


def note_origin(hold: Hold, origin: Mapping[str, str | None]) -> None:
    """Records the backup in the old database's ledger beforehand, so that a failed restore has it too."""
    with hold.transaction() as connection:
        ledger.note_restored(connection, hold.fence.ledger, hold.fence.run_id, origin)


def record(
    connection: Connection[Any], names: LedgerNames, fence: Fence, changes: list[Change], marks: Sequence[str] = ()
) -> None:
    """Records the result of the step."""
    run_id = fence.run_id
    record_step(
        connection, names, run_id=run_id, step="restore", uses="restore", kind="result", changes=changes, marks=marks
    )


def mark_as_of(manifest: Manifest | None) -> str:
    """Returns the mark for a ledger that stays: its entries between this time and the restore do not apply any more."""
    if manifest is None:
        return f"{RESTORED_AS_OF}-infinity"
    return f"{RESTORED_AS_OF}{manifest.created_at - timedelta(seconds=manifest.seconds or 0):%Y-%m-%dT%H:%M:%S%z}"


def note_end(connection: Connection[Any], fence: Fence, outcome: str, error: str | None = None) -> None:
    """Ends the run and releases its lock in a database to which the run's own connection is gone.

    Does nothing if the lock belongs to another run by now.
    """
    names = fence.ledger
    with connection.transaction():
        if connection.execute(names.fill(RELEASE), (fence.run_id, fence.token)).rowcount:
            ledger.finish_run(connection, names, fence.run_id, outcome, error)
