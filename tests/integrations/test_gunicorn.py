"""The Gunicorn example, as its users start it, and other applications with its gunicorn.conf.py."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg
import pytest

from tests.integrations.servers import RunningServer, example, serving
from tests.waiting import at_most, eventually

GREETINGS = ["Good morning", "Guten Morgen"]
NOTHING_ANSWERS = "postgresql://app:p@127.0.0.1:1/app"
STARTED = "] apply · "


def gunicorn(app: str = "app:app", *options: str) -> list[str]:
    return ["gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "2", *options, app]


def with_hooks(name: str, folder: Path) -> Path:
    """Returns another example with hooks; their arguments are others than those of the application."""
    copy = example(name, folder)
    (copy / "gunicorn.conf.py").write_text(
        "from bootstrapper.integrations.gunicorn import hooks\n"
        "on_starting, on_reload = hooks('bootstrap.yaml', timeout=60)\n"
    )
    return copy


def children(server: RunningServer) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def links(pid: int) -> list[str]:
    """Returns what the descriptors of a process lead to."""
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return example("gunicorn", tmp_path)


def test_the_database_is_brought_up_once_before_the_workers_start(folder: Path, database: str) -> None:
    with serving(gunicorn(), folder, database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.output.count(STARTED) == 1
        assert server.output.index("] done in ") < server.output.index("Booting worker")
        assert server.end() == 0


def test_workers_inherit_neither_threads_nor_connections_nor_files(folder: Path, database: str) -> None:
    with serving(gunicorn(), folder, database) as server:
        server.answers("/")
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        with psycopg.connect(database, autocommit=True) as connection:
            assert eventually(lambda: connection.execute(sessions).fetchone() == (1,))
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) <= 2  # Gunicorn's own control socket
        opened = [link for pid in children(server) for link in links(pid) if link.startswith("/")]
        assert {link for link in opened if "gunicorn" not in Path(link).name} <= {"/dev/null", str(server.log)}


@pytest.mark.parametrize(
    ("name", "app", "options"),
    [
        pytest.param("flask", "app:create_app()", [], id="flask"),
        pytest.param("django", "greetings.wsgi", [], id="django"),
        pytest.param("fastapi", "app:app", ["--worker-class", "asgi"], id="asgi"),
        pytest.param("fastapi", "app:app", ["--worker-class", "asgi", "--preload"], id="asgi-preload"),
        pytest.param("fastapi", "app:app", ["--worker-class", "uvicorn.workers.UvicornWorker"], id="uvicorn"),
    ],
)
def test_workers_do_not_do_it_again(name: str, app: str, options: list[str], tmp_path: Path, database: str) -> None:
    one = (
        "--workers",
        "1",
    )  # Gunicorn waits 30 s for an asgi worker that gets SIGTERM while it imports
    with serving(gunicorn(app, *one, *options), with_hooks(name, tmp_path), database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.output.count(STARTED) == 1
        assert server.end() == 0
        assert "Traceback" not in server.output


def test_a_reload_brings_up_the_database_again(folder: Path, database: str) -> None:
    with serving(gunicorn(), folder, database) as server:
        server.answers("/")
        file = folder / "bootstrap.yaml"
        file.write_text(file.read_text() + "      - {text: Another}\n")
        server.process.send_signal(signal.SIGHUP)
        assert eventually(lambda: server.get("/").json == ["Another", *GREETINGS])


def test_a_reload_that_fails_ends_the_server_with_the_exit_code(folder: Path, database: str) -> None:
    with serving(gunicorn(), folder, database) as server:
        server.answers("/")
        (folder / "bootstrap.yaml").write_text("version: 1\nsteps: [{uses: nothing}]\n")
        assert server.end(signal.SIGHUP) == 2
        assert "the database is not ready (exit code 2, BOOT-201): " in server.output
        assert "Traceback" not in server.output


def test_a_failure_ends_the_server_with_the_reason_and_the_exit_code(folder: Path) -> None:
    with serving(gunicorn("app:app", "--pid", "pid"), folder, NOTHING_ANSWERS, BOOTSTRAPPER_FILE="no.yaml") as server:
        assert server.wait() == 2
        assert "[ERROR] the database is not ready (exit code 2, BOOT-201): " in server.output
        assert "Traceback" not in server.output
        assert not (folder / "pid").exists()


def test_a_signal_ends_the_start_within_two_seconds(folder: Path) -> None:
    with serving(gunicorn(), folder, NOTHING_ANSWERS) as server:
        server.prints("retrying")
        asked = time.monotonic()
        assert server.end(signal.SIGTERM) == 143
        assert time.monotonic() - asked < at_most(2)


def test_a_signal_ends_the_work_within_two_seconds(folder: Path, database: str) -> None:
    file = folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace('"CREATE TABLE', '"SELECT pg_sleep(60); CREATE TABLE'))
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    with serving(gunicorn(), folder, database) as server, psycopg.connect(database, autocommit=True) as connection:
        assert eventually(lambda: connection.execute(asleep).fetchone() == (1,))
        asked = time.monotonic()
        assert server.end(signal.SIGTERM) == 143
        assert time.monotonic() - asked < at_most(2)
        assert eventually(lambda: connection.execute(asleep).fetchone() == (0,))
        assert "Traceback" not in server.output


def test_hooks_take_settings(folder: Path, database: str) -> None:
    (folder / "bootstrap.yaml").rename(folder / "other.yaml")
    (folder / "gunicorn.conf.py").write_text(
        "from bootstrapper.integrations.gunicorn import hooks\n"
        "on_starting, on_reload = hooks('other.yaml', mode='check')\n"
    )
    with serving(gunicorn(), folder, database) as server:
        assert server.wait() == 4
        assert "[ERROR] the database is not ready (exit code 4, BOOT-401): " in server.output
