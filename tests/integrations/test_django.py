"""The Django example, as its users start it."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
import pytest

from tests.integrations.servers import documented, example, run, serving

pytestmark = pytest.mark.long

GREETINGS = ["Good morning", "Guten Morgen"]
MANAGE = ["python", "manage.py"]
NOTHING_ANSWERS = "postgresql://app:p@127.0.0.1:1/app"
GUNICORN = ["gunicorn", "--bind", "127.0.0.1:{port}", "greetings.wsgi"]
UVICORN = ["uvicorn", "--port", "{port}", "greetings.asgi:application"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return example("django", tmp_path)


def greetings(database: str) -> list[str]:
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM greetings_greeting ORDER BY text")]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(GUNICORN, 0, id="gunicorn"),
        pytest.param(UVICORN, 143, id="uvicorn"),
        pytest.param([*MANAGE, "runserver", "{port}"], 0, id="runserver"),
    ],
)
def test_the_database_is_ready_before_the_first_request(
    command: list[str], code: int, folder: Path, database: str
) -> None:
    with serving(command, folder, database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.output.count("bootstrapper: apply ·") == 1
        assert server.end() == code


def test_manage_py_bootstrap_is_the_command_line(folder: Path, database: str) -> None:
    for command in documented("python manage.py bootstrap"):
        ended = run(command, folder, database)
        assert ended.code == 0, ended
    assert greetings(database) == GREETINGS


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bootstrap", "plan", "--help"], 0, "Usage: manage.py bootstrap plan"),
        (["help", "bootstrap"], 0, "Usage: manage.py bootstrap "),
        (["bootstrap", "validate", "--settings", "greetings.settings", "--no-color"], 0, ""),
        (["bootstrap", "validate", "--settings=nowhere"], 1, "No module named 'nowhere'"),
        (["bootstrap", "plan", "extra"], 2, "manage.py bootstrap plan --help"),
        (["bootstrap", "run", "--", "missing-program", "--settings", "x"], 2, "missing-program"),
    ],
)
def test_arguments_go_to_the_command_line(
    arguments: list[str], code: int, words: str, folder: Path, database: str
) -> None:
    ended = run([*MANAGE, *arguments], folder, database)
    assert (ended.code, words in ended.stdout + ended.stderr) == (code, True), ended


def test_call_command_raises_for_an_exit_code(folder: Path, database: str) -> None:
    (folder / "calls.py").write_text(
        "import django; django.setup()\n"
        "from django.core.management import CommandError, call_command\n"
        "call_command('bootstrap', 'apply', '--quiet')\n"
        "try: call_command('bootstrap', 'apply', '-e', 'missing')\n"
        "except CommandError as error: print(error, error.returncode)\n"
    )
    ended = run(["python", "calls.py"], folder, database, DJANGO_SETTINGS_MODULE="greetings.settings")
    assert ended.stdout == "bootstrapper ended with exit code 2 2\n", ended
    assert greetings(database) == GREETINGS


def test_the_check_warns_of_pending_changes_and_is_silent_when_they_are_made(folder: Path, database: str) -> None:
    check = [*MANAGE, "check", "--database", "default"]
    assert "(bootstrapper.W001) changes are pending: migrate, seed" in run(check, folder, database).stderr
    assert run([*MANAGE, "bootstrap", "apply"], folder, database).code == 0
    assert run(check, folder, database).stdout == "System check identified no issues (0 silenced).\n"


def test_the_check_connects_only_if_databases_are_checked(folder: Path) -> None:
    assert run([*MANAGE, "check"], folder, NOTHING_ANSWERS).code == 0
    ended = run([*MANAGE, "check", "--database", "default", "--tag", "database"], folder, NOTHING_ANSWERS)
    assert (ended.code, "(bootstrapper.E001) " in ended.stderr) == (1, True), ended


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("{'FIEL': 'x'}", "unknown 'FIEL' in BOOTSTRAPPER; valid are FILE, ENVIRONMENT, MODE, TIMEOUT"),
        ("{'MODE': 'never'}", "MODE in BOOTSTRAPPER is 'never'; valid are apply, follow, check"),
        ("{'TIMEOUT': '5m'}", "TIMEOUT in BOOTSTRAPPER is '5m'; valid is a number of seconds"),
    ],
)
def test_wrong_settings_are_named(setting: str, words: str, folder: Path) -> None:
    with (folder / "greetings" / "settings.py").open("a") as file:
        file.write(f"BOOTSTRAPPER = {setting}\n")
    ended = run([*MANAGE, "bootstrap", "validate"], folder, NOTHING_ANSWERS)
    assert (ended.code, words in ended.stderr) == (1, True), ended


@pytest.mark.parametrize("command", [GUNICORN, UVICORN])
def test_a_signal_ends_the_start(command: list[str], folder: Path) -> None:
    with serving(command, folder, NOTHING_ANSWERS) as server:
        server.prints("retrying")
        assert server.end(signal.SIGTERM, seconds=4) in (0, 143)
        assert "Traceback" not in server.output


def test_a_failure_ends_the_server_with_the_reason_and_the_exit_code(folder: Path) -> None:
    (folder / "bootstrap.yaml").write_text("version: 1\nsteps: [{uses: nothing}]\n")
    with serving(UVICORN, folder, NOTHING_ANSWERS) as server:
        assert server.wait() == 2
        assert "the database is not ready (exit code 2, BOOT-201): " in server.output
        assert "Traceback" not in server.output
