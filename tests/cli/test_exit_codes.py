"""Tests of exit codes: one for each kind of error."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from bootstrapper.builtin.steps.sql import Sql
from bootstrapper.plugin.context import Context, run_of
from tests.cli.project import BOOTSTRAP, Project


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plna"], "unknown command 'plna'\nhint: Did you mean 'plan'?"),
        (["plan", "--exitcode"], "unknown option '--exitcode'\nhint: Did you mean '--exit-code'?"),
        (["plan", "--timeout", "5"], "'5' is not a time; write it as"),
        (
            ["plan", "--timeout", "99999999999999999999h"],
            "is too long; the maximum is 24d",
        ),
        (["plan", "--timeout", "25d"], "'25d' is too long"),
        (["plan", "--timeout", "५s"], "'५s' is not a time; write it as"),
        (["plan", "surplus"], "unexpected extra argument"),
        (["plan", "-f"], "option '-f' requires an argument\nhint: Try `bootstrapper plan --help`."),
        (["lock", "show", "-q=1"], "hint: Try `bootstrapper lock show --help`."),
        (["dev", "strat"], "unknown command 'strat'\nhint: Did you mean 'start'?"),
        (
            ["-e", "production", "apply"],
            "option '-e' must follow the command\nhint: Write `bootstrapper apply -e ...`.",
        ),
        (["--file=x.yaml", "dev", "url"], "Write `bootstrapper dev url --file ...`."),
        (["lock", "--environment", "x", "show"], "Write `bootstrapper lock show --environment ...`."),
        (["--dry-run", "setup"], "Write `bootstrapper setup --dry-run ...`."),
        (["-q"], "Write `bootstrapper plan -q ...`."),
        (["--oops", "plan"], "unknown option '--oops'\nhint: Try `bootstrapper --help`."),
        (["plan", "-f", "missing.yaml"], "missing.yaml"),
        (["plan", "--step", "nots"], "the file has no step 'nots'"),
        (["plan", "--step", "notes", "--skip", "notes"], "step 'notes' is both chosen and skipped"),
        (["migrate", "--step", "notes"], "the file has no step that uses 'migrate'"),
        (["apply", "--follow", "--force"], "--follow cannot be combined with --force: a follower makes no changes"),
        (
            ["apply", "--follow", "--dry-run", "--format", "markdown"],
            "--follow cannot be combined with --dry-run or --format",
        ),
        (
            ["restore", "--drop-old", "--in-place", "--jobs", "2"],
            "--drop-old cannot be combined with --jobs or --in-place",
        ),
        (["restore", "--latest", "--no-manifest"], "--latest cannot be combined with --no-manifest"),
        (["restore", "a.dump", "--in-place", "--jobs", "2"], "--in-place cannot be combined with --jobs"),
        (["pull", "notes", "--inline", "5"], "--inline requires --into"),
        (
            ["apply", "--report", "bootstrap.yaml"],
            "bootstrap.yaml is an input of this command and would be overwritten",
        ),
    ],
)
def test_wrong_usage_exits_with_2_and_without_traceback(offline: Project, arguments: list[str], said: str) -> None:
    run = offline.run(*arguments)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.startswith("error: ")
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["apply", "--help"], ["--version"], ["dev", "psql", "-h"]])
def test_help_and_version_exit_with_0(offline: Project, arguments: list[str]) -> None:
    run = offline.spawn(*arguments)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


@pytest.mark.parametrize(("arguments", "heading"), [([], "Every day:"), (["dev"], "Commands:")])
def test_without_a_command_the_help_is_printed(offline: Project, arguments: list[str], heading: str) -> None:
    run = offline.spawn(*arguments)
    assert run.returncode == 2
    assert run.stderr.startswith("Usage: bootstrapper")
    assert heading in run.stderr


def test_every_problem_of_the_file_is_printed_at_once_with_its_position(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("name: sample", "nmae: sample").replace("check: {table", "chekc: {table"))
    run = offline.spawn("validate")
    assert run.returncode == 2
    assert "error: bootstrap.yaml:2:1: " in run.stderr
    assert "error: bootstrap.yaml:12:5: " in run.stderr


@pytest.mark.parametrize("arguments", [["plan", "--log-format", "json"], ["plan", "--log-format=json", "--oops"]])
def test_an_error_is_one_json_line_if_the_log_is_json(offline: Project, arguments: list[str]) -> None:
    offline.write("version: 1\nsteps: 3\n")
    run = offline.spawn(*arguments)
    (line,) = run.stderr.splitlines()
    assert run.returncode == json.loads(line)["exit_code"] == 2


def test_an_unreachable_server_exits_with_5_and_is_retryable(offline: Project) -> None:
    run = offline.spawn("apply", "--log-format", "json", "--timeout", "300ms")
    error = json.loads(run.stderr.splitlines()[-1])
    assert run.returncode == error["exit_code"] == 5
    assert error["retryable"] is True
    assert "hunter2hunter2" not in run.stderr


def test_a_wrong_password_exits_with_6(project: Project) -> None:
    wrong = project.url.replace("correct%20horse", "battery%20staple")
    run = project.spawn("plan", DATABASE_URL=wrong)
    assert run.returncode == 6, run.stderr
    assert "staple" not in run.stderr


def test_a_bug_in_a_plugin_is_its_failure_and_shows_no_password(project: Project) -> None:
    plugin = """\
from bootstrapper.plugin.hooks import hookimpl
from bootstrapper.plugin.step import Step


class Broken(Step):
    uses = "broken"

    def changes(self, context):
        raise RuntimeError("cannot handle " + context._run.project.target.url())

    def apply(self, context, changes):
        pass


@hookimpl
def bootstrapper_steps():
    return [Broken]
"""
    project.write(plugin, "plugins/broken.py")
    project.write(BOOTSTRAP + "  - uses: broken\nplugins: [./plugins]\n")
    run = project.spawn("plan")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "Broken.changes() raised RuntimeError: cannot handle" in run.stderr
    assert "correct%20horse" not in run.stderr
    assert "correct horse" not in run.stderr


def test_a_bug_in_a_built_in_step_exits_with_3_and_a_traceback_without_the_password(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(step: object, context: Context) -> None:
        raise RuntimeError("cannot handle " + run_of(context).project.target.url())

    monkeypatch.setattr(Sql, "changes", changes)
    run = project.run("plan")
    assert run.returncode == 3
    assert "Traceback" in run.stderr
    assert "RuntimeError: cannot handle" in run.stderr
    assert "Report it" in run.stderr
    assert "correct%20horse" not in run.stderr
    assert "correct horse" not in run.stderr


@pytest.mark.parametrize(
    ("trouble", "code"), [(errno.EROFS, 6), (errno.EACCES, 6), (errno.ENOTDIR, 6), (errno.ENOSPC, 5), (errno.EMFILE, 5)]
)
def test_an_embedded_server_is_retried_only_for_transient_errors(
    offline: Project, monkeypatch: pytest.MonkeyPatch, trouble: int, code: int
) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(trouble, os.strerror(trouble), str(path))

    offline.write(BOOTSTRAP.replace("${DATABASE_URL}", "embedded:server"))
    monkeypatch.setattr(Path, "mkdir", fail)
    run = offline.run("apply")
    assert (run.returncode, "Traceback" in run.stderr) == (code, False)
    assert f"embedded server: {offline.folder}/server: {os.strerror(trouble)}" in run.stderr
