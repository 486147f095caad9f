"""The run that brought a database to a revision that the project's files do not have."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.settings import transaction
from bootstrapper.postgres.ledger.ledger import UNREADABLE
from bootstrapper.postgres.ledger.past_run import PastRun

_BROUGHT_BY = """
SELECT r.serial, r.command, r.environment, r.version, pg_catalog.to_jsonb(r) ->> 'role', r.host,
       pg_catalog.to_char(v.noted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
FROM {revisions} AS v JOIN {runs} AS r ON r.run_id = v.run_id
WHERE v.revision = ANY (%s) AND v.action <> 'autocommit' ORDER BY v.id DESC LIMIT 1
"""


def brought_by(context: RunContext, revisions: Sequence[str]) -> str | None:
    """Returns the run that applied or stamped the latest of them; None if the ledger does not record it."""
    connection, names = context.connection, context.project.ledger
    try:
        with transaction(connection):
            row = connection.execute(names.fill(_BROUGHT_BY), (list(revisions),)).fetchone()
    except UNREADABLE:
        return None
    return str(PastRun(*row)) if row is not None else None
