"""Every command, on a real database."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest

from bootstrapper.plans import Plan
from tests.cli.project import BOOTSTRAP, Project
from tests.cli.pseudoterminal import on_terminal
from tests.waiting import at_most

pytestmark = pytest.mark.smoke


def rows(project: Project, query: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query).fetchall()


def test_plan_shows_the_changes_and_makes_none(project: Project) -> None:
    run = project.run("plan")
    assert run.returncode == 0, run.stderr
    assert "> notes (sql)" in run.stdout
    assert run.stdout.rstrip().splitlines()[-1].startswith("Plan: 0 to create, 0 to update, 0 to delete, 1 to run")
    assert rows(project, b"SELECT nspname FROM pg_namespace WHERE nspname = 'bootstrapper'") == []


def test_the_first_line_names_server_database_and_environment(project: Project) -> None:
    project.write(BOOTSTRAP + "environments: {development: {}}\n")
    first = project.run("plan", "-e", "development").stderr.splitlines()[0]
    assert first.startswith("plan · 127.0.0.1:")
    assert "database test_" in first
    assert first.endswith("environment development")


def test_plan_answers_4_for_pending_changes_only_when_asked_to(project: Project) -> None:
    assert project.run("plan").returncode == 0
    assert project.run("plan", "--exit-code").returncode == 4
    assert project.run("apply").returncode == 0
    assert project.run("plan", "--exit-code").returncode == 0


def test_the_json_plan_is_the_only_thing_on_stdout(project: Project) -> None:
    run = project.run("plan", "--format", "json")
    plan = Plan.from_json(run.stdout)
    assert [step.name for step in plan.steps] == ["wait", "lock", "notes", "first-note"]


def test_the_markdown_plan_is_for_a_pull_request(project: Project) -> None:
    assert project.run("plan", "--format", "markdown").stdout.startswith("### sample\n")


def test_an_unknown_format_is_refused_before_anything_is_connected(offline: Project) -> None:
    run = offline.run("plan", "--format", "yaml")
    assert run.returncode == 2
    assert run.stderr.startswith("error: there is no format 'yaml'\nhint: Choose one of these: json, markdown, text")


def test_apply_says_what_it_did_and_then_that_nothing_is_to_do(project: Project) -> None:
    first, second = project.run("apply"), project.run("apply")
    assert first.returncode == 0, first.stderr
    assert first.stdout == ""
    assert first.stderr.splitlines()[-1].startswith("done: 2 steps applied, in ")
    assert second.returncode == 0
    assert second.stderr.splitlines()[-1] == "nothing to do: the database matches bootstrap.yaml"
    assert rows(project, b"SELECT body FROM notes") == [("Grüße",)]


def test_a_command_for_one_type_says_why_its_step_is_not_needed(project: Project) -> None:
    fixtures = "fixtures: {notes: {key: [id], rows: {one: {id: 1}}}}\nenvironments: {staging: {}}\n"
    project.write(BOOTSTRAP + "  - {uses: seed, when: {environment: [development]}}\n" + fixtures)
    said = project.run("seed", "-e", "staging").stderr.splitlines()[-1]
    why = "seed is not needed: the environment is staging, not development"
    assert said == f"nothing to do: no step of type seed has changes; {why}"


def test_an_apply_of_chosen_steps_says_of_none_that_it_is_done_where_its_when_says_no(project: Project) -> None:
    project.write(BOOTSTRAP + "  - {uses: backup, when: {database: empty}}\n")
    project.run("apply", "--step", "notes")
    said = project.run("apply", "--step", "backup").stderr.splitlines()[-1]
    assert said.startswith("nothing to do: no chosen step has changes; backup is not needed: ")


def test_setup_is_another_name_of_apply(project: Project) -> None:
    assert project.run("setup").returncode == 0
    assert rows(project, b"SELECT count(*) FROM notes") == [(1,)]


def test_of_two_applies_at_once_one_does_the_work_and_both_are_0(project: Project) -> None:
    processes = [
        subprocess.Popen(
            project.command("apply"),
            cwd=project.folder,
            env=project.variables(),
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    last = sorted(process.communicate(timeout=at_most(60))[1].splitlines()[-1].split()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert last == ["done:", "nothing"]
    assert rows(project, b"SELECT count(*) FROM notes") == [(1,)]


def test_apply_prints_the_plan_that_it_made_where_a_format_is_named(project: Project) -> None:
    plan = Plan.from_json(project.run("apply", "--format", "json").stdout)
    assert [step.name for step in plan.pending] == ["notes", "first-note"]


def test_a_dry_run_prints_the_plan_and_changes_nothing(project: Project) -> None:
    run = project.run("apply", "--dry-run")
    assert run.returncode == 0
    assert "Plan: " in run.stdout
    assert rows(project, b"SELECT to_regclass('notes')") == [(None,)]


def test_only_chosen_steps_are_run(project: Project) -> None:
    run = project.run("apply", "--step", "notes")
    assert run.stderr.splitlines()[-1].startswith("done: 1 step applied")
    assert rows(project, b"SELECT count(*) FROM notes") == [(0,)]
    assert project.run("apply", "--skip", "first-note").returncode == 0
    assert rows(project, b"SELECT count(*) FROM notes") == [(0,)]


def test_a_command_for_one_type_names_its_steps_where_none_was_chosen(project: Project) -> None:
    project.write(BOOTSTRAP + "  - uses: backup\n  - {uses: backup, name: second, with: {directory: second}}\n")
    for arguments in (["backup"], ["backup", "now.dump"]):
        run = project.run(*arguments, "--step", "notes")
        assert run.returncode == 2
        assert run.stderr == "error: none of the chosen steps uses 'backup'\nhint: Of this type: backup, second.\n"


def test_a_backup_into_a_file_is_that_of_the_chosen_step(project: Project) -> None:
    project.write(BOOTSTRAP + "  - uses: backup\n  - {uses: backup, name: second}\n")
    for arguments in (["--step", "second"], ["--skip", "backup"]):
        assert "> second (backup)" in project.run("backup", "now.dump", *arguments, "--dry-run").stdout


def test_a_quiet_apply_says_nothing(project: Project) -> None:
    run = project.run("apply", "--quiet")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_json_log_is_one_object_a_line(project: Project) -> None:
    run = project.run("apply", "--log-format", "json")
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert lines[0]["event"] == "run_started"
    assert lines[-1]["event"] == "run_finished"
    assert [line["step"] for line in lines if line["event"] == "step_applied"] == ["notes", "first-note"]


def test_the_report_tells_what_was_done(project: Project) -> None:
    project.run("apply", "--report", "report.json")
    report = json.loads((project.folder / "report.json").read_text())
    assert report["outcome"] == "done"
    assert report["exit_code"] == 0
    assert report["error"] is None
    assert report["run_id"]
    assert [(step["name"], step["result"]) for step in report["steps"]] == [
        ("notes", "applied"),
        ("first-note", "applied"),
    ]
    assert Plan.from_json(json.dumps(report["plan"])).name == "sample"


def test_the_report_tells_of_a_failure_too(project: Project) -> None:
    project.write(BOOTSTRAP.replace("VALUES (1,", "VALUES (1/0,"))
    run = project.run("apply", "--report", "report.json")
    report = json.loads((project.folder / "report.json").read_text())
    assert run.returncode == report["exit_code"] == report["error"]["exit_code"] == 1
    assert report["steps"][-1]["result"] == "failed"
    assert report["run_id"] in run.stderr
    assert "division by zero" in report["error"]["message"]


def test_a_failed_step_is_said_without_traceback(project: Project) -> None:
    project.write(BOOTSTRAP.replace("VALUES (1,", "VALUES (1/0,"))
    run = project.run("apply")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "division by zero" in run.stderr.split("error: ")[-1]


def test_an_unwritable_report_is_found_before_anything_is_done(project: Project) -> None:
    run = project.run("apply", "--report", "no/such/folder/report.json")
    assert run.returncode == 2
    assert "report" in run.stderr
    assert rows(project, b"SELECT to_regclass('notes')") == [(None,)]


def test_status_tells_the_last_run_and_the_lock(project: Project) -> None:
    assert "last run: none" in project.run("status").stdout
    project.run("apply")
    text = project.run("status").stdout
    assert "last run: number 1, apply, done" in text
    assert "lock: free" in text
    assert text.rstrip().endswith("Nothing to do.")


def test_status_keeps_its_columns_on_a_narrow_terminal(project: Project) -> None:
    assert project.run("apply").returncode == 0
    lines = on_terminal(project, ["status", "--no-color"], COLUMNS="50")[0].splitlines()
    shown = lines[lines.index("sample") :]
    assert [line for line in shown[2:] if len(line) > 50] == []
    notes = next(number for number, line in enumerate(shown) if line.startswith("= notes (sql)"))
    assert shown[notes + 1] == " " * 20 + "exists"


def test_status_as_json_has_the_same_facts(project: Project) -> None:
    project.run("apply")
    said = json.loads(project.run("status", "--format", "json").stdout)
    assert said["last_run"]["command"] == "apply"
    assert said["holder"] is None
    assert said["plan"]["name"] == "sample"


def test_validate_needs_no_database(offline: Project) -> None:
    run = offline.run("validate")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "bootstrap.yaml is valid: 4 steps\n"


def test_wait_only_waits(project: Project) -> None:
    run = project.run("wait")
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "ready: the database accepts connections"
    assert rows(project, b"SELECT to_regclass('notes')") == [(None,)]


def test_a_command_for_a_type_that_the_file_lacks_says_so(project: Project) -> None:
    run = project.run("migrate")
    assert run.returncode == 2
    assert "no step that uses 'migrate'" in run.stderr


def test_config_show_prints_the_merged_file_and_no_password(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("${DATABASE_URL}", "postgresql://me:hunter2hunter2@db/app"))
    run = offline.run("config", "show")
    assert run.returncode == 0, run.stderr
    assert "name: first-note" in run.stdout
    assert "hunter2hunter2" not in run.stdout


def test_config_schema_is_a_json_schema(offline: Project) -> None:
    schema = json.loads(offline.run("config", "schema").stdout)
    assert {"steps", "fixtures", "database"} <= schema["properties"].keys()


def test_plugins_list_shows_what_is_built_in(offline: Project) -> None:
    text = offline.run("plugins", "list").stdout
    assert "renderers  text, json, markdown" in text
    found = json.loads(offline.run("plugins", "list", "--format", "json").stdout)
    assert "wait" in found[0]["steps"]


def test_plugins_list_keeps_its_columns_on_a_narrow_terminal(offline: Project) -> None:
    shown, code = on_terminal(offline, ["plugins", "list"], COLUMNS="60")
    lines = shown.splitlines()
    assert (code, [line for line in lines if len(line) > 60]) == (0, [])
    assert "    checks     backup, database, environment, extension,\n               fixtures," in "\n".join(lines)


def test_a_server_of_its_own_is_nothing_for_dev(offline: Project) -> None:
    run = offline.run("dev", "url")
    assert run.returncode == 2
    assert run.stdout == ""
    assert "not embedded" in run.stderr


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_file_and_environment_come_from_variables_as_well(project: Project, command: str) -> None:
    project.write(BOOTSTRAP + "environments: {staging: {}}\n", "other/place.yaml")
    named = {"BOOTSTRAPPER_FILE": str(Path("other") / "place.yaml"), "BOOTSTRAPPER_ENVIRONMENT": "staging"}
    run = project.run(command, **named)
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[0].endswith("environment staging")


def test_a_plan_is_as_wide_as_the_terminal(project: Project) -> None:
    project.write(BOOTSTRAP.replace("{table: notes}", "{table: a_table_with_a_name_that_takes_some_room}"))
    narrow, wide = (project.run("plan", COLUMNS=width).stdout.splitlines() for width in ("40", "200"))
    assert len(wide) < len(narrow)
