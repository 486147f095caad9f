"""The lifespan, in the FastAPI example as its users start it, and in a test client."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI, WebSocketDisconnect
from fastapi.testclient import TestClient

import bootstrapper
from bootstrapper.errors import InvalidFileError, PendingError, RefusedError
from bootstrapper.integrations import startup
from bootstrapper.integrations.asgi import ReadinessMiddleware, lifespan
from tests.integrations.servers import example, serving
from tests.waiting import eventually

pytestmark = pytest.mark.long

UVICORN = ["uvicorn", "app:app", "--port", "{port}"]
GREETINGS = ["Good morning", "Guten Morgen"]
SLOW = """\
version: 1
database: {url: "${DATABASE_URL}"}
steps:
  - uses: wait
  - uses: lock
  - uses: sql
    name: slow
    with: {statement: "CREATE TABLE greetings AS SELECT 'slow' AS text FROM pg_sleep(%s)"}
    check: {table: greetings}
"""


def slow(folder: Path, seconds: float) -> Path:
    """Returns the example with a step that takes so long."""
    copy = example("fastapi", folder)
    (copy / "bootstrap.yaml").write_text(SLOW % seconds)
    return copy


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def is_asleep(database: str) -> bool:
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid() AND state = 'active'"
    )
    return bool(rows(database, query))


def test_the_database_is_ready_before_the_first_request(tmp_path: Path, database: str) -> None:
    with serving(UVICORN, example("fastapi", tmp_path), database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.answers("/readyz").json == {"status": "ready"}
        server.end()
        assert "seed: created 2" in server.output


def test_log_lines_have_time_process_and_run_without_a_logging_configuration(tmp_path: Path, database: str) -> None:
    with serving(UVICORN, example("fastapi", tmp_path), database) as server:
        server.answers("/")
        line = next(line for line in server.output.splitlines() if "lock: left" in line)
        assert line.startswith(time.strftime("%Y-"))
        assert f" {server.process.pid} INFO bootstrapper: " in line
        assert rows(database, "SELECT run_id::text FROM bootstrapper.runs") == [(line[-37:-1],)]


def test_one_of_eight_workers_does_the_work(tmp_path: Path, database: str) -> None:
    with serving([*UVICORN, "--workers", "8"], example("fastapi", tmp_path), database) as server:
        assert server.answers("/", seconds=60).json == GREETINGS
        assert eventually(lambda: server.output.count("Application startup complete") == 8, 60), server.output
        assert server.output.count("seed: created 2") == 1
        server.end()
    assert rows(database, "SELECT count(*) FROM bootstrapper.runs") == [(1,)]


def test_sigterm_during_the_start_of_several_workers_prints_no_traceback(tmp_path: Path, database: str) -> None:
    with serving([*UVICORN, "--workers", "2"], slow(tmp_path, 600), database) as server:
        assert eventually(lambda: is_asleep(database), 20), server.output
        server.end()
        assert "Traceback" not in server.output


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_failure_ends_the_process_with_its_reason_and_exit_code(tmp_path: Path, database: str, loop: str) -> None:
    missing = database.rpartition("/")[0] + "/missing"
    with serving([*UVICORN, "--loop", loop], example("fastapi", tmp_path), missing) as server:
        assert server.wait() == 6
        assert "the database is not ready (exit code 6, BOOT-601): " in server.output
        assert "hint: Create the database" in server.output
        assert "RefusedError" not in server.output, "the reason is told once"
        assert "Traceback" not in server.output


@pytest.mark.parametrize("background", [False, True])
def test_sigterm_ends_the_start_within_two_seconds(tmp_path: Path, database: str, background: bool) -> None:
    variables = {"BACKGROUND": "1"} if background else {}
    with serving(UVICORN, slow(tmp_path, 600), database, **variables) as server:
        assert eventually(lambda: is_asleep(database), 20), server.output
        assert server.end(seconds=2) == 143
        assert "Traceback" not in server.output
    assert not is_asleep(database)
    assert rows(database, "SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]
    assert rows(database, "SELECT run_id FROM bootstrapper.lock") == [(None,)]


def test_probes_are_answered_while_the_database_is_brought_up(tmp_path: Path, database: str) -> None:
    with serving(UVICORN, slow(tmp_path, 3), database, BACKGROUND="1") as server:
        assert server.answers("/livez").json == {"status": "alive"}
        assert eventually(lambda: server.get("/readyz").json.get("progress", {}).get("step") == "slow"), server.output
        answer = server.get("/readyz")
        assert (answer.status, answer.json["status"]) == (503, "starting")
        assert server.get("/").status == 503
        assert "127.0.0.1" not in answer.body.decode(), "an address is not for the public"
        assert server.answers("/readyz").json == {"status": "ready"}
        assert server.answers("/").json == ["slow"]
        assert server.answers("/resources").json == {"greetings": [["slow"]]}, "the state of the inner lifespan"


def test_a_failure_in_the_background_ends_the_process(tmp_path: Path, database: str) -> None:
    missing = database.rpartition("/")[0] + "/missing"
    with serving(UVICORN, example("fastapi", tmp_path), missing, BACKGROUND="1") as server:
        assert server.wait() == 6
        assert "the database is not ready (exit code 6, BOOT-601): " in server.output


def test_an_inner_lifespan_that_fails_in_the_background_ends_the_process(tmp_path: Path, database: str) -> None:
    folder = example("fastapi", tmp_path)
    app = folder / "app.py"
    app.write_text(
        app.read_text().replace(
            '    yield {"greetings"', '    raise RuntimeError("no resources")\n    yield {"greetings"'
        )
    )
    with serving(UVICORN, folder, database, BACKGROUND="1") as server:
        assert server.wait() == 1
        assert "the application failed to start" in server.output
        assert "RuntimeError: no resources" in server.output


def started(database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABASE_URL", database)
    return example("fastapi", folder) / "bootstrap.yaml"


def test_an_application_in_a_test_client_gets_the_error(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = started(database.rpartition("/")[0] + "/missing", tmp_path, monkeypatch)
    app = FastAPI(lifespan=lifespan(file))
    with pytest.raises(RefusedError), TestClient(app):
        pass


def test_readiness_and_log_have_the_code_of_the_error(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = started(database.rpartition("/")[0] + "/missing", tmp_path, monkeypatch)
    app = FastAPI(lifespan=lifespan(file, background=True))
    app.add_middleware(ReadinessMiddleware)
    facts = {"code": "BOOT-601", "exit_code": 6, "retryable": False}
    with TestClient(app) as client:
        assert eventually(lambda: client.get("/readyz").json()["status"] == "failed")
        assert client.get("/readyz").json()["error"] == facts
    (record,) = [record for record in caplog.records if getattr(record, "event", None) == "error"]
    assert getattr(record, "facts", None) == facts
    assert record.getMessage().startswith("the database is not ready (exit code 6, BOOT-601): ")


@pytest.mark.parametrize("mode", ["check", "follow"])
def test_what_others_have_to_apply_is_not_applied(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, mode: startup.Mode
) -> None:
    file = started(database, tmp_path, monkeypatch)
    app = FastAPI(lifespan=lifespan(file, mode=mode, timeout=0.5 if mode == "follow" else None))
    with pytest.raises(PendingError), TestClient(app):
        pass
    assert rows(database, "SELECT to_regclass('bootstrapper.lock')") == [(None,)]
    bootstrapper.apply(file)
    with TestClient(app) as client:
        assert client.get("/nothing").status_code == 404


def test_the_inner_lifespan_is_entered_when_the_database_is_ready(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = started(database, tmp_path, monkeypatch)
    seen: list[object] = []

    @asynccontextmanager
    async def inner(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        seen.append(rows(database, "SELECT count(*) FROM greetings"))
        yield {"kept": 42}
        seen.append("left")

    app = FastAPI(lifespan=lifespan(file, inner=inner))
    with TestClient(app) as client:
        assert client.app_state["kept"] == 42
    assert seen == [[(2,)], "left"]


@pytest.mark.parametrize("place", ["inside", "around"])
def test_the_middleware_stands_inside_the_application_or_around_it(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    file = started(database, tmp_path, monkeypatch)
    app = FastAPI(lifespan=lifespan(file, background=True))
    if place == "inside":
        app.add_middleware(ReadinessMiddleware, live="/alive", ready="/ready")
    outer = app if place == "inside" else ReadinessMiddleware(app, live="/alive", ready="/ready")
    with TestClient(outer) as client:
        assert client.get("/alive").status_code == 200
        assert eventually(lambda: client.get("/ready").status_code == 200)
        assert client.get("/nothing").status_code == 404


def test_a_middleware_without_the_lifespan_is_not_ready() -> None:
    client = TestClient(ReadinessMiddleware(FastAPI()))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not started"})


def test_a_websocket_is_closed_until_the_database_is_ready(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    file = slow(tmp_path, 600) / "bootstrap.yaml"
    app = FastAPI(lifespan=lifespan(file, background=True))
    app.add_middleware(ReadinessMiddleware)
    with TestClient(app) as client:
        with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/socket"):
            pass
        assert caught.value.code == 1013


def test_a_child_of_the_process_that_brought_it_up_does_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = started(database, tmp_path, monkeypatch)
    done = startup.Startup(file)
    done.run()
    file.rename(file.with_suffix(".gone"))
    with pytest.raises(InvalidFileError):
        done.run()
    assert code_of_child(done) == 0
    monkeypatch.setenv("DATABASE_URL", database.rpartition("/")[0] + "/missing")
    assert code_of_child(done) == 1, "another database has to be looked at"


def code_of_child(started: startup.Startup) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            started.run()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_the_handlers_of_the_server_are_called_and_put_back() -> None:
    called: list[int] = []

    def own(number: int, frame: object) -> None:
        called.append(number)

    before = signal.signal(signal.SIGTERM, own)
    try:
        stop = bootstrapper.Stop()
        with startup.stopped_by_signals(stop):
            signal.raise_signal(signal.SIGTERM)
        assert (stop.is_set, stop.reason, called) == (True, "SIGTERM", [signal.SIGTERM])
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
