"""For authors of steps: the contract that every step keeps, checked on a real database.

    def test_my_step_keeps_the_contract(tmp_path, database_url):
        (tmp_path / "bootstrap.yaml").write_text(...)
        request = Request(file=tmp_path / "bootstrap.yaml", variables={"DATABASE_URL": database_url})
        assert_step_contract(request, "my_step")

The database has to be one that the step has something to do in, and that no other session writes to meanwhile; others
of the same server may be written to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psycopg import Connection, sql

from bootstrapper.api.run import apply, plan
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.migrations.schema.comparison import describe
from bootstrapper.plans import PlannedStep
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.ledger.ledger import LedgerNames

__all__ = ["Request", "assert_step_contract", "snapshot"]

_TABLES = """
SELECT n.nspname, c.relname, n.nspname ~ '^bootstrapper$' OR c.relname ~ '^bootstrapper_'
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1, 2
"""
_OTHERS = r"""
SELECT 'extension ' || extname, extversion FROM pg_catalog.pg_extension
UNION ALL SELECT 'role ' || rolname, pg_catalog.concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolcanlogin)
    FROM pg_catalog.pg_roles
UNION ALL SELECT 'member ' || member::regrole || ' of ' || roleid::regrole, '' FROM pg_catalog.pg_auth_members
UNION ALL SELECT 'settings of ' || coalesce(setrole::regrole::text, ''), setconfig::text
    FROM pg_catalog.pg_db_role_setting
    WHERE setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
UNION ALL SELECT 'schema ' || nspname, pg_catalog.concat_ws(' ', nspowner::regrole, nspacl)
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|information_schema$|bootstrapper$)'
UNION ALL SELECT 'privileges and options of ' || c.oid::regclass, pg_catalog.concat_ws(
        ' ', c.relowner::regrole, c.relacl, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relreplident)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^(pg_|information_schema$|bootstrapper$)' AND c.relname !~ '^bootstrapper_'
UNION ALL SELECT 'privileges of ' || a.attrelid::regclass || '.' || a.attname, a.attacl::text
    FROM pg_catalog.pg_attribute AS a WHERE a.attacl IS NOT NULL AND a.attrelid >= 16384
UNION ALL SELECT 'privileges of ' || p.oid::regprocedure, pg_catalog.concat_ws(' ', p.proowner::regrole, p.proacl)
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^(pg_|information_schema$)'
UNION ALL SELECT 'privileges of type ' || t.oid::regtype, pg_catalog.concat_ws(' ', t.typowner::regrole, t.typacl)
    FROM pg_catalog.pg_type AS t WHERE t.typacl IS NOT NULL AND t.oid >= 16384
UNION ALL SELECT pg_catalog.concat_ws(' ', 'default privileges', defaclrole::regrole, defaclobjtype, defaclnamespace),
        defaclacl::text FROM pg_catalog.pg_default_acl
UNION ALL SELECT 'privileges of the database', datacl::text
    FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
UNION ALL SELECT 'comment on ' || pg_catalog.pg_describe_object(classoid, objoid, objsubid), description
    FROM pg_catalog.pg_description WHERE objoid >= 16384
    AND pg_catalog.pg_describe_object(classoid, objoid, objsubid) !~ '\mbootstrapper([._]|$)'
UNION ALL SELECT 'event trigger ' || evtname, pg_catalog.concat_ws(' ', evtevent, evtfoid::regproc, evtenabled)
    FROM pg_catalog.pg_event_trigger
UNION ALL SELECT 'publication ' || pubname, puballtables::text FROM pg_catalog.pg_publication
ORDER BY 1, 2
"""
_ROWS = "SELECT md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')) FROM {}.{} AS t"
_VERSIONS = "SELECT md5(coalesce(string_agg(ctid::text || xmin::text, ',' ORDER BY ctid), '')) FROM {}.{}"
_CATALOGUES = """
SELECT 'pg_catalog', relname, false FROM pg_catalog.pg_class
WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared
  AND relname !~ '^pg_statistic' AND pg_catalog.has_table_privilege(oid, 'SELECT') ORDER BY 2
"""
_SEQUENCES = """
SELECT pg_catalog.format('sequence %I.%I', schemaname, sequencename), last_value::text FROM pg_catalog.pg_sequences
"""


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
    written = _difference(before, _look(request))
    assert not written, f"planning {step} wrote to the database: {written}"
    if _fail_at_the_end(request, step):
        left = _difference(before, _look(request))
        assert not left, f"{step} failed and left something: {left}"
    applied = [item.name for item in apply(request).applied]
    assert step in applied, f"{step} was planned and not applied"
    assert not _planned(request, step).has_changes, f"{step} still has changes after it was applied"
    rows = _look(request, _versions)
    apply(request)
    written = _difference(rows, _look(request, _versions))
    assert not written, f"{step} wrote to the database although it had no changes: {written}"


def snapshot(connection: Connection[Any]) -> dict[str, str]:
    """Returns everything of a database that a step can change, by name, except the ledger.

    Objects with their definitions, privileges, owners, options and comments, and digests of the rows of all tables.
    """
    found = dict(describe(connection, LedgerNames(), (None, "alembic_version")))
    found |= {name: definition or "" for name, definition in connection.execute(_OTHERS).fetchall()}
    tables = connection.execute(_TABLES).fetchall()
    for schema, table in [(schema, table) for schema, table, is_ledger in tables if not is_ledger]:
        found[f"rows of {schema}.{table}"] = _digest(connection, _ROWS, schema, table)
    return found


def _versions(connection: Connection[Any]) -> dict[str, str]:
    """Returns a digest of the versions of all rows of this database, those of the catalogues and the ledger too.

    No transaction of another database changes it, nor autovacuum.
    """
    tables = [*connection.execute(_TABLES).fetchall(), *connection.execute(_CATALOGUES).fetchall()]
    found = {f"{schema}.{table}": _digest(connection, _VERSIONS, schema, table) for schema, table, _ in tables}
    return found | {name: value or "" for name, value in connection.execute(_SEQUENCES).fetchall()}


def _digest(connection: Connection[Any], query: str, schema: str, table: str) -> str:
    row = connection.execute(sql.SQL(query).format(sql.Identifier(schema), sql.Identifier(table))).fetchone()
    return str(row[0]) if row else ""


def _apply_above(request: Request, step: str) -> None:
    """Applies the steps above, whose effects would otherwise count as leftovers of a failing step."""
    with opened(request, "test", writes=True) as run:
        names = [entry.name for entry in run.entries if isinstance(entry.unit, Step)]
    apply(replace(request, skip=(*request.skip, *names[names.index(step) :])))


def _difference(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _look(request: Request, look: Callable[[Connection[Any]], dict[str, str]] = snapshot) -> dict[str, str]:
    with opened(request, "test", writes=True) as run, run.session.read_only() as connection:
        return look(connection)


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
