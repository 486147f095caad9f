"""action.yml validates, plans and applies as in a job, and comments once on a pull request."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.cli.revisions import BOOTSTRAP
from tests.deploy.places import ROOT
from tests.deploy.runner import ACTION, Runner
from tests.deploy.test_linted import LINTED, check
from tests.migrations.projects import write_env, write_revision
from tests.migrations.worker.test_offline_sql import OFFLINE
from tests.waiting import at_most

pytestmark = pytest.mark.long

SCRIPTS = sorted((ROOT / "action").glob("*.sh"))
PAGE = (ROOT / "docs" / "how-to" / "run-in-ci.md").read_text(encoding="utf-8")
MARKER = "<!-- bootstrapper plan: bootstrap.yaml live -->"


@pytest.fixture
def runner(tmp_path: Path, database: str) -> Runner:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "bootstrap.yaml").write_text(BOOTSTRAP, encoding="utf-8")
    write_env(checkout, OFFLINE)
    write_revision(checkout, "first", upgrade="op.execute('CREATE TABLE users (id int PRIMARY KEY, nick text)')")
    return Runner(checkout, tmp_path / "runner", {"DATABASE_URL": database})


def pend_a_hazard(runner: Runner, database: str) -> None:
    assert runner.run(command="apply", environment="live") == 0
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a')")
    write_revision(runner.checkout, "second", "first", upgrade="op.drop_column('users', 'nick')")


def test_the_files_of_the_action_are_correct() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml")
    check("shellcheck", *SCRIPTS)
    check("yamllint", "--strict", "-c", LINTED, ROOT / "action.yml", ROOT / ".pre-commit-hooks.yaml")
    assert [script for script in SCRIPTS if not script.stat().st_mode & 0o100] == []


def test_a_plan_is_one_comment_that_is_updated(runner: Runner, database: str) -> None:
    assert runner.run(environment="live") == 0
    assert (runner.outputs["exit-code"], list(runner.comments)) == ("4", ["1"])
    first = runner.comments["1"]
    assert first.startswith(f"{MARKER}\n### sample")
    assert "revision first" in first
    assert "(https://github.com/someone/shop/actions/runs/42)" in first
    assert runner.summary.read_text().startswith("### sample")
    pend_a_hazard(runner, database)
    assert runner.run(environment="live") == 0
    assert list(runner.comments) == ["1"]
    assert "drop-column (not allowed)" in runner.comments["1"]
    assert runner.run(environment="here") == 0
    assert list(runner.comments) == ["1", "2"]


def test_a_hazard_is_an_annotation_at_its_line(runner: Runner, database: str) -> None:
    pend_a_hazard(runner, database)
    assert runner.run(environment="live") == 0
    (line,) = [line for line in runner.said.splitlines() if line.startswith("::error ")]
    assert line.startswith("::error file=migrations/versions/second_.py,title=drop-column,line=16::revision second: ")
    assert "%0ARelease code that no longer uses it first" in line
    results = json.loads(Path(runner.outputs["sarif"]).read_text())["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["drop-column"]


def test_nothing_to_do_is_said_in_the_comment(runner: Runner) -> None:
    assert runner.run(command="apply", environment="live") == 0
    assert runner.run(environment="live") == 0
    assert runner.outputs["exit-code"] == "0"
    assert "Nothing to do." in runner.comments["1"]


def test_a_plan_that_fails_replaces_the_comment_and_fails_the_job(runner: Runner) -> None:
    assert runner.run(environment="live") == 0
    runner.variables["DATABASE_URL"] = "postgresql://app:correct-horse@127.0.0.1:1/app"
    assert runner.run(environment="live") == 5
    assert runner.comments["1"].startswith(f"{MARKER}\n### The plan failed with exit code 5")
    assert runner.outputs["exit-code"] == "5"


def test_apply_reports_what_it_did(runner: Runner) -> None:
    assert runner.run(command="apply", environment="live") == 0
    assert "revision first" in runner.summary.read_text()
    assert json.loads(Path(runner.outputs["report"]).read_text())["exit_code"] == 0
    assert runner.comments == {}


def test_validate_needs_no_database(runner: Runner) -> None:
    runner.variables.clear()
    assert runner.run(command="validate", environment="live") == 0
    assert "bootstrap.yaml is valid" in runner.summary.read_text()
    (runner.checkout / "bootstrap.yaml").write_text("version: 2\n", encoding="utf-8")
    assert runner.run(command="validate", environment="live") == 2


def test_no_secret_is_printed_recorded_or_sent(runner: Runner, database: str) -> None:
    pend_a_hazard(runner, database)
    runner.run(environment="live")
    written = [path for path in runner.place.rglob("*") if path.is_file()]
    texts = [runner.said, *(path.read_text(encoding="utf-8") for path in written)]
    assert [text for text in texts if "correct horse" in text or "correct%20horse" in text] == []


def test_without_a_pull_request_or_on_request_there_is_no_comment(runner: Runner) -> None:
    assert runner.run(environment="live", comment="false") == 0
    runner.event(issue=3)
    assert runner.run(environment="live") == 0
    assert not (runner.place / "asked").exists()


def test_a_token_that_may_not_comment_is_a_warning(runner: Runner) -> None:
    (runner.place / "refuse").touch()
    assert runner.run(environment="live") == 0
    assert "::warning::The plan could not be added to the pull request: the token needs" in runner.said


def test_a_plan_that_is_too_long_for_a_comment_is_cut_before_its_details(runner: Runner) -> None:
    plan = runner.place / "plan.md"
    plan.write_text("### shop\n\n| step |\n\n#### seed\n\n```diff\n" + "+ users\n" * 9000 + "```\n", encoding="utf-8")
    variables = {"BOOTSTRAPPER_FILE": "bootstrap.yaml", "BOOTSTRAPPER_ENVIRONMENT": "live", "GH_TOKEN": "t"}
    (runner.place / "temp" / "bootstrapper").mkdir(parents=True)
    assert runner.step(f'"$GITHUB_ACTION_PATH/action/comment.sh" "{plan}"', variables) == 0
    body = runner.comments["1"]
    assert body.startswith(f"{MARKER}\n### shop\n\n| step |\n\nThis plan is too long for a comment")
    assert "```" not in body


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ({}, str(ROOT)),
        ({"extras": "embedded,lint"}, f"{ROOT}[embedded,lint]"),
        ({"version": "0.1.0", "extras": "lint"}, "pg-bootstrapper[lint]==0.1.0"),
    ],
)
def test_it_installs_its_own_release_or_the_one_asked_for(runner: Runner, inputs: dict[str, str], wanted: str) -> None:
    assert runner.run(command="validate", environment="live", **inputs) == 0
    assert runner.installed.split()[-1] == wanted


def test_an_unknown_command_is_refused(runner: Runner) -> None:
    assert runner.run(command="destroy", environment="live") == 2
    assert "::error::command is validate, plan or apply, not 'destroy'" in runner.said


def workflows() -> list[str]:
    return re.findall(r"^```yaml workflow\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", workflows())
def test_the_workflows_of_the_page_are_correct_and_give_the_action_inputs_that_it_has(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "workflow.yaml").write_text(text, encoding="utf-8")
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", tmp_path / "workflow.yaml")
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    given = [step["with"] for step in steps if step.get("uses", "").startswith("owner/bootstrapper@")]
    assert [name for names in given for name in names if name not in ACTION["inputs"]] == []


@pytest.mark.parametrize("changed", [[], ["migrations/versions/001_initial.py"]])
def test_the_hooks_of_the_page_accept_the_sample(changed: list[str]) -> None:
    (text,) = re.findall(r"^```yaml manifest pre-commit\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    used = {hook["id"]: hook["args"] for hook in yaml.safe_load(text)["repos"][0]["hooks"]}
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"]: hook["language"] for hook in offered} == dict.fromkeys(used, "python")
    (hook,) = [hook for hook in offered if hook.get("pass_filenames", True) is bool(changed)]
    assert [path for path in changed if not re.search(hook["files"], path)] == []
    done = subprocess.run(
        [
            *shlex.split(hook["entry"].replace("bootstrapper", f"{sys.executable} -m bootstrapper", 1)),
            *used[hook["id"]],
            *changed,
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        encoding="utf-8",
        timeout=at_most(60),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_input_and_output_says_what_it_is() -> None:
    assert all(each["description"].endswith(".") for each in [*ACTION["inputs"].values(), *ACTION["outputs"].values()])
