"""What steps of plugins remember, one document a step, among the marks of the ledger.

Its statements may run between those of a plugin: every name in them is qualified.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import Connection

from bootstrapper.postgres.ledger import rights
from bootstrapper.postgres.ledger.ledger import RESTORED_AS_OF, LedgerNames

_KEY = "state:"
_READABLE = """
SELECT pg_catalog.bool_and(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                           AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE n.nspname OPERATOR(pg_catalog.=) %s::pg_catalog.name
  AND c.relname OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.name[])
HAVING pg_catalog.count(*) OPERATOR(pg_catalog.=) 2
"""
# The time before the first space, then the document: as a JSON value of both, some texts would not be readable in every
# encoding of a server. What was written since the backup that a restore put back in place does not hold any more.
_READ = """
SELECT pg_catalog.substr(m.value, pg_catalog.strpos(m.value, ' ') OPERATOR(pg_catalog.+) 1)
FROM {meta} AS m, LATERAL (SELECT pg_catalog.split_part(m.value, ' ', 1)::pg_catalog.timestamptz AS written) AS w
WHERE m.key OPERATOR(pg_catalog.=) %s AND NOT EXISTS (
    SELECT FROM {steps} AS r, pg_catalog.unnest(r.marks) AS mark
    WHERE r.uses OPERATOR(pg_catalog.=) 'restore' AND pg_catalog.starts_with(mark, %s)
      AND r.recorded_at OPERATOR(pg_catalog.>=) w.written
      AND w.written OPERATOR(pg_catalog.>) pg_catalog.substr(mark, %s)::pg_catalog.timestamptz)
"""
# One statement, so that it is fenced outside a transaction as well.
_WRITE = """
WITH fence AS (
    SELECT FROM {lock} WHERE run_id OPERATOR(pg_catalog.=) %s AND token OPERATOR(pg_catalog.=) %s FOR UPDATE
)
INSERT INTO {meta} (key, value)
SELECT %s, pg_catalog.concat(
    pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    ' ', %s::pg_catalog.text)
FROM fence
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""


def read(connection: Connection[Any], names: LedgerNames, step: str, where: str) -> str | None:
    """Returns the document of a step; None if it never wrote one, or a restore took it back.

    Raises RefusedError for a role that may not read the ledger.
    """
    tables = [names.table_name("meta"), names.table_name("steps")]
    row = connection.execute(_READABLE, (names.schema, tables)).fetchone()
    if row is None:
        return None
    if not row[0]:
        rights.require(connection, names, where)
    values = (_KEY + step, RESTORED_AS_OF, len(RESTORED_AS_OF) + 1)
    found = connection.execute(names.fill(_READ), values).fetchone()
    return found[0] if found is not None else None


def write(connection: Connection[Any], names: LedgerNames, step: str, text: str, *, run_id: UUID, token: int) -> bool:
    """Replaces the document of a step; returns whether the lock is still that of the run."""
    return connection.execute(names.fill(_WRITE), (run_id, token, _KEY + step, text)).rowcount == 1
