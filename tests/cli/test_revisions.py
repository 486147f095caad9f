"""Tests of the commands about revisions: upgrade, downgrade and stamp."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import Project
from tests.cli.revisions import BOOTSTRAP, TABLES, rows, three_revisions, versions
from tests.migrations.projects import write_env, write_revision
from tests.migrations.worker.test_offline_sql import OFFLINE

pytestmark = pytest.mark.long


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    return three_revisions(tmp_path, database)


def test_upgrade_goes_to_a_revision_and_from_there_to_head(project: Project) -> None:
    assert project.run("upgrade", "second", "-e", "here").returncode == 0
    assert versions(project) == ["second"]
    assert project.run("upgrade", "-e", "here").returncode == 0
    assert versions(project) == ["third"]
    again = project.run("upgrade", "-e", "here")
    assert (again.returncode, "nothing to do: the target is already reached" in again.stderr) == (0, True)


def test_a_relative_target_is_counted_from_the_current_revision(project: Project) -> None:
    assert project.run("upgrade", "+1", "-e", "here").returncode == 0
    assert project.run("upgrade", "+1", "-e", "here").returncode == 0
    assert versions(project) == ["second"]
    too_far = project.run("upgrade", "+7", "-e", "here")
    assert (too_far.returncode, "there is only 1 revision above" in too_far.stderr) == (2, True)


def test_a_revision_that_does_not_exist_is_an_error_without_traceback(project: Project) -> None:
    for command in ("upgrade", "stamp", "downgrade"):
        failed = project.run(command, "nowhere", "-e", "here")
        assert failed.returncode == 2
        assert "revision or branch 'nowhere' does not exist" in failed.stderr
        assert "Traceback" not in failed.stderr


def test_each_applied_revision_is_a_line(project: Project) -> None:
    lines = project.run("upgrade", "-e", "here").stderr.splitlines()
    assert [line for line in lines if " of 3 revisions" in line] == [
        f"migrate: {number} of 3 revisions: {name}" for number, name in enumerate(TABLES, 1)
    ]


def test_downgrade_shows_what_it_drops_and_requires_confirmation(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    refused = project.run("downgrade", "first", "-e", "here")
    assert refused.returncode == 9
    assert [line.strip() for line in refused.stdout.splitlines() if line.strip().startswith("DROP")] == [
        "DROP TABLE c;",
        "DROP TABLE b;",
    ]
    assert "not confirmed: nothing was reverted" in refused.stderr
    assert versions(project) == ["third"]


def test_downgrade_reverts_what_was_confirmed(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    assert project.run("downgrade", "-2", "--yes", "-e", "here").returncode == 0
    assert versions(project) == ["first"]
    assert rows(project, "SELECT to_regclass('b'), to_regclass('c'), to_regclass('a')::text") == [(None, None, "a")]
    assert project.run("downgrade", "base", "--yes", "-e", "here").returncode == 0
    assert versions(project) == []


def test_downgrade_prints_its_headline_once(project: Project) -> None:
    project.write(BOOTSTRAP.replace("steps:", "steps:\n  - uses: wait"))
    project.run("upgrade", "-e", "here")
    said = project.run("downgrade", "-1", "--yes", "--report", "report.json", "-e", "here").stderr
    assert (said.count("downgrade · "), said.count("wait: ready")) == (1, 1), said
    report = json.loads((project.folder / "report.json").read_text())
    assert (report["database"], report["outcome"]) == (project.url.rpartition("/")[2], "done")


def test_a_downgrade_counts_reverted_revisions_instead_of_deletions(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    one = project.run("downgrade", "-1", "--yes", "-e", "here")
    assert "migrate: reverted revision third in " in one.stderr
    assert "migrate (downgrade)  1 to revert\n" in one.stdout  # that of an upgrade took another time
    assert one.stdout.rstrip().endswith("Plan: 0 to create, 0 to update, 1 to revert, 0 to run.")
    two = project.run("downgrade", "base", "--yes", "-e", "here")
    assert "migrate: reverted 2 in " in two.stderr
    assert re.search(r"^> migrate \(downgrade\)  2 to revert; took .* last time$", two.stdout, re.MULTILINE)


def test_the_report_of_an_unconfirmed_downgrade_has_its_exit_code(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    project.run("downgrade", "-1", "--report", "report.json", "-e", "here")
    assert json.loads((project.folder / "report.json").read_text())["exit_code"] == 9


def test_yes_is_not_sufficient_in_a_protected_environment(project: Project) -> None:
    project.run("upgrade", "-e", "live")
    name = project.url.rpartition("/")[2]
    refused = project.run("downgrade", "second", "--yes", "-e", "live")
    assert (refused.returncode, f"--confirm {name}" in refused.stderr) == (9, True)
    assert project.run("downgrade", "second", "--confirm", "another", "-e", "live").returncode == 9
    assert versions(project) == ["third"]
    assert project.run("downgrade", "second", "--confirm", name, "-e", "live").returncode == 0
    assert versions(project) == ["second"]


def test_yes_does_not_override_a_wrong_name_of_the_database(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    assert project.run("downgrade", "-1", "--yes", "--confirm", "another", "-e", "here").returncode == 9
    assert versions(project) == ["third"]


def test_a_downgrade_to_a_revision_that_was_never_applied_is_refused(project: Project) -> None:
    project.run("upgrade", "first", "-e", "here")
    refused = project.run("downgrade", "third", "--yes", "-e", "here")
    assert (refused.returncode, "revision third is not applied" in refused.stderr) == (1, True)


def test_a_dry_run_of_each_command_writes_nothing(project: Project) -> None:
    for arguments in (["upgrade"], ["stamp", "second"], ["revision", "more"]):
        shown = project.run(*arguments, "--dry-run", "-e", "here")
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout
    assert rows(project, "SELECT count(*) FROM pg_namespace WHERE nspname = 'bootstrapper'") == [(0,)]
    assert len(list((project.folder / "migrations/versions").glob("*.py"))) == 3


def test_stamp_records_a_revision_and_runs_nothing(project: Project) -> None:
    assert project.run("stamp", "second", "-e", "here").returncode == 0
    assert versions(project) == ["second"]
    assert rows(project, "SELECT to_regclass('a')") == [(None,)]
    assert "nothing to do" in project.run("stamp", "second", "-e", "here").stderr
    assert project.run("stamp", "base", "-e", "here").returncode == 0
    assert versions(project) == []


def test_stamp_replaces_a_revision_without_a_file(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    (project.folder / "migrations/versions/third_.py").unlink()
    assert project.run("apply", "-e", "here").returncode == 10
    assert project.run("stamp", "second", "-e", "here").returncode == 0
    assert versions(project) == ["second"]


@pytest.mark.parametrize("there", ["", "; CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"])
def test_a_database_with_foreign_tables_is_stamped_base_and_migrated(project: Project, there: str) -> None:
    with psycopg.connect(project.url) as connection:
        connection.execute(f"CREATE TABLE theirs (id int){there}".encode())
    refused = project.run("apply", "-e", "here")
    assert (refused.returncode, "stamp REVISION" in refused.stderr) == (9, True)
    assert project.run("stamp", "base", "-e", "here").returncode == 0
    assert project.run("apply", "-e", "here").returncode == 0
    assert versions(project) == ["third"]


def test_with_several_migrate_steps_one_must_be_named(project: Project) -> None:
    other = "  - uses: migrate\n    name: others\n    with: {script_location: others, version_table: others}\n"
    project.write(BOOTSTRAP + other)
    write_env(project.folder)
    (project.folder / "others/versions").mkdir(parents=True)
    (project.folder / "others/env.py").write_text(OFFLINE)
    refused = project.run("upgrade", "-e", "here")
    assert (refused.returncode, "Name one with --step" in refused.stderr) == (2, True)
    assert project.run("upgrade", "--step", "migrate", "-e", "here").returncode == 0
    assert versions(project) == ["third"]


def test_a_plan_shows_sql_only_with_the_option(project: Project) -> None:
    assert "CREATE TABLE a" not in project.run("plan", "-e", "here").stdout
    shown = project.run("plan", "--sql", "-e", "here")
    assert "        CREATE TABLE a (id integer);\n" in shown.stdout
    plan = json.loads(project.run("plan", "--sql", "--format", "json", "-e", "here").stdout)
    assert plan["steps"][1]["changes"][0]["after"]["sql"] == "CREATE TABLE a (id integer);"


def test_the_limits_of_the_step_apply_to_another_target(project: Project) -> None:
    project.write(
        BOOTSTRAP.replace("migrations}", "migrations, lock_timeout: 2s, timeout: 1m, statement_timeout: 30s}")
    )
    assert project.run("upgrade", "first", "-e", "here").returncode == 0
    assert versions(project) == ["first"]


def test_upgrade_uses_the_target_of_the_file_by_default(project: Project) -> None:
    project.write(BOOTSTRAP.replace("migrations}", "migrations, target: second}"))
    assert project.run("upgrade", "-e", "here").returncode == 0
    assert versions(project) == ["second"]


def test_a_misspelt_option_is_not_a_target(project: Project) -> None:
    refused = project.run("downgrade", "--yess", "-e", "here")
    assert (refused.returncode, "unknown option '--yess'" in refused.stderr) == (2, True)


def test_a_stamp_creates_a_table_for_long_identifiers(project: Project) -> None:
    name = "a_name_that_is_longer_than_thirty_two_characters"
    write_revision(project.folder, name, "third")
    stamped = project.run("stamp", name, "-e", "here")
    assert (stamped.returncode, versions(project)) == (0, [name]), stamped.stderr


def test_a_stamp_of_one_branch_keeps_the_others(project: Project) -> None:
    write_revision(project.folder, "apart", labels=["apart"])
    project.run("stamp", "heads", "-e", "here")
    assert versions(project) == ["apart", "third"]
    assert project.run("stamp", "second", "-e", "here").returncode == 0
    assert versions(project) == ["apart", "second"]


def test_a_plan_does_not_verify_a_skipped_step(project: Project) -> None:
    project.run("upgrade", "-e", "here")
    (project.folder / "migrations/versions/third_.py").unlink()
    project.write(BOOTSTRAP.replace("    check:", "    when: {environment: [live]}\n    check:"))
    assert project.run("plan", "-e", "here").returncode == 0


TWO_HEADS = "there are 2 heads: other, third"


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_two_heads_are_one_error_with_its_position_and_a_hint(project: Project, command: str) -> None:
    write_revision(project.folder, "other", "second")
    done = project.run(command, "-e", "here")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: bootstrap.yaml:9:5: {TWO_HEADS}",
        "hint: Merge them with `alembic merge heads`, or use `heads` instead of `head`. [BOOT-201]",
    ]
    assert done.stderr.count(TWO_HEADS) == 1


def test_a_check_for_one_head_is_the_position_of_the_error_if_the_step_targets_heads(project: Project) -> None:
    project.write(BOOTSTRAP.replace("script_location: migrations", "script_location: migrations, target: heads"))
    write_revision(project.folder, "other", "second")
    done = project.run("validate", "-e", "here")
    assert done.stderr.splitlines()[0] == f"error: bootstrap.yaml:11:23: {TWO_HEADS}"


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "stamp"])
def test_an_empty_target_is_a_usage_error(project: Project, command: str) -> None:
    result = project.run(command, "", "-e", "here")
    assert (result.returncode, "TARGET" in result.stderr, "must not be empty" in result.stderr) == (2, True, True)
