"""`seed` through a whole run: lock, fence, ledger and all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bootstrapper.api import run
from bootstrapper.errors import FixtureError, InvalidFileError, PendingError, UnsetVariablesError
from bootstrapper.plans import Action, State
from tests.projects import TrialProject
from tests.servers import Server
from tests.waiting import at_most

pytestmark = pytest.mark.long

FILE = """
steps:
  - uses: lock
  - uses: sql
    name: tables
    with:
      statement: |
        CREATE TABLE tenants (id serial PRIMARY KEY, slug text UNIQUE, name text);
        CREATE TABLE users (id serial PRIMARY KEY, email text UNIQUE, tenant_id int REFERENCES tenants (id), hash text)
    check: {table: users}
  - uses: seed
fixtures:
  users:
    key: [email]
    rows:
      admin: {email: a@b, tenant_id: {$ref: tenants.default}, hash: {$password: "${PASSWORD}"}}
  tenants:
    key: [slug]
    rows: {default: {slug: default, name: Default Tenant}}
"""


@pytest.fixture(params=["server", "path_server"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> TrialProject:
    server: Server = request.getfixturevalue(request.param)
    name = f"seed_{request.param}"
    server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    server.create_database(name)
    return TrialProject(tmp_path, server.url(name), {"PASSWORD": "correct-horse"})


def test_a_plan_on_an_empty_database_bounds_what_the_seed_may_do(project: TrialProject) -> None:
    project.write(FILE)
    seed = project.plan().steps[-1]
    assert seed.state is State.DEFERRED
    assert {(item.needs, item.may, item.at_most) for item in seed.deferred} == {
        ("table tenants", frozenset({Action.CREATE}), 1),
        ("table users", frozenset({Action.CREATE}), 1),
    }


def test_apply_seeds_in_order_and_has_nothing_to_do_afterwards(project: TrialProject) -> None:
    project.write(FILE)
    outcome = project.apply()
    assert [change.target for change in outcome.applied[-1].changes] == ["tenants default", "users admin"]
    assert project.rows("SELECT tenant_id, left(hash, 9) FROM users") == [(1, "$argon2id")]
    before = project.rows("SELECT xmin FROM users")
    assert project.apply().run_id is None
    assert project.rows("SELECT xmin FROM users") == before


def test_a_deleted_row_is_created_again_and_nothing_else(project: TrialProject) -> None:
    project.write(FILE)
    project.apply()
    project.rows("DELETE FROM users; UPDATE tenants SET name = 'By hand'")
    assert [change.target for change in project.plan().steps[-1].changes] == ["users admin"]
    project.apply()
    assert project.rows("SELECT name FROM tenants") == [("By hand",)]


def test_a_row_that_fails_leaves_nothing_of_the_step(project: TrialProject) -> None:
    project.write(FILE.replace("hash text)", "hash text CHECK (hash IS NULL))"))
    with pytest.raises(FixtureError, match="violates check constraint users_hash_check"):
        project.apply()
    assert project.rows("SELECT count(*) FROM tenants") == [(0,)]


def test_a_password_without_a_value_stops_the_run_before_anything_is_seeded(project: TrialProject) -> None:
    project.write(FILE)
    del project.variables["PASSWORD"]
    assert project.plan().unset == ("PASSWORD",)
    with pytest.raises(UnsetVariablesError):
        project.apply()


@pytest.mark.parametrize(
    ("content", "lack"), [(None, "does not exist"), ("\n", "is empty"), ("folder", "cannot be read")]
)
def test_a_file_without_a_password_stops_the_run_before_anything_is_done(
    project: TrialProject, content: str | None, lack: str
) -> None:
    secret = project.folder / "admin.txt"
    if content == "folder":
        secret.mkdir()
    elif content is not None:
        secret.write_text(content)
    project.write(FILE.replace('"${PASSWORD}"', "{$file: admin.txt}").replace("${PASSWORD}", "{$file: admin.txt}"))
    assert project.plan().unset == (f"file admin.txt {lack}",)
    with pytest.raises(UnsetVariablesError, match=f"^file admin.txt {lack} here, and the pending changes need it$"):
        project.apply()
    assert project.rows("SELECT to_regclass('users'), to_regclass('bootstrapper.runs')") == [(None, None)]


def test_an_empty_password_stops_the_run_before_anything_is_done(project: TrialProject) -> None:
    project.write(FILE)
    project.variables["PASSWORD"] = ""
    with pytest.raises(InvalidFileError, match="the password is empty"):
        project.plan()
    with pytest.raises(InvalidFileError, match="the password is empty"):
        project.apply()
    assert project.rows("SELECT to_regclass('users'), to_regclass('bootstrapper.runs')") == [(None, None)]


def test_what_the_file_says_of_a_missing_variable_is_in_the_plan_and_in_the_error(project: TrialProject) -> None:
    project.write(FILE.replace("${PASSWORD}", "${PASSWORD:?ask the operations team}"))
    del project.variables["PASSWORD"]
    findings = [finding for step in project.plan().steps for finding in step.findings]
    assert [(found.target, found.message) for found in findings] == [("variable PASSWORD", "ask the operations team")]
    with pytest.raises(UnsetVariablesError, match=r"; \$PASSWORD: ask the operations team$") as caught:
        project.apply()
    assert caught.value.messages == {"PASSWORD": "ask the operations team"}


def test_a_password_is_not_needed_once_its_row_is_there(project: TrialProject) -> None:
    project.write(FILE)
    project.apply()
    del project.variables["PASSWORD"]
    assert project.plan().pending == ()


@pytest.mark.parametrize("mode", ["create", "update"])
def test_a_password_is_not_needed_for_a_column_that_an_earlier_step_adds(project: TrialProject, mode: str) -> None:
    project.write(FILE)
    project.apply()
    del project.variables["PASSWORD"]
    adding = "- {uses: sql, name: add, with: {statement: ALTER TABLE users ADD nick text}, check: {once: nick}}"
    text = FILE.replace("  - uses: seed\n", f"  {adding}\n  - uses: seed\n").replace(
        "{email: a@b,", "{email: a@b, nick: a,"
    )
    project.write(text.replace("key: [email]", f"key: [email]\n    mode: {mode}"))
    assert project.plan().unset == ()
    project.apply()
    assert project.rows("SELECT nick FROM users") == [("a" if mode == "update" else None,)]
    project.write(text.replace("a@b", "b@c"))
    project.rows("ALTER TABLE users DROP nick; DELETE FROM bootstrapper.steps WHERE step = 'add'")
    assert project.plan().unset == ("PASSWORD",)


def test_the_check_rows_seeds_only_a_table_without_rows(project: TrialProject) -> None:
    project.write(FILE.replace("  - uses: seed\n", "  - uses: seed\n    check: {rows: {table: users, at_least: 1}}\n"))
    project.apply()
    project.rows("DELETE FROM users; INSERT INTO users (email) VALUES ('somebody@else')")
    assert project.plan().pending == ()


def test_a_data_file_belongs_to_the_inputs_of_the_plan(project: TrialProject) -> None:
    project.write("slug\none\n", "tenants.csv")
    project.write(FILE.split("fixtures:")[0] + "fixtures:\n  tenants: {key: [slug], file: tenants.csv}\n")
    first = project.plan().inputs
    project.write("slug\ntwo\n", "tenants.csv")
    assert project.plan().inputs != first


def test_an_unknown_fixture_is_an_error_of_the_file(project: TrialProject) -> None:
    project.write(FILE.replace("  - uses: seed\n", "  - uses: seed\n    with: {fixtures: [tenant, users, tenants]}\n"))
    with pytest.raises(InvalidFileError, match="fixture 'tenant' does not exist"):
        project.plan()


def test_two_runs_at_once_seed_once(project: TrialProject) -> None:
    project.write(FILE)
    threads = [threading.Thread(target=project.apply) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(at_most(60))
    assert project.rows("SELECT count(*) FROM users") == [(1,)]
    assert project.plan().pending == ()


@pytest.mark.parametrize(
    ("column", "widening"),
    [
        ("size int", "ALTER TABLE things ALTER size TYPE text"),
        ("size varchar(2)", "ALTER TABLE things ALTER size TYPE varchar(9)"),
        ("size text, other text DEFAULT 'x' UNIQUE", "ALTER TABLE things DROP CONSTRAINT things_other_key"),
    ],
)
@pytest.mark.parametrize("more", ["", "on_deleted: keep, "])
def test_what_an_earlier_step_may_make_possible_waits_for_it(
    project: TrialProject, column: str, widening: str, more: str
) -> None:
    other = ", other: x" if "other" in column else ""
    project.rows(f"CREATE TABLE things (id int PRIMARY KEY, {column}); INSERT INTO things (id) VALUES (7)")
    project.write(f"""
steps:
  - uses: lock
  - {{uses: sql, with: {{statement: "{widening}; CREATE TABLE done ()"}}, check: {{table: done}}}}
  - uses: seed
fixtures:
  things: {{key: [id], {more}rows: [{{id: 1, size: large{other}}}]}}
""")
    (waiting,) = project.plan().steps[-1].deferred
    assert waiting.needs == "step sql"
    assert waiting.reason.startswith("as things are now: ")
    project.apply()
    assert project.rows("SELECT size FROM things WHERE id = 1") == [("large",)]
    assert project.plan().pending == ()


NODES = """
steps:
  - uses: lock
  - {uses: seed, with: {batch: 100}}
fixtures:
  nodes:
    key: [slug]
    rows:
      root: {slug: root}
      child: {slug: child, parent_id: {$ref: nodes.root.id}}
"""


def test_a_part_that_is_tried_again_refers_to_no_row_of_the_attempt_that_was_rolled_back(project: TrialProject) -> None:
    project.rows(
        "CREATE TABLE nodes (id serial PRIMARY KEY, slug text UNIQUE, parent_id int); CREATE SEQUENCE tries;"
        "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') < 3 THEN"
        " RAISE EXCEPTION 'met' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER meet BEFORE INSERT ON nodes FOR EACH ROW WHEN (NEW.slug = 'child') EXECUTE FUNCTION meet()"
    )
    project.write(NODES)
    project.apply()
    found = dict(project.rows("SELECT slug, row(id, parent_id)::text FROM nodes"))
    assert found["root"] == "(5,)"
    assert found["child"].endswith(",5)")


RIVALS = """
steps:
  - uses: lock
  - {uses: seed, name: first, with: {fixtures: [words]}SKIPPED}
  - {uses: seed, name: second, with: {fixtures: [more]}}
fixtures:
  words: {key: [id], mode: update, rows: [{id: 1, name: one, n: 1}]}
  more: {table: words, key: [code], mode: update, rows: [{code: a, name: NAME}]}
"""


@pytest.mark.parametrize("there", ["1, 'a', 'one', 1", "1, 'a', 'two', 1", "1, 'a', 'three', 1"])
def test_two_steps_that_give_one_cell_different_values_are_refused(project: TrialProject, there: str) -> None:
    project.rows(
        "CREATE TABLE words (id int PRIMARY KEY, code text UNIQUE, name text, n int);"
        f"INSERT INTO words VALUES ({there})"
    )
    project.write(RIVALS.replace("NAME", "two").replace("SKIPPED", ""))
    with pytest.raises(FixtureError, match=r"also sets name of this row, to a different value, at .*yaml:\d+:\d+"):
        project.apply()
    assert not project.has("bootstrapper.runs")
    project.write(RIVALS.replace("NAME", "one").replace("SKIPPED", ""))
    project.apply()
    project.write(RIVALS.replace("NAME", "two").replace("SKIPPED", ", when: {environment: [other]}"))
    project.apply()
    assert project.rows("SELECT name FROM words") == [("two",)]
    assert project.apply().applied == ()


def test_two_steps_that_create_one_row_with_different_values_are_refused(project: TrialProject) -> None:
    project.rows("CREATE TABLE words (id int PRIMARY KEY, code text UNIQUE, name text, n int)")
    rows = "  more: {table: words, key: [id], mode: update, rows: [{id: 1, name: two}]}\n"
    project.write(RIVALS.replace("SKIPPED", "").partition("  more:")[0] + rows)
    with pytest.raises(FixtureError, match="also sets name of this row, to a different value"):
        project.apply()
    assert project.rows("SELECT * FROM words") == []


@pytest.mark.parametrize(
    ("fixture", "expected"),
    [
        ("users: {key: [email], rows: [{email: a@b, nickname: a}]}", "table users has no column 'nickname'"),
        ("people: {key: [email], rows: [{email: a@b}]}", "table people does not exist"),
    ],
)
def test_what_no_earlier_step_can_bring_is_an_error_of_the_plan(
    project: TrialProject, fixture: str, expected: str
) -> None:
    project.write(f"{FILE.split('fixtures:')[0]}fixtures:\n  {fixture}\n")
    assert project.plan().steps[-1].state is State.DEFERRED  # the step before it may bring it
    project.apply(skip=("seed",))
    with pytest.raises(FixtureError, match=expected):
        project.plan()
    status = project.status()
    assert (status.plan.steps[-1].state, len(status.errors)) == (State.UNKNOWN, 1)
    with pytest.raises(PendingError, match=fixture.partition(":")[0]):
        run.follow(project.request(timeout_seconds=at_most(1)))
