"""Tests of `run`: it applies, then becomes the program, which finds the process as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bootstrapper.engine import follow
from tests.cli.project import BOOTSTRAP, Project
from tests.migrations.projects import write_env, write_revision
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

SLEEPING = BOOTSTRAP.replace("INSERT INTO notes VALUES (1, 'Grüße')", "SELECT pg_sleep(60)")
LOOK = """
    import json, os, signal, sys
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    umask = os.umask(0)
    print(json.dumps({
        "pid": os.getpid(),
        "arguments": sys.argv[1:],
        "stdin": sys.stdin.read(),
        "folder": os.getcwd(),
        "umask": umask,
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "signals": {name: status[name] for name in ("SigBlk", "SigIgn")},
        "variables": {name: text for name, text in os.environ.items()},
    }))
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


@contextmanager
def started(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        project.command("run", *arguments),
        cwd=project.folder,
        env=project.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def has_note(project: Project) -> bool:
    with psycopg.connect(project.url) as connection:
        return connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_program_finds_the_process_as_it_was(project: Project) -> None:
    look = python(LOOK, "--report", "r.json", "--", "-f")

    def told(command: list[str]) -> dict[str, object]:
        with subprocess.Popen(
            command,
            cwd=project.folder,
            env={**project.variables(), "LC_ALL": "", "LANG": "C"},
            umask=0o027,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            out, _ = process.communicate("typed\n", timeout=at_most(60))
        found: dict[str, object] = json.loads(out)
        assert found.pop("pid") == process.pid
        return found

    plain = told(look)
    assert told(project.command("run", "--quiet", "--", *look)) == plain
    assert plain["arguments"] == ["--report", "r.json", "--", "-f"]
    assert plain["stdin"] == "typed\n"
    assert has_note(project)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("given", [{}, {"LC_CTYPE": "C.UTF-8"}])
def test_the_variable_that_python_adds_in_the_c_locale_is_not_handed_on(
    project: Project, given: dict[str, str]
) -> None:
    kept = {name: text for name, text in project.variables().items() if not name.startswith(("LC_", "LANG"))}
    run = subprocess.run(
        project.command("run", "-q", "--", "env"),
        cwd=project.folder,
        env={**kept, "LANG": "C", **given},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.partition("=")[::2] for line in run.stdout.splitlines())
    assert {name: text for name, text in found.items() if name.startswith("LC_")} == given


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_program_finds_signals_at_their_defaults_unless_they_were_ignored_before(project: Project) -> None:
    look = ["grep", "SigIgn", "/proc/self/status"]

    def ignored(before: str) -> int:
        script = f'{before} exec "$@"'
        command = ["sh", "-c", script, "sh", *project.command("run", "-q", "--", *look)]
        run = subprocess.run(
            command, cwd=project.folder, env=project.variables(), capture_output=True, text=True, check=True
        )
        return int(run.stdout.split()[1], 16)

    def bit(number: signal.Signals) -> int:
        return 1 << (number - 1)

    defaults = ignored("")
    assert not defaults & (bit(signal.SIGPIPE) | bit(signal.SIGXFSZ) | bit(signal.SIGTERM))
    assert ignored("trap '' INT TERM;") == defaults | bit(signal.SIGINT) | bit(signal.SIGTERM)


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_that_of_the_program(project: Project, code: int) -> None:
    run = project.spawn("run", "--", "sh", "-c", f"echo served; exit {code}")
    assert (run.returncode, run.stdout) == (code, "served\n"), run.stderr
    assert run.stderr.splitlines()[-1].startswith("done: 2 steps applied, in ")


def test_a_signal_that_kills_the_program_is_what_ends_the_process(project: Project) -> None:
    assert project.spawn("run", "--", "sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL


def test_run_is_usable_within_one_command_of_a_shell(project: Project) -> None:
    inner = " ".join(project.command("run", "--quiet"))
    run = subprocess.run(
        ["sh", "-c", f'{inner} -- sh -c "echo on port $PORT"'],
        cwd=project.folder,
        env=project.variables({"PORT": "8000"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "on port 8000\n", "")


def test_sigterm_while_applying_ends_the_run_and_the_program_is_not_started(project: Project) -> None:
    project.write(SLEEPING)
    query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with started(project, "--", "touch", "served") as process, psycopg.connect(project.url, autocommit=True) as other:
        assert eventually(lambda: other.execute(query).fetchone(), 20)
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=at_most(20))
    assert process.returncode == 143, text
    assert "error: interrupted by SIGTERM" in text
    assert not (project.folder / "served").exists()


def test_sigterm_afterwards_reaches_the_program(project: Project) -> None:
    code = """
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        print("ready", flush=True)
        signal.pause()
    """
    with started(project, "--", *python(code)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(at_most(20)) == 5


def test_a_program_that_does_nothing_about_sigterm_is_ended_by_it(project: Project) -> None:
    with started(project, "--", "sh", "-c", "echo ready; exec sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(at_most(20)) == -signal.SIGTERM


RESTORED = """
    import os, signal
    from bootstrapper.programs.signals import interruption_raises, restore_signals
    with interruption_raises():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)
        restore_signals()
        print("mask of the caller kept", flush=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        print("not reached", flush=True)
"""


def test_a_signal_just_before_the_program_begins_is_not_lost(offline: Project) -> None:
    run = subprocess.run(python(RESTORED), env=offline.variables(), capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (-signal.SIGTERM, "mask of the caller kept\n"), run.stderr


def test_a_failed_run_does_not_start_the_program(project: Project) -> None:
    project.write(BOOTSTRAP.replace("VALUES (1,", "VALUES (1/0,"))
    run = project.spawn("run", "--report", "r.json", "--", "touch", "served")
    assert run.returncode == 1
    assert "division by zero" in run.stderr
    assert not (project.folder / "served").exists()
    assert json.loads((project.folder / "r.json").read_text())["exit_code"] == 1


def test_options_are_those_of_apply(project: Project) -> None:
    options = ("--step", "notes", "--log-format", "json", "--timeout", "1m", "--report", "r.json")
    run = project.spawn("run", *options, "--", "echo", "served")
    assert (run.returncode, run.stdout) == (0, "served\n")
    assert json.loads(run.stderr.splitlines()[0])["event"] == "run_started"
    report = json.loads((project.folder / "r.json").read_text())
    assert (report["exit_code"], [step["name"] for step in report["steps"]]) == (0, ["notes"])
    assert not has_note(project)


def test_a_follower_starts_the_program_once_others_are_done(project: Project) -> None:
    with started(project, "--follow", "--", "echo", "served") as process:
        assert process.stderr is not None
        assert eventually(lambda: "waiting" in process.stderr.readline(), 20)
        assert process.poll() is None
        assert project.spawn("apply").returncode == 0
        out, said = process.communicate(timeout=at_most(20 + follow._LONGEST_PAUSE_SECONDS))
    assert (process.returncode, out) == (0, "served\n")
    assert said.splitlines()[-1] == "reached: the database matches bootstrap.yaml"


def test_a_follower_at_its_deadline_does_not_start_the_program(project: Project) -> None:
    run = project.spawn("run", "--follow", "--timeout", "1s", "--", "touch", "served")
    assert run.returncode == 4, run.stderr
    assert not (project.folder / "served").exists()


def test_a_database_ahead_of_the_code_is_left_alone_and_the_program_starts(project: Project) -> None:
    write_env(project.folder)
    write_revision(project.folder, "r1")
    head = BOOTSTRAP[: BOOTSTRAP.index("steps:")]
    steps = "steps:\n  - uses: lock\n  - uses: migrate\n    with: {script_location: migrations}\n"
    project.write(head + steps)
    assert project.spawn("apply").returncode == 0
    with psycopg.connect(project.url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    for options in ((), ("--follow",)):
        run = project.spawn("run", *options, "--", "echo", "served")
        assert (run.returncode, run.stdout) == (0, "served\n"), run.stderr
        assert "warning: " in run.stderr
        assert " newer" in run.stderr
    assert project.spawn("run", "--", "true").stderr.splitlines()[-1] == (
        "left alone: the database is ahead of bootstrap.yaml"
    )
    assert project.spawn("apply").returncode == 10
    project.write(head + steps.replace("migrations}", "migrations, ahead: refuse}"))
    refused = project.spawn("run", "--", "echo", "served")
    assert (refused.returncode, refused.stdout) == (10, "")


def test_a_program_that_cannot_be_started_is_found_before_anything_is_applied(project: Project) -> None:
    (project.folder / "plain").write_text("")
    script = project.folder / "script"
    script.write_bytes(b"#!/nosuch/sh\r\n")
    script.chmod(0o755)
    expected = {
        "no-such-program": "not found in PATH",
        "./none": "no such file",
        "./plain": "not executable",
        ".": "not found in PATH",
        "./": "a directory",
        "ls -l": "no such program",
        "./script": "its first line names /nosuch/sh\\r, which does not exist",
    }
    for name, reason in expected.items():
        run = project.run("run", "--", name)
        assert run.returncode == 2
        error, hint = run.stderr.splitlines()
        assert error == f"error: cannot start {name!r}: {reason}"
        assert hint.startswith("hint: ")
    with psycopg.connect(project.url) as connection:
        assert connection.execute("SELECT to_regclass('notes')").fetchone() == (None,)


def test_a_program_that_the_system_refuses_is_an_error_after_the_run_whose_report_stays(project: Project) -> None:
    script = project.folder / "script"
    script.write_text("echo no first line\n")
    script.chmod(0o755)
    run = project.spawn("run", "--report", "r.json", "--", "./script")
    assert run.returncode == 2
    assert "error: the database is ready, but './script' cannot be started: Exec format error" in run.stderr
    assert "Traceback" not in run.stderr
    report = json.loads((project.folder / "r.json").read_text())
    assert (report["exit_code"], len(report["steps"])) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "`--` is missing"),
        (("uvicorn", "--port", "80"), "`--` is missing"),
        (("--",), "no program follows `--`"),
        (("uvicorn", "--", "x"), "unexpected argument 'uvicorn' before `--`"),
        (("--folow", "--", "x"), "unknown option '--folow'"),
    ],
)
def test_wrong_usage_is_an_error_with_a_hint(offline: Project, arguments: tuple[str, ...], error: str) -> None:
    run = offline.run("run", *arguments)
    assert run.returncode == 2
    assert run.stderr.splitlines()[0] == f"error: {error}"
    assert run.stderr.splitlines()[1].startswith("hint: ")


def test_options_of_the_program_do_not_change_how_errors_are_printed_or_reported(offline: Project) -> None:
    run = offline.run("run", "--", "no-such-program", "--log-format", "json", "--report", "r.json")
    assert run.stderr.startswith("error: cannot start 'no-such-program'")
    assert not (offline.folder / "r.json").exists()


def can_make_processes_first() -> bool:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_make_processes_first(), reason="needs a namespace of processes")
def test_the_program_becomes_the_first_process_of_its_container(project: Project) -> None:
    inside = project.command("run", "--quiet", "--", "sh", "-c", "echo $$")
    run = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *inside],
        cwd=project.folder,
        env=project.variables(),
        capture_output=True,
        text=True,
        timeout=at_most(60),
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "1\n"), run.stderr


def test_sigterm_while_applying_as_the_first_process_ends_the_run(project: Project) -> None:
    if not can_make_processes_first():
        pytest.skip("needs a namespace of processes")
    project.write(SLEEPING)
    inside = project.command("run", "--", "touch", "served")
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *inside]
    query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with (
        subprocess.Popen(
            command, cwd=project.folder, env=project.variables(), stderr=subprocess.PIPE, text=True
        ) as process,
        psycopg.connect(project.url, autocommit=True) as other,
    ):
        assert eventually(lambda: other.execute(query).fetchone(), 20)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        _, text = process.communicate(timeout=at_most(20))
    assert process.returncode == 143, text
    assert not (project.folder / "served").exists()
