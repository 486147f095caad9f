"""A step that breaks the contract is told which sentence."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import psycopg
import pytest

from bootstrapper.errors import PluginFailedError
from bootstrapper.testing import assert_step_contract
from tests.projects import TrialProject
from tests.servers import Server

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[2]

SQL = "{uses: sql, with: {statement: CREATE TABLE made ()}, check: {table: made}}"


@pytest.fixture
def sample(project: TrialProject) -> TrialProject:
    for name in ("migrations", "plugins"):
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return project


def test_what_the_steps_above_leave_is_not_taken_for_the_steps_own(sample: TrialProject) -> None:
    above = "{uses: sql, name: above, with: {statement: CREATE TABLE other ()}, check: {table: other}}"
    sample.write(f"steps:\n  - uses: lock\n  - {above}\n  - {SQL}\n")
    assert_step_contract(sample.request(), "sql")


BROKEN = """
import psycopg
from bootstrapper import Change, Step, hookimpl

def own(context, statement):
    with psycopg.connect(context._run.project.target.url(), autocommit=True) as connection:
        connection.execute(statement)

class Broken(Step):
    uses = "broken"
    {attributes}
    def changes(self, context):
        {changes}
    def apply(self, context, changes):
        {apply}

@hookimpl
def bootstrapper_steps():
    return [Broken]
"""
MISSING = (
    'return [] if context.connection.execute("SELECT to_regclass(\'made\')").fetchone()[0] else [Change.create("made")]'
)
MAKE = 'context.connection.execute("CREATE TABLE made ()")'


@pytest.mark.parametrize(
    ("changes", "apply", "sentence"),
    [
        ("return []", "pass", "nothing to do"),
        (MISSING, f"{MAKE}; context.connection.execute('COMMIT')", r"Broken\.apply\(\) ended its transaction"),
    ],
)
def test_a_step_that_breaks_the_contract_fails_with_the_broken_sentence(
    sample: TrialProject, changes: str, apply: str, sentence: str
) -> None:
    sample.write(BROKEN.format(attributes="", changes=changes, apply=apply), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    with pytest.raises((AssertionError, PluginFailedError), match=sentence):
        assert_step_contract(sample.request(), "broken")


@pytest.mark.parametrize("extra", ["DELETE FROM other", "DROP TABLE other"])
def test_a_step_that_removes_rows_of_which_its_changes_say_nothing_is_found(sample: TrialProject, extra: str) -> None:
    with psycopg.connect(sample.database, autocommit=True) as connection:
        connection.execute("CREATE TABLE other AS SELECT 1 AS id")
    apply = f"{MAKE}; context.connection.execute({extra!r})"
    sample.write(BROKEN.format(attributes="", changes=MISSING, apply=apply), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    with pytest.raises(AssertionError, match=r"tables have lost rows: \['public\.other: 1 to 0'\]"):
        assert_step_contract(sample.request(), "broken")


def test_a_step_whose_change_deletes_may_remove_rows(sample: TrialProject) -> None:
    with psycopg.connect(sample.database, autocommit=True) as connection:
        connection.execute("CREATE TABLE other AS SELECT 1 AS id")
    found = 'context.connection.execute("SELECT FROM other").fetchone()'
    changes = f'return [] if {found} is None else [Change.delete("other 1")]'
    apply = 'context.connection.execute("DELETE FROM other")'
    sample.write(BROKEN.format(attributes="", changes=changes, apply=apply), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    assert_step_contract(sample.request(), "broken")


def test_a_step_that_writes_its_own_rows_again_and_again_is_found(sample: TrialProject) -> None:
    always = 'return [Change.run("again")]'
    again = 'context.connection.execute("CREATE TABLE IF NOT EXISTS made ()")'
    sample.write(BROKEN.format(attributes="", changes=always, apply=again), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken, check: never}]\n")
    with pytest.raises(AssertionError, match=r"still has changes|wrote to the database"):
        assert_step_contract(sample.request(), "broken")


OBJECTS = """
CREATE TABLE base (id int PRIMARY KEY, body text);
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE VIEW shown AS SELECT id FROM base;
CREATE TYPE mood AS ENUM ('fine');
CREATE SEQUENCE numbers;
CREATE MATERIALIZED VIEW kept AS SELECT clock_timestamp() AS at;
"""
LEFTOVERS = {
    "a function": "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "a body": "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 3'",
    "a grant": "GRANT SELECT ON base TO pg_monitor",
    "a grant on a column": "GRANT SELECT (id) ON base TO pg_monitor",
    "a grant on a function": "REVOKE EXECUTE ON FUNCTION one() FROM PUBLIC",
    "default privileges": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor",
    "a policy": "CREATE POLICY own ON base USING (id = 1)",
    "row security": "ALTER TABLE base ENABLE ROW LEVEL SECURITY",
    "a trigger": "CREATE TRIGGER fires AFTER INSERT ON base EXECUTE FUNCTION fire()",
    "a view": "CREATE OR REPLACE VIEW shown AS SELECT id, body FROM base",
    "a constraint": "ALTER TABLE base ADD CHECK (id > 0)",
    "an index": "CREATE INDEX ON base (body)",
    "a default": "ALTER TABLE base ALTER body SET DEFAULT 'x'",
    "a comment": "COMMENT ON COLUMN base.body IS 'x'",
    "an option": "ALTER TABLE base SET (fillfactor = 50)",
    "a label": "ALTER TYPE mood ADD VALUE 'sad'",
    "a schema": "CREATE SCHEMA other",
    "a row": "INSERT INTO base VALUES (1)",
    "a cast": "CREATE CAST (mood AS int) WITH INOUT",
    "a foreign server": "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far",
    "a text search dictionary": "CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple)",
    "a large object": "SELECT lo_create(0)",
    "an option of a column": "ALTER TABLE base ALTER body SET STATISTICS 7",
    "the rows of a materialized view": "REFRESH MATERIALIZED VIEW kept",
    "a comment on a role": "COMMENT ON ROLE pg_monitor IS 'seen'",
}
OWN = "own(context, {!r})"


@pytest.mark.parametrize("statement", LEFTOVERS.values(), ids=LEFTOVERS)
def test_what_a_connection_of_its_own_leaves_on_failure_is_found(sample: TrialProject, statement: str) -> None:
    with psycopg.connect(sample.database, autocommit=True) as connection:
        connection.execute(OBJECTS)
    apply = f"{MAKE}; {OWN.format(statement)}"
    sample.write(BROKEN.format(attributes="", changes=MISSING, apply=apply), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    with pytest.raises(AssertionError, match="broken failed and left something"):
        assert_step_contract(sample.request(), "broken")


@pytest.mark.parametrize(
    "statement", ["UPDATE base SET body = body", "SELECT nextval('numbers')", "GRANT SELECT ON base TO pg_monitor"]
)
def test_a_step_that_writes_the_same_again_while_it_looks_is_found(sample: TrialProject, statement: str) -> None:
    with psycopg.connect(sample.database, autocommit=True) as connection:
        connection.execute(f"{OBJECTS} INSERT INTO base VALUES (1); GRANT SELECT ON base TO pg_monitor")
    changes = f"{OWN.format(statement)}; {MISSING}"
    sample.write(BROKEN.format(attributes="", changes=changes, apply=MAKE), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    with pytest.raises(AssertionError, match=r"broken wrote to the database|planning broken wrote"):
        assert_step_contract(sample.request(), "broken")


def test_a_writer_in_another_database_does_not_matter(sample: TrialProject, server: Server) -> None:
    sample.write(BROKEN.format(attributes="", changes=MISSING, apply=MAKE), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    is_over = threading.Event()

    def write() -> None:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            while not is_over.wait(0.001):
                connection.execute("SELECT pg_current_xact_id()")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert_step_contract(sample.request(), "broken")
    finally:
        is_over.set()
        writer.join()
