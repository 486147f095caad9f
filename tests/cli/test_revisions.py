"""Alembic's commands as a user types them: planned, guarded, under the lock."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import Project
from tests.migrations.projects import create_table, write_env, write_revision
from tests.migrations.test_rendering import OFFLINE

BOOTSTRAP = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
environments:
  here: {}
  live: {protected: true}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
"""
TAKES_BACK = {"first": "a", "second": "b", "third": "c"}


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    """Three revisions in a line, each with a table."""
    made = Project(tmp_path, database)
    made.write(BOOTSTRAP)
    write_env(tmp_path, OFFLINE)
    down = None
    for name, table in TAKES_BACK.items():
        file = write_revision(tmp_path, name, down, upgrade=create_table(table))
        text = file.read_text()
        file.write_text(text.replace("def downgrade():\n    pass", f"def downgrade():\n    op.drop_table('{table}')"))
        down = name
    return made


def rows(project: Project, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query.encode()).fetchall()


def versions(project: Project) -> list[str]:
    return [str(row[0]) for row in rows(project, "SELECT version_num FROM alembic_version ORDER BY 1")]


def test_upgrade_goes_to_a_revision_and_from_there_to_head(project: Project) -> None:
    assert project.run("upgrade", "second", "-e", "here").returncode == 0
    assert versions(project) == ["second"]
    assert project.run("upgrade", "-e", "here").returncode == 0
    assert versions(project) == ["third"]
    again = project.run("upgrade", "-e", "here")
    assert (again.returncode, "nothing to do: the target is already reached" in again.stderr) == (0, True)


def test_a_step_up_is_counted_from_where_the_database_is(project: Project) -> None:
    assert project.run("upgrade", "+1", "-e", "here").returncode == 0
    assert project.run("upgrade", "+1", "-e", "here").returncode == 0
    assert versions(project) == ["second"]
    too_far = project.run("upgrade", "+7", "-e", "here")
    assert (too_far.returncode, "there is only 1 revision above" in too_far.stderr) == (2, True)


def test_a_revision_that_does_not_exist_is_an_error_without_traceback(project: Project) -> None:
    for command in ("upgrade", "stamp", "downgrade"):
        failed = project.run(command, "nowhere", "-e", "here")
        assert failed.returncode == 2
        assert "there is no revision or branch 'nowhere'" in failed.stderr
        assert "Traceback" not in failed.stderr


def test_each_revision_is_a_line_of_its_own_as_it_is_applied(project: Project) -> None:
    lines = project.run("upgrade", "-e", "here").stderr.splitlines()
    assert [line for line in lines if " of 3 revisions" in line] == [
        f"migrate: {number} of 3 revisions: {name}" for number, name in enumerate(TAKES_BACK, 1)
    ]


def test_downgrade_shows_what_it_drops_and_does_nothing_unasked(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    refused = project.run("downgrade", "first", "-e", "here")
    assert refused.returncode == 9
    assert [line.strip() for line in refused.stdout.splitlines() if line.strip().startswith("DROP")] == [
        "DROP TABLE c;",
        "DROP TABLE b;",
    ]
    assert "not confirmed: nothing was reverted" in refused.stderr
    assert versions(project) == ["third"]


def test_downgrade_takes_back_what_was_confirmed(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    assert project.run("downgrade", "-2", "--yes", "-e", "here").returncode == 0
    assert versions(project) == ["first"]
    assert rows(project, "SELECT to_regclass('b'), to_regclass('c'), to_regclass('a')::text") == [(None, None, "a")]
    assert project.run("downgrade", "base", "--yes", "-e", "here").returncode == 0
    assert versions(project) == []


def test_downgrade_says_once_what_it_is_about(project: Project) -> None:
    project.write(BOOTSTRAP.replace("steps:", "steps:\n  - uses: wait"))
    project.run("upgrade", "-e", "here")
    said = project.run("downgrade", "-1", "--yes", "--report", "report.json", "-e", "here").stderr
    assert (said.count("downgrade · "), said.count("wait: ready")) == (1, 1), said
    report = json.loads((project.folder / "report.json").read_text())
    assert (report["database"], report["outcome"]) == (project.url.rpartition("/")[2], "done")


def test_a_revision_is_taken_back_and_no_file_deleted(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    one = project.run("downgrade", "-1", "--yes", "-e", "here")
    assert "migrate: took back revision third in " in one.stderr
    assert one.stdout.rstrip().endswith("Plan: 0 to create, 0 to update, 1 to take back, 0 to run.")
    two = project.run("downgrade", "base", "--yes", "-e", "here")
    assert "migrate: took back 2 in " in two.stderr
    assert "migrate (downgrade)  2 to take back\n" in two.stdout


def test_the_report_of_a_downgrade_that_was_not_confirmed_says_so(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    project.run("downgrade", "-1", "--report", "report.json", "-e", "here")
    assert json.loads((project.folder / "report.json").read_text())["exit_code"] == 9


def test_in_a_protected_environment_yes_is_not_enough(project: Project) -> None:
    project.run("upgrade", "-e", "live")
    name = project.url.rpartition("/")[2]
    refused = project.run("downgrade", "second", "--yes", "-e", "live")
    assert (refused.returncode, f"--confirm {name}" in refused.stderr) == (9, True)
    assert project.run("downgrade", "second", "--confirm", "another", "-e", "live").returncode == 9
    assert versions(project) == ["third"]
    assert project.run("downgrade", "second", "--confirm", name, "-e", "live").returncode == 0
    assert versions(project) == ["second"]


def test_yes_does_not_outdo_the_name_of_another_database(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    assert project.run("downgrade", "-1", "--yes", "--confirm", "another", "-e", "here").returncode == 9
    assert versions(project) == ["third"]


def test_a_downgrade_to_where_the_database_has_not_been_is_refused(project: Project) -> None:
    project.run("upgrade", "first", "-e", "here")
    refused = project.run("downgrade", "third", "--yes", "-e", "here")
    assert (refused.returncode, "has not been through revision third" in refused.stderr) == (1, True)


def test_a_dry_run_of_each_command_writes_nothing(project: Project) -> None:
    for arguments in (["upgrade"], ["stamp", "second"], ["revision", "more"]):
        shown = project.run(*arguments, "--dry-run", "-e", "here")
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout
    assert rows(project, "SELECT count(*) FROM pg_namespace WHERE nspname = 'bootstrapper'") == [(0,)]
    assert len(list((project.folder / "migrations/versions").glob("*.py"))) == 3


def test_stamp_notes_a_revision_and_runs_nothing(project: Project) -> None:
    assert project.run("stamp", "second", "-e", "here").returncode == 0
    assert versions(project) == ["second"]
    assert rows(project, "SELECT to_regclass('a')") == [(None,)]
    assert "nothing to do" in project.run("stamp", "second", "-e", "here").stderr
    assert project.run("stamp", "base", "-e", "here").returncode == 0
    assert versions(project) == []


def test_stamp_replaces_a_revision_that_the_code_does_not_have(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    (project.folder / "migrations/versions/third_.py").unlink()
    assert project.run("apply", "-e", "here").returncode == 10
    assert project.run("stamp", "second", "-e", "here").returncode == 0
    assert versions(project) == ["second"]


@pytest.mark.parametrize("there", ["", "; CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"])
def test_a_database_with_tables_of_nobodys_is_stamped_base_and_migrated(project: Project, there: str) -> None:
    with psycopg.connect(project.url) as connection:
        connection.execute(f"CREATE TABLE theirs (id int){there}".encode())
    refused = project.run("apply", "-e", "here")
    assert (refused.returncode, "stamp REVISION" in refused.stderr) == (9, True)
    assert project.run("stamp", "base", "-e", "here").returncode == 0
    assert project.run("apply", "-e", "here").returncode == 0
    assert versions(project) == ["third"]


@pytest.mark.parametrize("command", ["revision", "migration"])
def test_revision_writes_a_file_and_prints_its_path(project: Project, command: str) -> None:
    (project.folder / "migrations/script.py.mako").write_text(
        '"""${message}"""\nrevision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n'
        "branch_labels = ${repr(branch_labels)}\ndepends_on = ${repr(depends_on)}\n"
        "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
    )
    made = project.run(command, "more of it", "--rev-id", "fourth", "-e", "here")
    assert made.returncode == 0, made.stderr
    path = Path(made.stdout.strip())
    assert path.name == "fourth_more_of_it.py"
    assert "down_revision = 'third'" in path.read_text()


def test_autogenerate_never_sees_the_ledger(project: Project) -> None:
    env = OFFLINE.replace("connection=connection", "connection=connection, target_metadata=MetaData()")
    write_env(project.folder, "from sqlalchemy import MetaData\n" + env)
    bootstrap = BOOTSTRAP.replace("environments:", "ledger: {schema: public}\nenvironments:")
    project.write(bootstrap)
    (project.folder / "migrations/script.py.mako").write_text(
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\nbranch_labels = None\n"
        "depends_on = None\nfrom alembic import op\nimport sqlalchemy as sa\n"
        "def upgrade():\n    ${upgrades}\ndef downgrade():\n    ${downgrades}\n"
    )
    behind = project.run("revision", "drop all", "--autogenerate", "-e", "here")
    assert behind.stderr.endswith("hint: Bring it to the newest revision first, with `bootstrapper upgrade`.\n")
    project.run("upgrade", "-e", "here")
    made = project.run("revision", "drop all", "--autogenerate", "-e", "here")
    assert made.returncode == 0, made.stderr
    text = Path(made.stdout.strip()).read_text()
    assert "op.drop_table('a')" in text
    assert "bootstrapper" not in text


def test_history_tells_runs_and_revisions_with_who_and_how_long(project: Project) -> None:
    assert project.run("history", "-e", "here").stdout.startswith("no runs")
    project.run("upgrade", "second", "-e", "here")
    project.run("downgrade", "first", "--yes", "-e", "here")
    (down, up) = json.loads(project.run("history", "--format", "json", "-e", "here").stdout)
    assert [(each["action"], each["revision"]) for each in up["revisions"]] == [
        ("upgrade", "first"),
        ("upgrade", "second"),
    ]
    assert [(each["action"], each["revision"]) for each in down["revisions"]] == [("downgrade", "second")]
    assert (up["command"], up["outcome"], up["role"]) == ("upgrade", "done", rows(project, "SELECT user")[0][0])
    assert all(each["seconds"] >= 0 for each in up["revisions"])
    text = project.run("history", "--most", "1", "-e", "here").stdout
    assert ("downgrade second" in text, "upgrade" in text) == (True, False)


def test_history_tells_an_error_line_by_line(project: Project) -> None:
    with psycopg.connect(project.url) as connection:
        connection.execute("CREATE TABLE b ()")
    project.run("stamp", "base", "-e", "here")
    assert project.run("upgrade", "-e", "here").returncode == 1
    told = project.run("history", "--most", "1", "-e", "here").stdout
    assert '    error: revision second: relation "b" already exists (SQLSTATE 42P07)\n      statement: CREATE' in told


def test_with_several_histories_the_step_has_to_be_named(project: Project) -> None:
    other = "  - uses: migrate\n    name: others\n    with: {script_location: others, version_table: others}\n"
    project.write(BOOTSTRAP + other)
    write_env(project.folder)
    (project.folder / "others/versions").mkdir(parents=True)
    (project.folder / "others/env.py").write_text(OFFLINE)
    refused = project.run("upgrade", "-e", "here")
    assert (refused.returncode, "Name one with --step" in refused.stderr) == (2, True)
    assert project.run("upgrade", "--step", "migrate", "-e", "here").returncode == 0
    assert versions(project) == ["third"]


def test_a_plan_shows_sql_only_where_it_is_asked_for(project: Project) -> None:
    assert "CREATE TABLE a" not in project.run("plan", "-e", "here").stdout
    shown = project.run("plan", "--sql", "-e", "here")
    assert "        CREATE TABLE a (id integer);\n" in shown.stdout
    plan = json.loads(project.run("plan", "--sql", "--format", "json", "-e", "here").stdout)
    assert plan["steps"][1]["changes"][0]["after"]["sql"] == "CREATE TABLE a (id integer);"


def test_the_steps_own_limits_go_with_another_target(project: Project) -> None:
    project.write(
        BOOTSTRAP.replace("migrations}", "migrations, lock_timeout: 2s, timeout: 1m, statement_timeout: 30s}")
    )
    assert project.run("upgrade", "first", "-e", "here").returncode == 0
    assert versions(project) == ["first"]


def test_without_a_target_upgrade_goes_to_that_of_the_file(project: Project) -> None:
    project.write(BOOTSTRAP.replace("migrations}", "migrations, target: second}"))
    assert project.run("upgrade", "-e", "here").returncode == 0
    assert versions(project) == ["second"]


def test_a_mistyped_option_is_no_target(project: Project) -> None:
    refused = project.run("downgrade", "--yess", "-e", "here")
    assert (refused.returncode, "unknown option '--yess'" in refused.stderr) == (2, True)


def test_a_long_identifier_has_room_in_the_table_that_a_stamp_makes(project: Project) -> None:
    name = "a_name_that_is_longer_than_thirty_two_characters"
    write_revision(project.folder, name, "third")
    stamped = project.run("stamp", name, "-e", "here")
    assert (stamped.returncode, versions(project)) == (0, [name]), stamped.stderr


def test_a_stamp_of_one_branch_leaves_the_others_alone(project: Project) -> None:
    write_revision(project.folder, "apart", labels=["apart"])
    project.run("stamp", "heads", "-e", "here")
    assert versions(project) == ["apart", "third"]
    assert project.run("stamp", "second", "-e", "here").returncode == 0
    assert versions(project) == ["apart", "second"]


def test_a_history_of_a_ledger_without_revisions_still_tells_the_runs(project: Project) -> None:
    project.run("upgrade", "first", "-e", "here")
    with psycopg.connect(project.url) as connection:
        connection.execute("DROP TABLE bootstrapper.revisions")
        for column in ("role", "project", "file", "restored"):
            connection.execute(f"ALTER TABLE bootstrapper.runs DROP COLUMN {column}".encode())
    shown = project.run("history", "-e", "here")
    assert ("upgrade · here" in shown.stdout, "first" in shown.stdout) == (True, False)


def test_two_projects_on_one_database_are_told_apart_in_history(project: Project) -> None:
    project.run("upgrade", "first", "-e", "here")
    project.write(BOOTSTRAP.replace("name: sample", "name: other"), "other.yaml")
    project.run("upgrade", "second", "-f", "other.yaml", "-e", "here")
    shown = project.run("history", "-e", "here").stdout
    assert "upgrade · other · other.yaml · here" in shown
    assert "upgrade · sample · bootstrap.yaml · here" in shown


def test_a_plan_says_nothing_of_a_step_that_is_not_needed(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    (project.folder / "migrations/versions/third_.py").unlink()
    project.write(BOOTSTRAP.replace("    check:", "    when: {environment: [live]}\n    check:"))
    assert project.run("plan", "-e", "here").returncode == 0


def test_an_autogenerate_that_finds_nothing_and_writes_nothing_is_no_error(project: Project) -> None:
    empties = "connection=connection, process_revision_directives=lambda c, r, d: d.clear(), target_metadata=MetaData()"
    write_env(project.folder, "from sqlalchemy import MetaData\n" + OFFLINE.replace("connection=connection", empties))
    (project.folder / "migrations/script.py.mako").write_text("")
    project.run("upgrade", "-e", "here")
    made = project.run("revision", "nothing new", "--autogenerate", "-e", "here")
    assert (made.returncode, made.stdout) == (0, ""), made.stderr


@pytest.mark.parametrize("name", ["a b", "a,b", "", "a@b", "x" * 33])
def test_the_identifier_of_a_revision_is_one_name(project: Project, name: str) -> None:
    done = project.run("revision", "more", "-e", "here", "--rev-id", name)
    assert (done.returncode, "'--rev-id': must be one name" in done.stderr) == (2, True)


TWO_HEADS = "there are 2 heads: other, third"


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_two_heads_are_one_error_with_its_place_and_a_hint(project: Project, command: str) -> None:
    write_revision(project.folder, "other", "second")
    done = project.run(command, "-e", "here")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: bootstrap.yaml:9:5: {TWO_HEADS}",
        "hint: Merge them with `alembic merge heads`, or write `heads` in place of `head`.",
    ]
    assert done.stderr.count(TWO_HEADS) == 1


def test_a_check_that_means_one_head_is_told_itself_where_the_step_takes_them_all(project: Project) -> None:
    project.write(BOOTSTRAP.replace("script_location: migrations", "script_location: migrations, target: heads"))
    write_revision(project.folder, "other", "second")
    done = project.run("validate", "-e", "here")
    assert done.stderr.splitlines()[0] == f"error: bootstrap.yaml:11:23: {TWO_HEADS}"


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "stamp"])
def test_an_empty_target_is_an_error_of_usage(project: Project, command: str) -> None:
    result = project.run(command, "", "-e", "here")
    assert (result.returncode, "TARGET" in result.stderr, "must not be empty" in result.stderr) == (2, True, True)
