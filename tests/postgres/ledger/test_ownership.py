"""A ledger that others own, or act on, is not used: their code would run with our rights."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from bootstrapper.errors import RefusedError
from bootstrapper.events import Warned
from tests.projects import TrialProject
from tests.servers import Server

STEPS = """
steps:
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE notes (i int)"}
    check: {table: notes}
"""
ENRICH = """
CREATE FUNCTION public.become() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN ALTER ROLE intruder SUPERUSER; RETURN NEW; END$$;
"""


@pytest.fixture(scope="module")
def intruder(server: Server) -> Iterator[str]:
    server.execute("CREATE ROLE intruder LOGIN PASSWORD 'sesame'")
    yield "intruder"
    server.execute("DROP ROLE intruder")


@pytest.fixture
def open_project(project: TrialProject, intruder: str, server: Server) -> Iterator[TrialProject]:
    """A project in whose database the intruder may create schemas."""
    name = project.database.rpartition("/")[2]
    server.execute(f'GRANT CREATE ON DATABASE "{name}" TO {intruder}')
    project.write(STEPS)
    yield project
    server.execute("ALTER ROLE intruder NOSUPERUSER")
    server.execute(f"REASSIGN OWNED BY {intruder} TO postgres", name)
    server.execute(f"DROP OWNED BY {intruder}", name)


def as_intruder(project: TrialProject, statement: str) -> None:
    address = project.database.replace("postgres:correct%20horse@", "intruder:sesame@")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement.encode())


def is_superuser(project: TrialProject) -> bool:
    return project.rows("SELECT rolsuper FROM pg_roles WHERE rolname = 'intruder'") == [(True,)]


@pytest.mark.parametrize("look", ["plan", "status", "apply"])
def test_an_intruders_schema_is_refused_before_anything_of_it_is_read(open_project: TrialProject, look: str) -> None:
    as_intruder(open_project, "CREATE SCHEMA bootstrapper; CREATE VIEW bootstrapper.runs AS SELECT 1 AS serial")
    with pytest.raises(RefusedError, match="of the ledger") as refused:
        getattr(open_project, look)()
    assert refused.value.exit_code == 6
    assert not open_project.has("notes")


def test_an_intruders_table_in_a_shared_schema_is_refused(open_project: TrialProject) -> None:
    open_project.write("ledger: {schema: public}\n" + STEPS)
    open_project.rows("GRANT CREATE ON SCHEMA public TO public")
    as_intruder(open_project, "CREATE TABLE public.bootstrapper_runs (run_id uuid)")
    with pytest.raises(RefusedError, match="bootstrapper_runs of the ledger belongs to role 'intruder'"):
        open_project.apply()


def test_a_trigger_on_the_ledger_is_refused_and_does_not_fire(open_project: TrialProject) -> None:
    open_project.apply()
    open_project.rows(ENRICH)
    open_project.rows("CREATE TRIGGER become BEFORE INSERT ON bootstrapper.runs EXECUTE FUNCTION public.become()")
    open_project.rows("DROP TABLE notes")
    with pytest.raises(RefusedError, match="triggers, rules or policies"):
        open_project.apply()
    assert not is_superuser(open_project)


def test_a_role_without_rights_may_read_the_ledger_that_it_was_granted(open_project: TrialProject) -> None:
    open_project.write("ledger: {grant_to: [intruder]}\n" + STEPS)
    open_project.apply()
    open_project.database = open_project.database.replace("postgres:correct%20horse@", "intruder:sesame@")
    last = open_project.status().last_run
    assert last is not None
    assert last.outcome == "done"
    open_project.write("ledger: {grant_to: [intruder]}\n" + STEPS.replace("notes", "others"))
    with pytest.raises(RefusedError):
        open_project.apply()


def test_a_role_that_a_step_creates_may_read_the_ledger_after_the_run(open_project: TrialProject) -> None:
    made = "SELECT to_regrole('late') IS NOT NULL"
    create = f"  - {{uses: sql, name: role, with: {{statement: CREATE ROLE late}}, check: {{sql: {made}}}}}\n"
    open_project.write("ledger: {grant_to: [late, never]}\n" + STEPS + create)
    try:
        open_project.apply()
        assert open_project.rows("SELECT has_table_privilege('late', 'bootstrapper.runs', 'SELECT')") == [(True,)]
        [warning] = [event for event in open_project.events if isinstance(event, Warned)]
        assert warning.message == "ledger: role 'never' in grant_to does not exist"
    finally:
        open_project.rows("DROP OWNED BY late")
        open_project.rows("DROP ROLE late")


def test_a_trigger_on_the_ledger_is_refused_to_a_role_that_only_reads_as_well(open_project: TrialProject) -> None:
    open_project.write("ledger: {grant_to: [intruder]}\n" + STEPS)
    open_project.apply()
    open_project.database = open_project.database.replace("postgres:correct%20horse@", "intruder:sesame@")
    assert open_project.plan().pending == ()
    administrator = open_project.database.replace("intruder:sesame@", "postgres:correct%20horse@")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(ENRICH.encode())
        connection.execute("CREATE TRIGGER become BEFORE INSERT ON bootstrapper.runs EXECUTE FUNCTION public.become()")
    with pytest.raises(RefusedError, match="triggers, rules or policies"):
        open_project.plan()


def test_a_ledger_of_a_role_that_we_are_a_member_of_is_used(open_project: TrialProject, server: Server) -> None:
    open_project.apply()
    name = open_project.database.rpartition("/")[2]
    server.execute("CREATE ROLE owners; GRANT owners TO intruder")
    try:
        open_project.rows(f'GRANT CREATE ON DATABASE "{name}" TO owners; GRANT CREATE ON SCHEMA public TO owners')
        open_project.rows("ALTER SCHEMA bootstrapper OWNER TO owners; ALTER TABLE notes OWNER TO owners")
        for table in ("lock", "runs", "steps", "revisions", "digests", "meta"):
            open_project.rows(f"ALTER TABLE bootstrapper.{table} OWNER TO owners")
        open_project.database = open_project.database.replace("postgres:correct%20horse@", "intruder:sesame@")
        assert open_project.plan().pending == ()
    finally:
        server.execute("REASSIGN OWNED BY owners TO postgres", name)
        server.execute("DROP OWNED BY owners", name)
        server.execute("DROP ROLE owners")
