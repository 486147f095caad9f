"""Hazards of pending changes: shown in plans, and refused by a protected environment unless they are allowed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import psycopg
import pytest

import bootstrapper
from bootstrapper.errors import HazardError
from tests.cli.project import Project
from tests.cli.revisions import BOOTSTRAP as REVISIONS
from tests.cli.revisions import rows, versions
from tests.migrations.projects import write_env, write_revision
from tests.migrations.worker.test_offline_sql import OFFLINE

pytestmark = pytest.mark.long

LIVE = ("-e", "live")
FIRST = "op.execute('CREATE TABLE users (id int PRIMARY KEY, nick text)'); op.execute('CREATE TABLE empty (id int)')"


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def line_of(project: Project, text: str) -> str:
    """Returns file:line of the revision that has the text."""
    for file in (project.folder / "migrations" / "versions").glob("*.py"):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if text in line:
                return f"{file.relative_to(project.folder)}:{number}"
    raise AssertionError(text)


@pytest.fixture
def migrated(tmp_path: Path, database: str) -> Project:
    """A protected project at its first revision, with a row."""
    made = Project(tmp_path, database)
    made.write(REVISIONS)
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=FIRST)
    assert made.run("apply", *LIVE).returncode == 0
    execute(made, "INSERT INTO users VALUES (1, 'a')")
    return made


def pend(project: Project, upgrade: str) -> None:
    write_revision(project.folder, "second", "first", upgrade=upgrade)


DROP = "op.drop_column('users', 'nick')"


def test_a_plan_names_the_hazard_with_its_revision_and_line(migrated: Project) -> None:
    pend(migrated, DROP)
    shown = " ".join(migrated.run("plan", *LIVE).stdout.split())
    assert f"! drop-column (not allowed): revision second, {line_of(migrated, 'drop_column')}: ALTER TABLE" in shown
    assert "DROP COLUMN nick; takes" not in shown
    assert "`bootstrapper apply` refuses this plan without --allow drop-column" in shown
    allowed = migrated.run("plan", "--allow", "drop-column", *LIVE).stdout
    assert "drop-column (allowed)" in allowed
    assert "refuses" not in allowed
    assert "drop-column: revision second" in migrated.run("plan", "-e", "here").stdout
    assert "**drop-column" not in migrated.run("plan", "--format", "markdown", *LIVE).stdout
    assert "! drop-column (not allowed)" in migrated.run("plan", "--format", "markdown", *LIVE).stdout


def test_a_plan_as_data_has_the_hazards_of_each_step(migrated: Project) -> None:
    pend(migrated, DROP)
    plan = json.loads(migrated.run("plan", "--format", "json", *LIVE).stdout)
    jsonschema.validate(plan, json.loads(migrated.run("config", "schema", "--plan").stdout))
    [hazard] = plan["steps"][1]["hazards"]
    message = hazard.pop("message")
    assert message.startswith("ALTER TABLE users DROP COLUMN nick takes ACCESS EXCLUSIVE on users")
    assert hazard == {
        "name": "drop-column",
        "target": "revision second",
        "remedy": "Release code that no longer uses it first, and keep a backup of the data.",
        "place": line_of(migrated, "drop_column"),
        "allowed": False,
    }


def test_places_start_at_the_folder_of_the_file_wherever_it_is_run(migrated: Project) -> None:
    file = f"{migrated.folder.name}/bootstrap.yaml"
    text = REVISIONS + "  - {uses: sql, name: gone, with: {statement: DROP TABLE users}, check: {sql: SELECT false}}\n"
    migrated.write(text)
    above = replace(migrated, folder=migrated.folder.parent)
    plan = json.loads(above.run("plan", "--format", "json", "-f", file, *LIVE).stdout)
    (place,) = [hazard["place"] for step in plan["steps"] for hazard in step["hazards"]]
    assert place == f"bootstrap.yaml:{len(text.splitlines())}"


def test_a_plan_as_sarif_names_files_as_the_working_directory_sees_them(migrated: Project) -> None:
    pend(migrated, DROP)
    (migrated.folder / "bootstrap.yaml").rename(migrated.folder / "other.yaml")
    above = replace(migrated, folder=migrated.folder.parent)
    file = f"{migrated.folder.name}/other.yaml"
    log = json.loads(above.run("plan", "--format", "sarif", "-f", file, *LIVE).stdout)
    (result,) = log["runs"][0]["results"]
    (place,) = result["locations"]
    path, line = line_of(migrated, "drop_column").split(":")
    assert (result["ruleId"], result["level"]) == ("drop-column", "error")
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": f"{migrated.folder.name}/{path}"},
        "region": {"startLine": int(line)},
    }


ADD = "op.add_column('users', sa.Column('c', sa.Integer))"


def test_a_plan_names_the_locks_of_each_revision_also_without_a_hazard(migrated: Project) -> None:
    pend(migrated, ADD)
    assert "\n    revision second locks public.users (ACCESS EXCLUSIVE)\n" in migrated.run("plan", *LIVE).stdout
    shown = migrated.run("plan", "--format", "markdown", *LIVE).stdout
    assert "\n# revision second locks public.users (ACCESS EXCLUSIVE)\n" in shown
    plan = json.loads(migrated.run("plan", "--format", "json", *LIVE).stdout)
    jsonschema.validate(plan, json.loads(migrated.run("config", "schema", "--plan").stdout))
    assert plan["steps"][1]["hazards"] == []
    [lock] = plan["steps"][1]["locks"]
    assert lock == {
        "relation": "public.users",
        "mode": "ACCESS EXCLUSIVE",
        "target": "revision second",
        "place": line_of(migrated, "add_column"),
    }


def test_a_saved_plan_with_locks_is_applied_after_the_table_has_grown(migrated: Project) -> None:
    pend(migrated, ADD)
    key = {"BOOTSTRAPPER_PLAN_KEY": "k" * 32}
    assert migrated.run("plan", "--out", "saved.json", *LIVE, **key).returncode == 0
    assert json.loads((migrated.folder / "saved.json").read_text())["steps"][1]["locks"]
    execute(migrated, "INSERT INTO users SELECT n, 'x' FROM generate_series(10, 20000) AS n", "ANALYZE users")
    done = migrated.run("apply", "saved.json", *LIVE, **key)
    assert (done.returncode, versions(migrated)) == (0, ["second"]), done.stderr


def refused(done: subprocess.CompletedProcess[str], *names: str) -> str:
    assert done.returncode == 9, done.stdout + done.stderr
    assert " ".join(f"--allow {name}" for name in names) in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", [["apply"], ["migrate"], ["upgrade"], ["run", "{}", "--", "true"]])
def test_a_hazard_that_is_not_allowed_is_refused_before_any_write(migrated: Project, command: list[str]) -> None:
    pend(migrated, DROP)
    runs = rows(migrated, "SELECT count(*) FROM bootstrapper.runs")

    def given(*options: str) -> list[str]:
        own = [*options, *LIVE]
        return [part for word in command for part in (own if word == "{}" else [word])] + (
            [] if "{}" in command else own
        )

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return migrated.spawn(*given(*options)) if "{}" in command else migrated.run(*given(*options))

    said = refused(run(), "drop-column")
    assert f"drop-column: step 'migrate', revision second, {line_of(migrated, 'drop_column')}: ALTER TABLE" in said
    assert "or always with `limits: {allow: [drop-column]}` of step 'migrate'" in said
    assert versions(migrated) == ["first"]
    assert rows(migrated, "SELECT count(*) FROM bootstrapper.runs") == runs
    done = run("--allow", "drop-column")
    assert (done.returncode, versions(migrated)) == (0, ["second"]), done.stderr


def test_a_refusal_as_data_names_the_hazards(migrated: Project) -> None:
    pend(migrated, f"op.execute('DELETE FROM users'); {DROP}")
    done = migrated.run("apply", "--log-format", "json", *LIVE)
    error = json.loads(done.stderr.splitlines()[-1])
    assert (error["event"], error["hazards"]) == ("error", ["delete-rows", "drop-column"])
    assert (error["exit_code"], error["retryable"]) == (9, False)


def test_an_unprotected_environment_is_never_refused(tmp_path: Path, database: str) -> None:
    project = Project(tmp_path, database)
    project.write(REVISIONS)
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=FIRST)
    assert project.run("apply", "-e", "here").returncode == 0
    execute(project, "INSERT INTO users VALUES (1, 'a')")
    pend(project, DROP)
    assert project.run("apply", "-e", "here").returncode == 0


def test_the_file_allows_a_hazard_of_a_step(migrated: Project) -> None:
    pend(migrated, DROP)
    migrated.write(REVISIONS.replace("    check:", "    limits: {allow: [drop-column]}\n    check:"))
    assert "drop-column (allowed)" in migrated.run("plan", *LIVE).stdout
    assert migrated.run("apply", *LIVE).returncode == 0


def test_validate_says_what_a_protected_environment_allows(migrated: Project) -> None:
    migrated.write(REVISIONS.replace("    check:", "    limits: {allow: [drop-column, rewrite]}\n    check:"))
    assert migrated.run("validate", *LIVE).stdout.endswith("\nmigrate allows drop-column, rewrite\n")
    assert "allows" not in migrated.run("validate", "-e", "here").stdout
    told = json.loads(migrated.run("validate", "--format", "json", *LIVE).stdout)
    assert told["allowed"] == {"migrate": ["drop-column", "rewrite"]}


def test_an_overlay_of_the_environment_allows_it(migrated: Project) -> None:
    pend(migrated, DROP)
    migrated.write(REVISIONS.replace("live: {", "live: {file: live.yaml, "))
    migrated.write("steps:\n  - {uses: migrate, limits: {allow: [drop-column]}}\n", "live.yaml")
    assert migrated.run("apply", *LIVE).returncode == 0


def test_an_unknown_hazard_is_an_error_with_a_suggestion(migrated: Project) -> None:
    said = "unknown hazard 'drop-colum'\nhint: Did you mean 'drop-column'?"
    for command in (["plan"], ["apply"], ["downgrade", "base"]):
        done = migrated.run(*command, "--allow", "drop-colum", *LIVE)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    migrated.write(REVISIONS.replace("    check:", "    limits: {allow: [drop-colum]}\n    check:"))
    done = migrated.run("validate", *LIVE)
    assert (done.returncode, f"bootstrap.yaml:11:22: {said}" in done.stderr) == (2, True), done.stderr


HAZARDS = [
    ("op.drop_table('users')", ["drop-table"]),
    ("op.execute('DROP SCHEMA public CASCADE')", ["drop-object"]),
    ("op.execute('DELETE FROM users')", ["delete-rows"]),
    ("op.execute('TRUNCATE users')", ["delete-rows"]),
    ("op.execute('DO $$ BEGIN DELETE FROM users; END $$')", ["unknown-sql"]),
    ("op.get_bind().execute(sa.text('SELECT 1')).fetchall()", ["unknown-sql"]),
    (
        "if not op.get_context().as_sql:\n        op.execute('DELETE FROM users')",
        ["unknown-sql"],
    ),
    ("op.alter_column('users', 'nick', type_=sa.String(9))", ["rewrite"]),
    ("op.create_index('i', 'users', ['nick'])", ["index-without-concurrently"]),
    ("op.create_check_constraint('c', 'users', 'id > 0')", ["long-lock"]),
    (f"{DROP}; op.create_index('i', 'users', ['id'])", ["drop-column", "index-without-concurrently"]),
]


@pytest.mark.parametrize(("upgrade", "names"), HAZARDS)
def test_each_hazard_that_destroys_or_blocks_is_refused_by_its_name(
    migrated: Project, upgrade: str, names: list[str]
) -> None:
    pend(migrated, upgrade)
    refused(migrated.run("apply", *LIVE), *names)
    assert versions(migrated) == ["first"]


@pytest.mark.parametrize(
    "upgrade",
    [
        "op.add_column('users', sa.Column('c', sa.Integer))",
        "op.rename_table('users', 'people')",
        "op.create_index('i', 'empty', ['id'])",
        "op.create_table('new', sa.Column('n', sa.Integer)); op.create_index('i', 'new', ['n'])",
        "op.execute('CREATE TABLE new AS SELECT * FROM users'); op.execute('DELETE FROM new'); op.drop_table('new')",
    ],
)
def test_what_only_warns_or_meets_no_rows_is_applied(migrated: Project, upgrade: str) -> None:
    pend(migrated, upgrade)
    done = migrated.run("apply", *LIVE)
    assert (done.returncode, versions(migrated)) == (0, ["second"]), done.stderr


TWO = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments: {live: {protected: true}}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations, target: first}
  - uses: seed
  - uses: migrate
    name: later
    with: {script_location: migrations}
fixtures:
  users: {key: [id], mode: sync, where: all, rows: [{id: 1, nick: a}, {id: 2, nick: b}]}
"""


def test_an_empty_database_is_brought_up_without_any_permission(tmp_path: Path, database: str) -> None:
    project = Project(tmp_path, database)
    project.write(TWO)
    write_env(tmp_path, OFFLINE)
    write_revision(tmp_path, "first", upgrade=FIRST)
    write_revision(tmp_path, "second", "first", upgrade="op.create_index('i', 'users', ['nick'])")
    bind = "op.get_bind().execute(sa.text('SELECT 1')).fetchall()"
    write_revision(tmp_path, "third", "second", upgrade=f"{DROP}; {bind}")
    plan = project.run("plan", *LIVE)
    assert plan.returncode == 0
    assert "!" not in plan.stdout
    done = project.run("apply", *LIVE)
    assert (done.returncode, versions(project)) == (0, ["third"]), done.stderr


SYNC = TWO.replace("  - uses: migrate\n    name: later\n    with: {script_location: migrations}\n", "").replace(
    "{id: 1, nick: a}, {id: 2, nick: b}", "{id: 1, nick: a}"
)


@pytest.fixture
def synced(migrated: Project) -> Project:
    """A project of which a sync would delete two rows."""
    migrated.write(SYNC)
    execute(migrated, "INSERT INTO users VALUES (7, 'g'), (8, 'h')")
    return migrated


def test_a_sync_that_deletes_needs_a_permission(synced: Project) -> None:
    said = refused(synced.run("seed", *LIVE), "delete-rows")
    assert "delete-rows: step 'seed', fixture users, bootstrap.yaml:11: 2 rows to delete" in said
    assert rows(synced, "SELECT count(*) FROM users") == [(3,)]
    assert synced.run("seed", "--allow", "delete-rows", *LIVE).returncode == 0
    assert rows(synced, "SELECT count(*) FROM users") == [(1,)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("where: all", "where: all, limits: {deletes: 2}"),
        ("- uses: seed\n", "- {uses: seed, limits: {deletes: 2}}\n"),
        ("- uses: seed\n", "- {uses: seed, limits: {allow: [delete-rows]}}\n"),
    ],
)
def test_a_limit_of_deletions_permits_them(synced: Project, old: str, new: str) -> None:
    synced.write(SYNC.replace(old, new))
    assert "delete-rows (allowed): fixture users" in synced.run("plan", *LIVE).stdout
    assert synced.run("apply", *LIVE).returncode == 0
    assert rows(synced, "SELECT count(*) FROM users") == [(1,)]


def test_a_downgrade_is_refused_before_it_asks(migrated: Project) -> None:
    name = migrated.url.rpartition("/")[2]
    file = next((migrated.folder / "migrations" / "versions").glob("first*.py"))
    text = file.read_text().replace("def downgrade():\n    pass", "def downgrade():\n    op.drop_table('users')")
    file.write_text(text)
    said = refused(migrated.run("downgrade", "base", "--confirm", name, *LIVE), "downgrade", "drop-table")
    assert f"drop-table: step 'migrate', revision first, {line_of(migrated, 'drop_table')}" in said
    assert versions(migrated) == ["first"]
    allowed = ("--allow", "downgrade", "--allow", "drop-table")
    done = migrated.run("downgrade", "base", "--confirm", name, *allowed, *LIVE)
    assert (done.returncode, versions(migrated)) == (0, []), done.stderr


SQL = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments: {live: {protected: true}}
steps:
  - uses: lock
  - uses: sql
    with: {STATEMENT}
    check: {sql: SELECT count(*) = 0 FROM users}
"""


def test_a_sql_step_has_hazards_with_the_line_of_its_file(migrated: Project) -> None:
    migrated.write(SQL.replace("STATEMENT", "file: clean.sql"))
    migrated.write("-- the old ones\nSELECT 1;\nDELETE FROM users;\n", "clean.sql")
    assert "delete-rows: step 'sql', step sql, clean.sql:3: DELETE FROM users takes ROW EXCLUSIVE on users" in refused(
        migrated.run("apply", *LIVE), "delete-rows"
    )
    migrated.write(SQL.replace("STATEMENT", "statement: \"DELETE FROM users WHERE nick <> '${NICK}'\""))
    said = refused(migrated.run("apply", *LIVE, NICK="hidden-value"), "delete-rows")
    assert "hidden-value" not in said
    assert "bootstrap.yaml:7: " in said


def test_a_sql_step_has_its_locks_unless_variables_are_in_the_statement(migrated: Project) -> None:
    migrated.write(SQL.replace("STATEMENT", "file: grow.sql"))
    migrated.write("SELECT 1;\nALTER TABLE users ADD COLUMN c int;\n", "grow.sql")
    plan = json.loads(migrated.run("plan", "--format", "json", *LIVE).stdout)
    taken = {"relation": "public.users", "mode": "ACCESS EXCLUSIVE", "target": "step sql", "place": "grow.sql:2"}
    assert plan["steps"][1]["locks"] == [taken]
    migrated.write(SQL.replace("STATEMENT", "statement: 'ALTER TABLE ${TABLE} ADD COLUMN c int'"))
    plan = json.loads(migrated.run("plan", "--format", "json", *LIVE, TABLE="users").stdout)
    assert plan["steps"][1]["locks"] == []


LATER = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments: {live: {protected: true}}
steps:
  - uses: lock
  - uses: sql
    with: {statement: CREATE TABLE flags (on_ boolean)}
    check: {table: flags}
  - uses: migrate
    with: {script_location: migrations}
    when: {sql: SELECT count(*) = 0 FROM flags}
"""


def test_what_an_earlier_step_keeps_unknown_is_judged_before_its_step_is_started(migrated: Project) -> None:
    pend(migrated, DROP)
    migrated.write(LATER)
    assert "!" not in migrated.run("plan", *LIVE).stdout
    refused(migrated.run("apply", *LIVE), "drop-column")
    assert versions(migrated) == ["first"]
    assert migrated.run("apply", "--allow", "drop-column", *LIVE).returncode == 0
    assert versions(migrated) == ["second"]


def test_hazards_of_several_steps_are_refused_together(synced: Project) -> None:
    pend(synced, DROP)
    synced.write(SYNC.replace("target: first", "target: head").replace(", nick: a", ""))
    said = refused(synced.run("apply", *LIVE), "drop-column", "delete-rows")
    assert (
        "`limits: {allow: [drop-column]}` of step 'migrate' and `limits: {allow: [delete-rows]}` of step 'seed'" in said
    )


KEY = {"BOOTSTRAPPER_PLAN_KEY": "correct horse"}


def test_a_saved_plan_keeps_what_was_allowed_when_it_was_made(migrated: Project) -> None:
    pend(migrated, DROP)
    assert migrated.run("plan", "--out", "plan.json", *LIVE, **KEY).returncode == 0
    refused(migrated.run("apply", "plan.json", **KEY), "drop-column")
    assert migrated.run("plan", "--out", "plan.json", "--allow", "drop-column", *LIVE, **KEY).returncode == 0
    assert migrated.run("apply", "plan.json", "--dry-run", **KEY).returncode == 0
    assert migrated.run("apply", "plan.json", **KEY).returncode == 0
    assert versions(migrated) == ["second"]


def test_a_hazard_that_a_saved_plan_does_not_show_makes_it_stale(migrated: Project) -> None:
    pend(migrated, "op.create_index('i', 'empty', ['id'])")
    assert migrated.run("plan", "--out", "plan.json", *LIVE, **KEY).returncode == 0
    execute(migrated, "INSERT INTO empty VALUES (1)")
    done = migrated.run("apply", "plan.json", "--allow", "index-without-concurrently", **KEY)
    assert done.returncode == 8
    assert "hazard index-without-concurrently was not planned" in done.stderr
    assert versions(migrated) == ["first"]


def test_a_start_up_from_python_is_refused_and_allowed(migrated: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pend(migrated, DROP)
    monkeypatch.chdir(migrated.folder)
    given = {"environment": "live", "variables": migrated.variables()}
    with pytest.raises(HazardError) as error:
        bootstrapper.initialize_database(**given)
    assert error.value.hazards == ("drop-column",)
    bootstrapper.apply(startup=True, allow=["drop-column"], **given)
    assert versions(migrated) == ["second"]


def test_revisions_are_not_rendered_where_nothing_is_pending(
    migrated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[object] = []
    name = "bootstrapper.migrations.linting.revision_sql.render"
    monkeypatch.setattr(name, lambda *given: rendered.append(given))
    assert migrated.run("apply", *LIVE).returncode == 0
    assert rendered == []
