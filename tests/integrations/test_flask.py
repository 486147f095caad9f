"""The Flask example, as its users start it."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
import pytest

from tests.integrations.servers import documented, example, run, serving

GREETINGS = ["Good morning", "Guten Morgen"]
FLASK = ["flask", "run", "--port", "{port}"]
NOTHING_ANSWERS = "postgresql://app:p@127.0.0.1:1/app"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return example("flask", tmp_path)


def has_greetings(database: str) -> bool:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT to_regclass('greetings') IS NOT NULL").fetchone() == (True,)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(FLASK, 143, id="flask run"),
        pytest.param(["gunicorn", "--bind", "127.0.0.1:{port}", "app:create_app()"], 0, id="gunicorn"),
    ],
)
def test_the_database_is_ready_before_the_first_request(
    command: list[str], code: int, folder: Path, database: str
) -> None:
    with serving(command, folder, database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.end() == code


def test_the_reloader_leaves_the_work_to_its_child(folder: Path, database: str) -> None:
    with serving([*FLASK, "--debug"], folder, database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.output.count("bootstrapper: apply ·") == 1


@pytest.mark.parametrize("arguments", [["routes"], ["shell"], ["--help"], ["bootstrap", "status"]])
def test_other_commands_of_flask_leave_the_database_alone(arguments: list[str], folder: Path, database: str) -> None:
    run(["flask", *arguments], folder, database)
    assert not has_greetings(database)


def test_flask_bootstrap_is_the_command_line(folder: Path, database: str) -> None:
    for command in documented("flask bootstrap"):
        ended = run(command, folder, database)
        assert ended.code == 0, ended
    assert has_greetings(database)


def test_a_usage_error_names_the_command_that_was_typed(folder: Path, database: str) -> None:
    ended = run(["flask", "bootstrap", "plan", "extra"], folder, database)
    assert (ended.code, "flask bootstrap plan --help" in ended.stderr) == (2, True), ended


def test_a_failure_ends_the_server_with_the_reason_and_the_exit_code(folder: Path) -> None:
    with serving(FLASK, folder, NOTHING_ANSWERS, BOOTSTRAPPER_FILE="missing.yaml") as server:
        assert server.wait() == 2
        assert "the database is not ready (exit code 2, BOOT-201): " in server.output
        assert "Traceback" not in server.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_start(number: signal.Signals, folder: Path) -> None:
    with serving(FLASK, folder, NOTHING_ANSWERS) as server:
        server.prints("retrying")
        assert server.end(number, seconds=3) == 128 + number
        assert "Traceback" not in server.output
