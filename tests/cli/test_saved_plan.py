"""Tests of `plan --out` and `apply PLAN`: exactly what was approved is done, or the run is refused and says why."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bootstrapper.plans.saved import SavedPlan
from tests.cli.project import Project
from tests.cli.revisions import three_revisions, versions
from tests.migrations.projects import create_table, write_revision
from tests.servers import Server
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

BOOTSTRAP = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments:
  staging: {}
  production: {protected: true}
steps:
  - uses: lock
    with: {timeout: 30s}
  - uses: sql
    name: first
    with: {statement: "INSERT INTO notes SELECT 10, 'first' FROM slow"}
    check: {sql: "SELECT EXISTS (SELECT FROM notes WHERE id = 10)"}
  - uses: sql
    name: second
    with: {statement: "INSERT INTO notes SELECT 11, 'second' FROM slow, pg_sleep(seconds)"}
    check: {sql: "SELECT EXISTS (SELECT FROM notes WHERE id = 11)"}
  - uses: seed
fixtures:
  notes:
    key: [id]
    mode: sync
    where: id < 10
    rows:
      - {id: 1, body: one}
      - {id: 2, body: two}
"""

STAGING = ("-e", "staging")


@pytest.fixture
def notes(project: Project) -> Project:
    """A project with one row to create, one to update and one to delete, after two statements."""
    execute(project, "CREATE TABLE notes (id int PRIMARY KEY, body text)", "CREATE TABLE slow (seconds int)")
    execute(project, "INSERT INTO slow VALUES (0)", "INSERT INTO notes VALUES (1, 'old'), (3, 'three')")
    project.write(BOOTSTRAP)
    return project


@pytest.fixture
def planned(notes: Project) -> Project:
    """The same, with a plan in plan.json."""
    save(notes)
    return notes


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def bodies(project: Project) -> dict[int, str]:
    with psycopg.connect(project.url) as connection:
        return dict(connection.execute("SELECT id, body FROM notes ORDER BY id").fetchall())


def runs(project: Project) -> list[tuple[str | None, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute("SELECT command, outcome, plan FROM bootstrapper.runs ORDER BY serial").fetchall()


def save(project: Project, *arguments: str, **variables: str) -> None:
    made = project.run("plan", "--out", "plan.json", *(arguments or STAGING), **variables)
    assert made.returncode == 0, made.stderr


def refused(project: Project, *arguments: str, code: int = 8, **variables: str) -> str:
    """Returns the error of an apply that has to be refused, and checks that nothing was changed."""
    before = bodies(project)
    done = project.run("apply", "plan.json", *arguments, **variables)
    assert done.returncode == code, done.stderr
    assert bodies(project) == before
    return done.stderr


DONE = {1: "one", 2: "two", 10: "first", 11: "second"}


def test_exactly_the_planned_changes_are_made_once(planned: Project) -> None:
    assert planned.run("apply", "plan.json").returncode == 0
    assert bodies(planned) == DONE
    digest = json.loads((planned.folder / "plan.json").read_text())["digest"]
    assert runs(planned) == [("apply", "done", digest)]
    again = planned.run("apply", "plan.json")
    assert (again.returncode, again.stderr.splitlines()[-1]) == (0, "nothing to do: this plan was applied already")
    assert len(runs(planned)) == 1


def test_the_file_is_for_its_owner_only_and_is_replaced_by_the_next_plan(planned: Project) -> None:
    file = planned.folder / "plan.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = file.read_text()
    save(planned)
    assert file.read_text() != first
    assert {path.name for path in planned.folder.iterdir()} == {"bootstrap.yaml", "plan.json"}


def test_another_file_is_not_replaced_by_a_plan(notes: Project) -> None:
    file = notes.write("mine\n", "plan.json")
    made = notes.run("plan", "--out", "plan.json", *STAGING)
    assert (made.returncode, file.read_text()) == (2, "mine\n")
    assert "plan.json already exists" in made.stderr
    assert notes.run("plan", "--out", "plan.json", "--overwrite", *STAGING).returncode == 0
    assert notes.run("plan", "--out", "bootstrap.yaml", "--overwrite", *STAGING).returncode == 2


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE notes SET body = 'theirs' WHERE id = 1",
            "body is in the database as theirs, and was old when planned",
        ),
        ("INSERT INTO notes VALUES (2, 'two')", "creation of notes id=2 was planned, but is not to be done now"),
        ("INSERT INTO notes VALUES (2, 'x')", "creation of notes id=2 was planned, but now it is to update"),
        ("INSERT INTO notes VALUES (4, 'four')", "deletion of notes id=4 was not planned"),
        ("DELETE FROM notes WHERE id = 3", "deletion of notes id=3 was planned, but is not to be done now"),
        ("INSERT INTO notes VALUES (10, 'x')", "step 'first': run of"),
    ],
)
def test_a_change_behind_the_plan_is_named_before_anything_is_done(planned: Project, statement: str, said: str) -> None:
    execute(planned, statement)
    error = refused(planned)
    assert error.splitlines()[-2].startswith("error: the saved plan is stale: step '")
    assert said in error
    assert "hint: Make a new plan" in error


def test_a_deletion_that_takes_other_rows_along_by_now_is_refused(planned: Project) -> None:
    execute(planned, "CREATE TABLE replies (note int REFERENCES notes ON DELETE CASCADE)")
    execute(planned, "INSERT INTO replies VALUES (3)")
    error = refused(planned)
    assert "deletion of notes id=3: not declared; " in error
    assert "when planned: not declared" in error


def test_a_changed_configuration_is_refused(planned: Project) -> None:
    planned.write(BOOTSTRAP.replace("body: two", "body: 2nd"))
    assert "the configuration, a file that it names, or a variable was changed" in refused(planned)


def test_a_revision_that_was_merged_meanwhile_is_named(tmp_path: Path, database: str) -> None:
    migrating = three_revisions(tmp_path, database)
    assert migrating.run("plan", "--out", "plan.json", "-e", "here").returncode == 0
    fourth = write_revision(tmp_path, "fourth", "third", upgrade=create_table("d"))
    done = migrating.run("apply", "plan.json")
    assert done.returncode == 8
    assert "the newest revision is fourth, and was third when planned" in done.stderr
    fourth.unlink()
    assert migrating.run("apply", "plan.json").returncode == 0
    assert versions(migrating) == ["third"]


def test_a_plan_that_shows_statements_is_applied(tmp_path: Path, database: str) -> None:
    migrating = three_revisions(tmp_path, database)
    assert migrating.run("plan", "--sql", "--out", "plan.json", "-e", "here").returncode == 0
    assert "CREATE TABLE" in (tmp_path / "plan.json").read_text()
    done = migrating.run("apply", "plan.json")
    assert done.returncode == 0, done.stderr
    assert versions(migrating) == ["third"]


def test_a_plan_of_another_environment_is_refused(planned: Project) -> None:
    error = refused(planned, "-e", "production", BOOTSTRAPPER_PLAN_KEY="k" * 20, code=9)
    assert "is not signed" in error
    planned.write(BOOTSTRAP.replace("{protected: true}", "{}"))
    save(planned)
    assert "of environment 'staging', but this run is of 'production'" in refused(planned, "-e", "production")


def test_a_plan_for_another_database_is_refused(planned: Project, new_database: Callable[[], str]) -> None:
    other = Project(planned.folder, new_database())
    done = other.run("apply", "plan.json")
    assert done.returncode == 8
    assert "the saved plan is stale: it is for " in done.stderr
    assert "is another database" in done.stderr


def test_a_run_in_between_makes_the_plan_stale(planned: Project) -> None:
    assert planned.run("apply", "--step", "first", *STAGING).returncode == 0
    assert re.search(r"stale: run [0-9a-f-]{36} \(apply\) had the lock after the plan was made", refused(planned))


def test_a_role_that_may_not_read_the_ledger_saves_no_plan(notes: Project, server: Server) -> None:
    assert notes.run("apply", "--step", "first", *STAGING).returncode == 0
    name = notes.url.rpartition("/")[2]
    role = f"looker_{name}"
    url = f"postgresql://{role}:p@127.0.0.1:{server.port}/{name}"
    execute(notes, f"CREATE ROLE {role} LOGIN PASSWORD 'p'", f"GRANT SELECT ON notes, slow TO {role}")
    try:
        made = Project(notes.folder, url).run("plan", "--out", "plan.json", *STAGING)
        assert made.returncode == 6
        assert f"role {role} may not read the ledger" in made.stderr
        assert not (notes.folder / "plan.json").exists()
        execute(notes, f"GRANT USAGE ON SCHEMA bootstrapper TO {role}")
        execute(notes, f"GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}")
        save(Project(notes.folder, url))
        assert notes.run("apply", "plan.json").returncode == 0
        assert bodies(notes) == DONE
    finally:
        execute(notes, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_ledger_that_was_put_back_makes_the_plan_stale(notes: Project) -> None:
    assert notes.run("apply", "--step", "first", *STAGING).returncode == 0
    save(notes)
    execute(notes, "DELETE FROM bootstrapper.steps", "DELETE FROM bootstrapper.runs")
    assert "the ledger does not have the run any more" in refused(notes)


def test_a_plan_with_a_changed_byte_is_refused(planned: Project) -> None:
    file = planned.folder / "plan.json"
    file.write_text(file.read_text().replace('"two"', '"2wo"'))
    assert "the saved plan was changed after it was made" in refused(planned, code=9)


def test_a_protected_environment_takes_signed_plans_only(notes: Project) -> None:
    unsigned = notes.run("plan", "--out", "plan.json", "-e", "production")
    assert unsigned.returncode == 9
    assert "plans must be signed, but BOOTSTRAPPER_PLAN_KEY is not set" in unsigned.stderr
    save(notes, "-e", "production", "--allow", "delete-rows", BOOTSTRAPPER_PLAN_KEY="correct horse")
    assert "BOOTSTRAPPER_PLAN_KEY is not set" in refused(notes, code=9)
    assert "does not match the key" in refused(notes, code=9, BOOTSTRAPPER_PLAN_KEY="wrong horse")
    assert "correct horse" not in (notes.folder / "plan.json").read_text()
    assert notes.run("apply", "plan.json", BOOTSTRAPPER_PLAN_KEY="correct horse").returncode == 0
    assert bodies(notes) == DONE


def test_a_signature_of_any_characters_is_compared(notes: Project) -> None:
    key = "correct horse"
    save(notes, BOOTSTRAPPER_PLAN_KEY=key)
    file = notes.folder / "plan.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(json.loads(text)["signature"], "Grüße"), encoding="utf-8")
    assert "does not match the key" in refused(notes, code=9, BOOTSTRAPPER_PLAN_KEY=key)


def test_a_plan_changed_and_given_a_new_digest_has_no_valid_signature(notes: Project) -> None:
    key = "correct horse"
    save(notes, "-e", "production", BOOTSTRAPPER_PLAN_KEY=key)
    file = notes.folder / "plan.json"
    saved = SavedPlan.from_json(file.read_text())
    forged = SavedPlan.of(SavedPlan.from_json(file.read_text().replace('"two"', '"2wo"')).plan, None)
    file.write_text(SavedPlan(forged.plan, forged.digest, saved.signature).to_json())
    assert "does not match the key" in refused(notes, code=9, BOOTSTRAPPER_PLAN_KEY=key)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"steps": [', '"steps": [], "steps": ['),
        ('"format_version": 1', '"format_version": 1, "comment": ""'),
        ('"count": 1', '"count": "1"'),
    ],
)
def test_a_signed_plan_that_reads_otherwise_than_it_is_applied_is_refused(notes: Project, old: str, new: str) -> None:
    key = "correct horse"
    save(notes, "-e", "production", BOOTSTRAPPER_PLAN_KEY=key)
    file = notes.folder / "plan.json"
    text = file.read_text().replace(old, new, 1)
    data = json.loads(text)
    digest, _ = data.pop("digest"), data.pop("signature")
    content = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    file.write_text(text.replace(digest, hashlib.sha256(content).hexdigest()))
    assert "the saved plan was changed after it was made" in refused(notes, code=9, BOOTSTRAPPER_PLAN_KEY=key)


def test_no_secret_is_in_the_file(notes: Project) -> None:
    notes.write(BOOTSTRAP.replace("body: two", "body: {$env: BODY_PASSWORD}"))
    save(notes, BODY_PASSWORD="hunter2hunter2")
    assert "hunter2hunter2" not in (notes.folder / "plan.json").read_text()
    assert notes.run("apply", "plan.json", BODY_PASSWORD="hunter2hunter2").returncode == 0
    assert bodies(notes)[2] == "hunter2hunter2"


def test_a_killed_apply_of_the_same_plan_goes_on(planned: Project) -> None:
    execute(planned, "UPDATE slow SET seconds = 60")
    process = start(planned)
    assert eventually(lambda: 10 in bodies(planned), seconds=30)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=at_most(30))
    execute(planned, "UPDATE slow SET seconds = 0")
    assert planned.run("apply", "plan.json").returncode == 0
    assert bodies(planned) == DONE
    digest = json.loads((planned.folder / "plan.json").read_text())["digest"]
    assert runs(planned) == [("apply", None, digest), ("apply", "done", digest)]


def test_a_step_that_always_runs_is_not_repeated_when_its_plan_goes_on(notes: Project) -> None:
    unchecked = '    check: {sql: "SELECT EXISTS (SELECT FROM notes WHERE id = 10)"}'
    notes.write(BOOTSTRAP.replace(unchecked, "    check: never").replace("SELECT 10,", "SELECT 20 + count(*),"))
    execute(notes, "ALTER TABLE notes ADD CONSTRAINT no_second CHECK (id <> 11)")
    save(notes)
    assert notes.run("apply", "plan.json").returncode == 1
    execute(notes, "ALTER TABLE notes DROP CONSTRAINT no_second")
    done = notes.run("apply", "plan.json")
    assert done.returncode == 0, done.stderr
    assert bodies(notes) == {1: "one", 2: "two", 11: "second", 21: "first"}


def test_of_two_that_apply_one_plan_the_second_finds_it_done(planned: Project) -> None:
    execute(planned, "UPDATE slow SET seconds = 2")
    both = [start(planned), start(planned)]
    ends = [process.communicate(timeout=at_most(90))[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert bodies(planned) == DONE
    assert len([run for run in runs(planned) if run[1] == "done"]) == 1
    assert any("nothing" in end.splitlines()[-1] for end in ends)


def test_a_run_that_waited_for_one_without_the_plan_is_refused(planned: Project) -> None:
    execute(planned, "UPDATE slow SET seconds = 4")
    other = start(planned, "apply", "--step", "second", *STAGING)
    assert eventually(lambda: has_run(planned), seconds=30)
    done = planned.run("apply", "plan.json")
    other.communicate(timeout=at_most(60))
    assert other.returncode == 0
    assert done.returncode == 8, done.stderr
    assert bodies(planned) == {1: "old", 3: "three", 11: "second"}
    assert len(runs(planned)) == 1


def has_run(project: Project) -> bool:
    try:
        return bool(runs(project))
    except psycopg.errors.UndefinedTable:
        return False


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command(*(arguments or ("apply", "plan.json"))),
        cwd=project.folder,
        env=project.variables(),
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_failed_step_does_not_loosen_the_plan(planned: Project) -> None:
    execute(planned, "ALTER TABLE notes ADD CONSTRAINT few CHECK (id < 10)")
    assert planned.run("apply", "plan.json").returncode == 1
    execute(planned, "ALTER TABLE notes DROP CONSTRAINT few", "UPDATE notes SET body = 'theirs' WHERE id = 1")
    assert "body is in the database as theirs" in refused(planned)


def test_a_dry_run_says_whether_the_plan_would_be_applied(planned: Project) -> None:
    assert planned.run("apply", "plan.json", "--dry-run").stdout.rstrip().endswith("2 to run.")
    execute(planned, "UPDATE notes SET body = 'theirs' WHERE id = 1")
    refused(planned, "--dry-run")


def test_rows_that_are_not_listed_are_bound_as_well(notes: Project) -> None:
    rows = "".join(f"{number},new\n" for number in range(1, 1501))
    notes.write(f"id,body\n{rows}", "notes.csv")
    start, _, _ = BOOTSTRAP.partition("    rows:\n")
    notes.write(start.replace("    where: id < 10\n", "").replace("sync", "update") + "    file: notes.csv\n")
    execute(notes, "INSERT INTO notes SELECT n, 'old' FROM generate_series(4, 1500) AS n")
    save(notes)
    execute(notes, "UPDATE notes SET body = 'theirs' WHERE id = 1400")
    assert "other rows, or rows with other values, than when planned" in refused(notes)
    execute(notes, "UPDATE notes SET body = 'old' WHERE id = 1400")
    assert notes.run("apply", "plan.json").returncode == 0
    assert {body for number, body in bodies(notes).items() if number <= 1500 and number not in (10, 11)} == {"new"}


def test_rows_to_delete_that_are_not_listed_have_to_be_the_same_after_other_steps(notes: Project) -> None:
    notes.write(BOOTSTRAP.replace("where: id < 10", "where: id < 10 OR id > 11"))
    execute(notes, "INSERT INTO notes SELECT n, 'old' FROM generate_series(20, 1520) AS n")
    execute(notes, "UPDATE slow SET seconds = 4")
    save(notes)
    process = start(notes)
    assert eventually(lambda: 10 in bodies(notes), seconds=30)
    execute(notes, "DELETE FROM notes WHERE id BETWEEN 1400 AND 1500", "INSERT INTO notes VALUES (9999, 'theirs')")
    error = process.communicate(timeout=at_most(60))[1]
    assert process.returncode == 8, error
    assert re.search(r"deletion of notes .* was not planned", error)
    assert bodies(notes)[9999] == "theirs"


def test_a_plan_whose_last_run_has_no_valid_id_is_not_a_saved_plan(planned: Project) -> None:
    file = planned.folder / "plan.json"
    file.write_text(file.read_text().replace('"last_run": null', '"last_run": "x"'))
    assert "plan.json is not a saved plan" in refused(planned, code=2)


def test_rows_whose_keys_read_alike_are_applied_as_planned(notes: Project) -> None:
    start, _, _ = BOOTSTRAP.partition("  notes:\n")
    fixture = "  named: {key: [name, no], mode: sync, where: all, rows: [{name: n, no: 1, body: b}]}\n"
    notes.write(start + fixture)
    execute(notes, "CREATE TABLE named (name text, no int, body text)")
    execute(notes, "INSERT INTO named VALUES (NULL, 1, 'x'), ('NULL', 1, 'y')")
    save(notes)
    assert notes.run("apply", "plan.json").returncode == 0
    with psycopg.connect(notes.url) as connection:
        assert connection.execute("SELECT name, body FROM named").fetchall() == [("n", "b")]


def test_changes_of_a_plugin_that_read_alike_are_counted(notes: Project) -> None:
    notes.write(ALIKE, "plugins/alike.py")
    first, _, _ = BOOTSTRAP.partition("  - uses: sql")
    notes.write(f"{first}  - uses: alike\nplugins: [./plugins]\n")
    execute(notes, "INSERT INTO slow VALUES (0)")
    save(notes)
    execute(notes, "INSERT INTO slow VALUES (0)")
    assert "step 'alike': run of job was not planned" in refused(notes)
    execute(notes, "DELETE FROM slow WHERE ctid = (SELECT max(ctid) FROM slow)")
    done = notes.run("apply", "plan.json")
    assert done.returncode == 0, done.stderr
    assert bodies(notes)[50] == "2 jobs"


ALIKE = """\
from bootstrapper import Change, Step, hookimpl


class Alike(Step):
    uses = "alike"

    def changes(self, context):
        if context.connection.execute("SELECT 1 FROM notes WHERE id = 50").fetchone():
            return []
        return [Change.run("job") for _ in context.connection.execute("SELECT FROM slow")]

    def apply(self, context, changes):
        context.connection.execute("INSERT INTO notes VALUES (50, %s)", (f"{len(changes)} jobs",))


@hookimpl
def bootstrapper_steps():
    return [Alike]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "plan.json is not a saved plan: not a plan of format version 1"),
        ("not json", "plan.json is not a saved plan"),
        (None, "cannot read plan.json: No such file or directory"),
    ],
)
def test_a_file_that_is_not_a_plan_is_refused(offline: Project, text: str | None, said: str) -> None:
    if text is not None:
        offline.write(text, "plan.json")
    done = offline.run("apply", "plan.json")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("option", [("--step", "first"), ("--skip", "first"), ("--force",), ("--follow",)])
def test_options_that_change_what_is_applied_are_refused_beside_a_plan(
    offline: Project, option: tuple[str, ...]
) -> None:
    done = offline.run("apply", "plan.json", *option)
    assert done.returncode == 2
    assert f"PLAN cannot be combined with {option[0]}" in done.stderr


def test_the_selection_of_the_plan_is_what_is_applied(notes: Project) -> None:
    save(notes, "--step", "seed", *STAGING)
    assert notes.run("apply", "plan.json").returncode == 0
    assert bodies(notes) == {1: "one", 2: "two"}
