"""The Litestar example, as its users start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.servers import documented, example, run, serving
from tests.waiting import eventually

GREETINGS = ["Good morning", "Guten Morgen"]
LITESTAR = ["litestar", "run", "--port", "{port}"]
NOTHING_ANSWERS = "postgresql://app:p@127.0.0.1:1/app"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return example("litestar", tmp_path)


def test_the_database_is_ready_before_the_first_request(folder: Path, database: str) -> None:
    with serving(LITESTAR, folder, database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.get("/readyz").json == {"status": "ready"}
        assert server.get("/livez").json == {"status": "alive"}
        assert server.get("/missing").status == 404
        assert server.end() == 143  # uvicorn stops, then ends by the signal itself
        assert "Application shutdown complete" in server.output


def test_probes_are_answered_while_the_database_is_brought_up(folder: Path) -> None:
    with serving(LITESTAR, folder, NOTHING_ANSWERS, BACKGROUND="yes") as server:
        assert server.answers("/livez").json == {"status": "alive"}
        ready = server.get("/readyz")
        assert (ready.status, ready.json["status"]) == (503, "starting")
        assert server.get("/").status == 503
        assert server.end() == 143


def test_requests_pass_when_the_database_is_ready(folder: Path, database: str) -> None:
    with serving(LITESTAR, folder, database, BACKGROUND="yes") as server:
        assert eventually(lambda: server.get("/readyz").status == 200)
        assert server.get("/").json == GREETINGS


def test_a_failure_ends_the_server_with_the_reason_and_the_exit_code(folder: Path) -> None:
    with serving(LITESTAR, folder, NOTHING_ANSWERS, BOOTSTRAPPER_FILE="missing.yaml") as server:
        assert server.wait() == 2
        assert "the database is not ready (exit code 2, BOOT-201): " in server.output


def test_litestar_bootstrap_is_the_command_line(folder: Path, database: str) -> None:
    for command in documented("litestar bootstrap"):
        ended = run(command, folder, database)
        assert ended.code == 0, ended
    ended = run(["litestar", "bootstrap", "plan", "extra"], folder, database)
    assert (ended.code, "litestar bootstrap plan --help" in ended.stderr) == (2, True), ended
