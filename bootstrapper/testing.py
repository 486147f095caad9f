"""For authors of steps: the contract that every step keeps, checked on a real database.

    def test_my_step_keeps_the_contract(tmp_path, database_url):
        (tmp_path / "bootstrap.yaml").write_text(...)
        request = Request(file=tmp_path / "bootstrap.yaml", variables={"DATABASE_URL": database_url})
        assert_step_contract(request, "my_step")

The database has to be one that the step has something to do in, and that no other session writes to meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from psycopg import Connection, sql

from bootstrapper.api.run import apply, plan
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.plans import PlannedStep
from bootstrapper.plugin.step import Step

__all__ = ["Request", "assert_step_contract", "snapshot"]

_TABLES = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$|bootstrapper$)'
  AND c.relname !~ '^bootstrapper_' ORDER BY 1, 2
"""
_COLUMNS = """
SELECT a.attrelid::regclass::text, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^(pg_|information_schema$|bootstrapper$)'
  AND c.relname !~ '^bootstrapper_' ORDER BY 1, 2
"""
_OTHERS = """
SELECT 'extension', extname::text FROM pg_catalog.pg_extension
UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_catalog.pg_proc
    WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
UNION ALL SELECT 'type', oid::regtype::text FROM pg_catalog.pg_type WHERE typtype IN ('e', 'd', 'r')
    AND typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
UNION ALL SELECT 'role', rolname::text FROM pg_catalog.pg_roles ORDER BY 1, 2
"""
_ROWS = "SELECT md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')) FROM {}.{} AS t"
_NEXT_TRANSACTION = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text"


class _InjectedError(Exception):
    """Raised at the fault point, after the step's `apply`."""


def assert_step_contract(request: Request, step: str) -> None:
    """Takes one step of the file through its whole life, after all steps above it were applied.

    Planned, it has changes, and planning writes nothing. Failing at the last moment, a transactional step leaves
    nothing. Applied, it has no changes left. Applied again, it writes nothing.

    Raises AssertionError, naming the sentence that is not true.
    """
    _apply_above(request, step)
    before = _look(request)
    assert _planned(request, step).has_changes, (
        f"{step} has nothing to do in this database, so its contract cannot be checked"
    )
    assert _look(request) == before, f"planning {step} wrote to the database"
    if _fail_at_the_end(request, step):
        left = _difference(before, _look(request))
        assert not left, f"{step} failed and left something: {left}"
    applied = [item.name for item in apply(request).applied]
    assert step in applied, f"{step} was planned and not applied"
    assert not _planned(request, step).has_changes, f"{step} still has changes after it was applied"
    transaction = _next_transaction(request)
    apply(request)
    assert _next_transaction(request) == transaction, f"{step} wrote to the database although it had no changes"


def snapshot(connection: Connection[Any]) -> dict[str, str]:
    """Returns everything of a database that a step can change, by name, except the ledger."""
    found = {
        f"column {table}.{name}": f"{kind}{' not null' if required else ''}"
        for table, name, kind, required in connection.execute(_COLUMNS).fetchall()
    }
    found |= {f"{kind} {name}": "" for kind, name in connection.execute(_OTHERS).fetchall()}
    for schema, table in connection.execute(_TABLES).fetchall():
        query = sql.SQL(_ROWS).format(sql.Identifier(schema), sql.Identifier(table))
        row = connection.execute(query).fetchone()
        found[f"rows of {schema}.{table}"] = str(row[0]) if row else ""
    return found


def _apply_above(request: Request, step: str) -> None:
    """Applies the steps above, whose effects would otherwise count as leftovers of a failing step."""
    with opened(request, "test", writes=True) as run:
        names = [entry.name for entry in run.entries if isinstance(entry.unit, Step)]
    apply(replace(request, skip=(*request.skip, *names[names.index(step) :])))


def _difference(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _look(request: Request) -> dict[str, str]:
    with opened(request, "test", writes=True) as run, run.session.read_only() as connection:
        return snapshot(connection)


def _next_transaction(request: Request) -> str:
    with opened(request, "test", writes=True) as run:
        row = run.session.connection.execute(_NEXT_TRANSACTION).fetchone()
    return str(row[0]) if row else ""


def _planned(request: Request, step: str) -> PlannedStep:
    return next(item for item in plan(request).steps if item.name == step)


def _fail_at_the_end(request: Request, step: str) -> bool:
    """Returns whether the step was made to fail; one that is not transactional promises nothing here."""

    def fail(name: str) -> None:
        if name == step:
            raise _InjectedError

    with opened(request, "test", writes=True, after_apply=fail) as run:
        unit = next(entry.unit for entry in run.entries if entry.name == step)
        if not isinstance(unit, Step) or not unit.transactional:
            return False
        run.executor.open_gates()
        try:
            run.executor.apply()
        except _InjectedError:
            return True
    raise AssertionError(f"{step} was not applied at its turn")
