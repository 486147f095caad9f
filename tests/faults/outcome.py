"""Compares what a disturbed run left with what an undisturbed run leaves, and holds the ledger to the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql

from bootstrapper.postgres.ledger import chain
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.acquire import advisory_key

Rows = list[tuple[Any, ...]]

USER_SCHEMAS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
SCHEMA = (
    f"""SELECT n.nspname, c.relname, c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE {USER_SCHEMAS} ORDER BY 1, 2""",
    f"""SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm') AND {USER_SCHEMAS}
        ORDER BY 1, 2, 3""",
    f"""SELECT n.nspname, k.conname, pg_get_constraintdef(k.oid), k.convalidated
        FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace WHERE {USER_SCHEMAS} ORDER BY 1, 2""",
    f"""SELECT n.nspname, c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE {USER_SCHEMAS} ORDER BY 1, 2""",
)
# Left aside: times, generated uuids, hashes of passwords, and what sequences give.
COMPARED = f"""
SELECT n.nspname, c.relname, array_agg(a.attname ORDER BY a.attname)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {USER_SCHEMAS} AND n.nspname <> 'bootstrapper'
  AND a.atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
  AND NOT (a.atttypid = 'uuid'::regtype AND d.oid IS NOT NULL) AND a.attidentity = ''
  AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') NOT LIKE 'nextval(%'
  AND a.attname NOT IN ('secret', 'password_hash')
GROUP BY 1, 2 ORDER BY 1, 2
"""
# How often each step's effect is there. A transactional step's effect and its result row come and go together.
EFFECTS = {
    "tables": ("SELECT (to_regclass('journal') IS NOT NULL)::int", "journal"),
    "seed": ("SELECT greatest((SELECT count(*) FROM labels) / 5.0, (SELECT count(*) FROM tenants) / 2.0)", "labels"),
    "append": ("SELECT count(*) FROM journal WHERE text = 'appended'", "journal"),
    "count": ("SELECT greatest(n % 10, 0) FROM counter", "counter"),
}
AT_HEAD = "SELECT count(*) FROM alembic_version WHERE version_num IN ('r4', 'r5')"


@dataclass(frozen=True)
class Snapshot:
    """What a database holds, as far as two runs of one project must agree."""

    schema: tuple[Rows, ...]
    data: dict[str, Rows]

    def differences(self, other: Snapshot) -> list[str]:
        """What `other` has more or less than this one; empty means equal."""
        found = []
        for mine, theirs in zip(self.schema, other.schema, strict=True):
            found += [f"schema: missing {row}" for row in mine if row not in theirs]
            found += [f"schema: surplus {row}" for row in theirs if row not in mine]
        for table in sorted({*self.data, *other.data}):
            mine, theirs = self.data.get(table, []), other.data.get(table, [])
            if mine != theirs:
                found.append(f"data of {table}: {mine} became {theirs}")
        return found


def snapshot(url: str) -> Snapshot:
    with psycopg.connect(url, autocommit=True) as connection:
        schema = tuple(connection.execute(query.encode()).fetchall() for query in SCHEMA)
        data = {
            f"{namespace}.{table}": _rows(connection, namespace, table, columns)
            for namespace, table, columns in connection.execute(COMPARED.encode()).fetchall()
        }
    return Snapshot(schema, data)


def _rows(connection: Connection[Any], namespace: str, table: str, columns: list[str]) -> Rows:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(namespace, table))
    return sorted(connection.execute(query).fetchall(), key=repr)


def violations(url: str, expected: Snapshot) -> list[str]:
    """Everything that is wrong after a clean run; empty where the promise was kept."""
    return [*expected.differences(snapshot(url)), *ledger_lies(url), *still_held(url)]


def still_held(url: str) -> list[str]:
    """Locks that no session should hold once all runs have ended."""
    names = LedgerNames()
    with psycopg.connect(url, autocommit=True) as connection:
        if not _exists(connection, "bootstrapper.lock"):
            return []
        # The row of a killed holder may go on naming it: with nothing left to do, no run takes the lock again.
        query = (
            "SELECT l.run_id FROM bootstrapper.lock AS l JOIN pg_stat_activity AS a"
            " ON (a.pid, a.backend_start) IN ((l.backend_pid, l.backend_start),"
            " (l.worker_backend_pid, l.worker_backend_start)) WHERE l.run_id IS NOT NULL AND l.mode = 'direct'"
        )
        found = [f"run {row[0]} still holds the lock" for row in connection.execute(query)]
        key = advisory_key(names)
        query = (
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        found += [f"backend {row[0]} still holds the advisory lock" for row in connection.execute(query, (key,))]
        query = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
        return found + [f"index {row[0]} is invalid" for row in connection.execute(query)]


def ledger_lies(url: str) -> list[str]:
    """What the ledger says and the tables deny, or the other way round; holds at any moment between transactions."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if not _exists(connection, "bootstrapper.steps"):
            return _effects_without_ledger(connection)
        return [*_broken_chain(connection), *_untrue_results(connection), *_untrue_runs(connection)]


def _exists(connection: Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return row is not None and bool(row[0])


def _effects_without_ledger(connection: Connection[Any]) -> list[str]:
    return [f"there is no ledger, and {step} was done" for step in EFFECTS if _effect(connection, step)]


def _effect(connection: Connection[Any], step: str) -> float:
    query, table = EFFECTS[step]
    if not _exists(connection, table):
        return 0
    row = connection.execute(query.encode()).fetchone()
    return float(row[0]) if row is not None and row[0] is not None else 0


def _results(connection: Connection[Any]) -> dict[str, int]:
    query = "SELECT step, count(*) FROM bootstrapper.steps WHERE kind = 'result' GROUP BY step"
    return dict(connection.execute(query).fetchall())


def _untrue_results(connection: Connection[Any]) -> list[str]:
    results, found = _results(connection), []
    has_tables_step = "tables" in results or not _exists(connection, "alembic_version")
    for step in EFFECTS:
        effect, told = _effect(connection, step), results.get(step, 0)
        if step == "tables" and not has_tables_step:
            continue
        if effect not in (0, 1) or effect != told:
            found.append(f"{step}: its effect is there {effect:g} times, the ledger tells {told} results")
    if results.get("migrate", 0) and not _at_head(connection):
        found.append("migrate: the ledger tells a result, and the database is not at the head")
    return found


def _at_head(connection: Connection[Any]) -> bool:
    if not _exists(connection, "alembic_version"):
        return False
    row = connection.execute(AT_HEAD).fetchone()
    return row is not None and bool(row[0])


def _untrue_runs(connection: Connection[Any]) -> list[str]:
    done = connection.execute("SELECT count(*) FROM bootstrapper.runs WHERE outcome = 'done'").fetchone()
    if done == (0,):
        return []
    missing = [step for step in ("seed", "append", "count") if not _effect(connection, step)]
    return [f"a run was recorded as done without {', '.join(missing)}"] if missing else []


def _broken_chain(connection: Connection[Any]) -> list[str]:
    return [fault.message for fault in chain.verify(connection, LedgerNames()).faults]
