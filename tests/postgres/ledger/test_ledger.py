"""The ledger of roles, schemas and databases as they are found."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from bootstrapper.errors import (
    PluginFailedError,
    RefusedError,
    UnreachableError,
)
from tests.engine.notes import ONE_TABLE, note
from tests.projects import TrialProject
from tests.servers import Server


@pytest.mark.parametrize("schema", ['My "Ledger"', "é", "a{b}", "sch'ema"])
def test_the_ledgers_schema_may_have_any_name(project: TrialProject, schema: str) -> None:
    project.write(f"ledger: {{schema: {json.dumps(schema)}}}\n" + ONE_TABLE)
    assert len(project.apply().applied) == 1
    last = project.status().last_run
    assert last is not None
    assert last.outcome == "done"


def test_an_error_that_the_ledger_cannot_store_as_it_is_does_not_hide_how_the_run_ended(
    project: TrialProject,
) -> None:
    note(project, apply="raise RuntimeError('a\\0b' + chr(0xD800))")
    with pytest.raises(PluginFailedError):
        project.apply()
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_sequences_of_the_ledger_that_are_behind_their_tables_move_on(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    for _ in range(3):
        project.apply()
        project.rows("DROP TABLE one")
    project.rows("ALTER TABLE bootstrapper.runs ALTER serial RESTART")
    project.rows("ALTER TABLE bootstrapper.steps ALTER id RESTART")
    project.apply()
    assert project.rows("SELECT count(*), max(serial) FROM bootstrapper.runs") == [(4, 4)]
    assert project.rows("SELECT count(*), max(id) FROM bootstrapper.steps") == [(4, 4)]


def test_a_role_that_may_not_write_the_ledger_is_refused(project: TrialProject, role: Callable[..., None]) -> None:
    project.write(ONE_TABLE.replace("one ()", "one (id int)"))
    project.apply()
    project.rows("DROP TABLE one")
    role("GRANT USAGE ON SCHEMA bootstrapper TO {role}", "GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}")
    assert len(project.plan().pending) == 1
    with pytest.raises(RefusedError):
        project.apply()


def test_a_role_that_may_not_record_the_result_is_told_so(project: TrialProject, role: Callable[..., None]) -> None:
    project.write(ONE_TABLE)
    project.apply()
    project.rows("DROP TABLE one")
    role(
        "GRANT CREATE ON SCHEMA public TO {role}",
        "GRANT USAGE ON SCHEMA bootstrapper TO {role}",
        "GRANT ALL ON ALL TABLES IN SCHEMA bootstrapper TO {role}",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA bootstrapper TO {role}",
        "REVOKE UPDATE ON bootstrapper.runs FROM {role}",
    )
    with pytest.raises(RefusedError, match="all steps are done, but their result could not be recorded") as caught:
        project.apply()
    assert "bootstrapper doctor" in str(caught.value.hint)
    assert project.rows("SELECT to_regclass('one')::text") == [("one",)]


def test_a_schema_that_the_role_may_not_create_in_is_refused(project: TrialProject, role: Callable[..., None]) -> None:
    project.write("ledger: {schema: public}\n" + ONE_TABLE)
    role("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(RefusedError, match="42501"):
        project.apply()


def test_a_role_whose_transactions_are_read_only_is_refused_at_once(
    project: TrialProject, role: Callable[..., None]
) -> None:
    project.write(ONE_TABLE.replace("200ms", "60s"))
    project.rows("CREATE SCHEMA bootstrapper")
    role("GRANT ALL ON SCHEMA bootstrapper TO {role}", "ALTER ROLE {role} SET default_transaction_read_only = on")
    with pytest.raises(UnreachableError, match="25006"):
        project.apply()


def test_a_foreign_table_in_the_schema_of_the_ledger_is_not_a_bug(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    project.rows("CREATE SCHEMA bootstrapper")
    project.rows("CREATE TABLE bootstrapper.lock (n int)")
    project.rows("CREATE TABLE bootstrapper.runs (n int)")
    assert len(project.plan().pending) == 1
    assert project.status().last_run is None
    with pytest.raises(RefusedError, match="bootstrapper"):
        project.apply()


@pytest.mark.parametrize("missing", ["DROP TABLE bootstrapper.lock", "DELETE FROM bootstrapper.lock"])
def test_a_ledger_restored_without_its_lock_is_completed(project: TrialProject, missing: str) -> None:
    project.write(ONE_TABLE)
    project.apply()
    project.rows(missing)
    project.rows("DROP TABLE one")
    assert len(project.apply().applied) == 1
    assert project.rows("SELECT token FROM bootstrapper.lock") == [(2,)]
    assert project.rows("SELECT count(*) FROM bootstrapper.runs") == [(2,)]


def test_a_database_of_latin1_holds_the_end_of_a_run_whatever_its_error_says(
    project: TrialProject, server: Server
) -> None:
    name = f"latin_{time.monotonic_ns()}"
    server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        project.database = server.url(name)
        note(project, apply="raise RuntimeError('это')")
        with pytest.raises(PluginFailedError):
            project.apply()
        assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
