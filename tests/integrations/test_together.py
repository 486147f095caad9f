"""Servers of every kind that start at once on one database: one of their processes does the work, and all serve."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.integrations.servers import RunningServer, example, run, serving
from tests.migrations.projects import write_env, write_revision
from tests.waiting import eventually

pytestmark = pytest.mark.long

BOOTSTRAP = """\
version: 1
name: greetings
database: {url: "${DATABASE_URL}"}
steps:
  - uses: wait
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
  - uses: seed
fixtures:
  greetings:
    key: [text]
    rows: [{text: Good morning}, {text: Guten Morgen}]
"""
FIRST = 'op.execute("CREATE TABLE greetings (text text PRIMARY KEY)")\nop.execute("CREATE TABLE work (revision text)")'
SECOND = 'op.execute("INSERT INTO work VALUES (\'second\')")\nop.execute("SELECT pg_sleep(2)")'
ASGI = """\
import asyncio, sys, time
from contextlib import asynccontextmanager

from app import index, lifespan
from fastapi import FastAPI


@asynccontextmanager
async def measured(app):
    longest = 0.0

    async def tick():
        nonlocal longest
        while True:
            wall, used = time.monotonic(), time.process_time()
            await asyncio.sleep(0.005)
            # A busy machine makes everything late; what this process did meanwhile is what kept its loop.
            longest = max(longest, min(time.monotonic() - wall - 0.005, time.process_time() - used))

    ticking = asyncio.create_task(tick())
    async with lifespan()(app) as state:
        print(f"kept the loop for {longest * 1000:.0f} ms at most", file=sys.stderr, flush=True)
        yield state
    ticking.cancel()


app = FastAPI(lifespan=measured)
app.get("/")(index)
"""
DJANGO = """\
import os

import psycopg
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from bootstrapper.integrations.django.start import bootstrapped


def greet(request):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT text FROM greetings ORDER BY text").fetchall()
    return JsonResponse([row[0] for row in rows], safe=False)


urlpatterns = [path("", greet)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="of a test")
application = bootstrapped(get_wsgi_application())
"""
GREETINGS = ["Good morning", "Guten Morgen"]
COMMANDS = {
    "fastapi": ["uvicorn", "measured:app", "--port", "{port}", "--workers", "8"],
    "gunicorn": ["gunicorn", "app:app", "--bind", "127.0.0.1:{port}", "--workers", "4"],
    "flask": ["flask", "run", "--port", "{port}"],
    "django": ["gunicorn", "site_of_test:application", "--bind", "127.0.0.1:{port}"],
    "celery": ["celery", "--app", "tasks", "worker", "--concurrency", "2", "--loglevel", "INFO", "--without-mingle"],
}


class Fleet:
    """All servers, each in a folder of its own, with the configuration of one project."""

    def __init__(self, folder: Path, database: str, stack: ExitStack) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "bootstrap.yaml").write_text(BOOTSTRAP)
        write_env(self.project)
        write_revision(self.project, "first", upgrade=FIRST)
        self._database = database
        self._stack = stack
        self._folders = {name: example(name, folder) for name in COMMANDS if name != "django"}
        self._folders["django"] = folder / "django"
        self._folders["django"].mkdir()
        (self._folders["django"] / "site_of_test.py").write_text(DJANGO)
        (self._folders["fastapi"] / "measured.py").write_text(ASGI)
        self.servers: dict[str, RunningServer] = {}

    @property
    def variables(self) -> dict[str, str]:
        return {"BOOTSTRAPPER_FILE": str(self.project / "bootstrap.yaml")}

    def start(self) -> None:
        """Starts what does not run."""
        for name, command in COMMANDS.items():
            if name not in self.servers or self.servers[name].process.poll() is not None:
                starting = serving(command, self._folders[name], self._database, **self.variables)
                self.servers[name] = self._stack.enter_context(starting)

    def require_service(self) -> None:
        """Fails unless each answers from the database, and each worker of uvicorn has started."""
        for name in ("fastapi", "gunicorn", "flask", "django"):
            assert self.servers[name].answers("/", seconds=60).json == GREETINGS
        send = "import tasks; print(*tasks.greet.delay().get(timeout=60), sep=',')"
        asked = run(["python", "-c", send], self._folders["celery"], self._database, **self.variables)
        assert asked.stdout == ",".join(GREETINGS) + "\n", self.servers["celery"].output
        loops = self.servers["fastapi"]
        assert eventually(lambda: len(self.kept()) >= 8, 60), loops.output

    def kept(self) -> list[int]:
        """Returns for how many milliseconds each worker of uvicorn has kept its loop from turning."""
        return [int(found) for found in re.findall(r"kept the loop for (\d+) ms", self.servers["fastapi"].output)]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self._database, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
def fleet(tmp_path: Path, database: str) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, database, stack)


def one_behind(fleet: Fleet) -> None:
    """Applies the first revision and the rows, then adds a revision."""
    ended = run(["bootstrapper", "apply"], fleet.project, fleet._database, **fleet.variables)
    assert ended.code == 0, ended
    write_revision(fleet.project, "second", "first", upgrade=SECOND)


@pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "a revision behind"])
def test_one_process_does_the_work_and_all_serve(fleet: Fleet, is_empty: bool) -> None:
    if is_empty:
        write_revision(fleet.project, "second", "first", upgrade=SECOND)
    else:
        one_behind(fleet)
    before = 0 if is_empty else 1
    fleet.start()
    fleet.require_service()
    assert fleet.rows("SELECT revision FROM work") == [("second",)]
    assert fleet.rows("SELECT count(*) FROM bootstrapper.runs") == [(before + 1,)]
    assert max(fleet.kept()) < 50


def test_all_serve_after_the_process_at_work_was_killed(fleet: Fleet) -> None:
    one_behind(fleet)
    fleet.start()
    held = "SELECT l.pid FROM bootstrapper.lock AS l WHERE l.run_id IS NOT NULL AND l.step = 'migrate'"
    holders: list[tuple[object, ...]] = []

    def is_at_work() -> bool:
        holders[:] = fleet.rows(held)
        return bool(holders)

    assert eventually(is_at_work, 60)
    os.kill(int(str(holders[0][0])), signal.SIGKILL)
    eventually(lambda: any(server.process.poll() is not None for server in fleet.servers.values()), 0.5)
    fleet.start()
    fleet.require_service()
    assert fleet.rows("SELECT revision FROM work") == [("second",)]
    outcomes = [outcome for (outcome,) in fleet.rows("SELECT outcome FROM bootstrapper.runs ORDER BY serial")]
    assert outcomes == ["done", None, "done"], json.dumps(outcomes)
