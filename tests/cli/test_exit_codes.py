"""One exit code for each kind of trouble, asked of the process itself."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import BOOTSTRAP, ROOT, Project
from tests.waiting import at_most, eventually

SLEEPING = BOOTSTRAP.replace("INSERT INTO notes VALUES (1, 'Grüße')", "SELECT pg_sleep(60)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plna"], "unknown command 'plna'\nhint: Did you mean 'plan'?"),
        (["plan", "--exitcode"], "unknown option '--exitcode'\nhint: Did you mean '--exit-code'?"),
        (["plan", "--timeout", "5"], "'5' is not a time; write it as"),
        (
            ["plan", "--timeout", "99999999999999999999h"],
            "is too long a time; the longest is 24d",
        ),
        (["plan", "--timeout", "25d"], "'25d' is too long a time"),
        (["plan", "--timeout", "५s"], "'५s' is not a time; write it as"),
        (["plan", "surplus"], "unexpected extra argument"),
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
            ["apply", "--follow", "--dry-run", "--format", "json"],
            "--follow cannot be combined with --dry-run or --format",
        ),
        (
            ["restore", "--drop-old", "--in-place", "--jobs", "2"],
            "--drop-old cannot be combined with --jobs or --in-place",
        ),
        (["restore", "--latest", "--no-manifest"], "--latest cannot be combined with --no-manifest"),
        (["restore", "a.dump", "--in-place", "--jobs", "2"], "--in-place cannot be combined with --jobs"),
        (["pull", "notes", "--inline", "5"], "--inline requires --into"),
        (["apply", "--report", "bootstrap.yaml"], "bootstrap.yaml would be overwritten, and is read by this command"),
    ],
)
def test_bad_usage_is_2_with_words_and_no_traceback(offline: Project, arguments: list[str], said: str) -> None:
    run = offline.run(*arguments)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.startswith("error: ")
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["apply", "--help"], ["--version"], ["dev", "psql", "-h"]])
def test_help_and_version_are_0(offline: Project, arguments: list[str]) -> None:
    run = offline.spawn(*arguments)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


@pytest.mark.parametrize(("arguments", "heading"), [([], "Every day:"), (["dev"], "Commands:")])
def test_without_a_command_the_help_is_printed(offline: Project, arguments: list[str], heading: str) -> None:
    run = offline.spawn(*arguments)
    assert run.returncode == 2
    assert run.stderr.startswith("Usage: bootstrapper")
    assert heading in run.stderr


def test_every_problem_of_the_file_is_said_at_once_with_its_place(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("name: sample", "nmae: sample").replace("check: {table", "chekc: {table"))
    run = offline.spawn("validate")
    assert run.returncode == 2
    assert "error: bootstrap.yaml:2:1: " in run.stderr
    assert "error: bootstrap.yaml:12:5: " in run.stderr


def test_a_file_that_the_report_would_overwrite_stays(offline: Project) -> None:
    offline.run("apply", "--report", str(offline.folder / "bootstrap.yaml"))
    assert (offline.folder / "bootstrap.yaml").read_text(encoding="utf-8") == BOOTSTRAP


@pytest.mark.parametrize("arguments", [["plan", "--log-format", "json"], ["plan", "--log-format=json", "--oops"]])
def test_an_error_is_one_line_of_json_where_the_log_is(offline: Project, arguments: list[str]) -> None:
    offline.write("version: 1\nsteps: 3\n")
    run = offline.spawn(*arguments)
    (line,) = run.stderr.splitlines()
    assert run.returncode == json.loads(line)["exit_code"] == 2


def test_an_unreachable_server_is_5_and_retryable(offline: Project) -> None:
    run = offline.spawn("apply", "--log-format", "json", "--timeout", "300ms")
    error = json.loads(run.stderr.splitlines()[-1])
    assert run.returncode == error["exit_code"] == 5
    assert error["retryable"] is True
    assert "hunter2hunter2" not in run.stderr


def test_a_wrong_password_is_6(project: Project) -> None:
    wrong = project.url.replace("correct%20horse", "battery%20staple")
    run = project.spawn("plan", DATABASE_URL=wrong)
    assert run.returncode == 6, run.stderr
    assert "staple" not in run.stderr


def test_a_bug_in_a_plugin_is_3_with_traceback_and_without_the_password(project: Project) -> None:
    plugin = """\
from bootstrapper.plugin.hooks import hookimpl
from bootstrapper.plugin.step import Step


class Broken(Step):
    uses = "broken"

    def changes(self, context):
        raise RuntimeError("no idea what to do with " + context.project.target.url())

    def apply(self, context, changes):
        pass


@hookimpl
def bootstrapper_steps():
    return [Broken]
"""
    project.write(plugin, "plugins/broken.py")
    project.write(BOOTSTRAP + "  - uses: broken\nplugins: [./plugins]\n")
    run = project.spawn("plan")
    assert run.returncode == 3
    assert "Traceback" in run.stderr
    assert "RuntimeError: no idea" in run.stderr
    assert "Report it" in run.stderr
    assert "correct%20horse" not in run.stderr
    assert "correct horse" not in run.stderr


def sleeping(project: Project, *options: str) -> subprocess.Popen[str]:
    """An apply in the middle of its second step."""
    project.write(SLEEPING)
    process = subprocess.Popen(
        project.command("apply", *options),
        cwd=project.folder,
        env=project.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with psycopg.connect(project.url, autocommit=True) as connection:
        asleep = eventually(lambda: process.poll() is not None or connection.execute(query).fetchone(), 20)
    if not asleep or process.poll() is not None:
        process.kill()
        raise AssertionError(process.communicate()[1])
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_its_statement(project: Project, number: signal.Signals, code: int) -> None:
    process = sleeping(project)
    process.send_signal(number)
    _, text = process.communicate(timeout=at_most(20))
    assert process.returncode == code, text
    assert f"error: interrupted by {number.name}" in text
    assert "Traceback" not in text
    with psycopg.connect(project.url) as connection:
        left = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert left.fetchone() == (1,)


def test_a_reader_that_goes_away_breaks_no_run(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        run = subprocess.run(
            project.command("apply"), cwd=project.folder, env=project.variables(), stdout=nowhere, stderr=nowhere
        )
    assert run.returncode == 0
    with psycopg.connect(project.url) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["--version"], ["plugins", "list"]])
def test_help_into_a_closed_pipe_is_no_failure(offline: Project, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        run = subprocess.run(
            offline.command(*arguments),
            cwd=offline.folder,
            env=offline.variables(),
            stdout=nowhere,
            stderr=subprocess.PIPE,
        )
    assert (run.returncode, run.stderr) == (0, b"")


def test_a_plan_into_a_closed_pipe_is_quiet(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        run = subprocess.run(
            project.command("plan"),
            cwd=project.folder,
            env=project.variables(),
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 0
    assert "Broken" not in run.stderr


def test_a_full_disk_is_said(project: Project) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            project.command("plan"),
            cwd=project.folder,
            env=project.variables(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 2
    assert "cannot write to stdout" in run.stderr


def test_a_terminal_that_knows_only_ascii_is_no_error(project: Project) -> None:
    run = project.spawn("plan", PYTHONIOENCODING="ascii")
    assert run.returncode == 0, run.stderr
    assert "127.0.0.1" in run.stdout
    assert " - database " in run.stdout


TWICE = """
import os, signal, time
from bootstrapper.cli.signals import interruption_raises
with interruption_raises():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.{second})
        time.sleep(5)
"""


@pytest.mark.parametrize(("second", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_second_signal_ends_the_process_at_once(offline: Project, second: str, code: int) -> None:
    command = [sys.executable, "-c", TWICE.format(second=second)]
    assert (
        subprocess.run(command, cwd=ROOT, env=offline.variables(), timeout=at_most(20), check=False).returncode == code
    )


@pytest.mark.parametrize(
    ("trouble", "code"), [(errno.EROFS, 6), (errno.EACCES, 6), (errno.ENOTDIR, 6), (errno.ENOSPC, 5), (errno.EMFILE, 5)]
)
def test_an_embedded_server_is_given_up_where_another_try_changes_nothing(
    offline: Project, monkeypatch: pytest.MonkeyPatch, trouble: int, code: int
) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(trouble, os.strerror(trouble), str(path))

    offline.write(BOOTSTRAP.replace("${DATABASE_URL}", "embedded:server"))
    monkeypatch.setattr(Path, "mkdir", fail)
    run = offline.run("apply")
    assert (run.returncode, "Traceback" in run.stderr) == (code, False)
    assert f"embedded server: {offline.folder}/server: {os.strerror(trouble)}" in run.stderr
