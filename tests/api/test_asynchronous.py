"""The functions for asyncio: they never block the loop, and stop cleanly."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable

import pytest

import bootstrapper
from bootstrapper.api.asynchronous import ApplyOptions, FollowOptions, PlanOptions, StatusOptions
from bootstrapper.errors import InvalidFileError
from bootstrapper.events import Event
from tests.api.test_functions import SLOW
from tests.cli.project import BOOTSTRAP
from tests.projects import TrialProject
from tests.waiting import at_most, eventually, pace

TICK_SECONDS = 0.005


@pytest.fixture
def variables(project: TrialProject) -> dict[str, str]:
    project.write(BOOTSTRAP)
    return {"DATABASE_URL": project.database, "BOOTSTRAPPER_FILE": str(project.folder / "bootstrap.yaml")}


async def longest_block(work: Awaitable[object]) -> float:
    """Returns for how long at most the loop was not at its turn, in seconds."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            longest = max(longest, time.monotonic() - before - TICK_SECONDS)

    ticking = asyncio.create_task(tick())
    try:
        await work
    finally:
        ticking.cancel()
    return longest


def test_each_function_returns_what_the_plain_one_does(variables: dict[str, str]) -> None:
    async def use() -> None:
        assert len((await bootstrapper.aplan(variables=variables)).pending) == 2
        assert len((await bootstrapper.aapply(variables=variables)).applied) == 2
        assert (await bootstrapper.afollow(variables=variables)).is_reached
        assert (await bootstrapper.astatus(variables=variables)).last_run is not None

    asyncio.run(use())


def test_an_error_is_raised_where_it_is_awaited(project: TrialProject) -> None:
    project.write("steps: [{uses: nothing}]\n")
    with pytest.raises(InvalidFileError):
        asyncio.run(bootstrapper.aplan(project.folder / "bootstrap.yaml", variables={}))


def test_events_arrive_in_the_thread_of_the_loop(variables: dict[str, str]) -> None:
    threads: set[str] = set()

    def note(event: Event) -> None:
        threads.add(threading.current_thread().name)

    async def use() -> None:
        await bootstrapper.aapply(variables=variables, on_event=note)

    asyncio.run(use())
    assert threads == {threading.current_thread().name}


def test_the_loop_goes_on_meanwhile(variables: dict[str, str]) -> None:
    assert asyncio.run(longest_block(bootstrapper.aapply(variables=variables))) < 0.05 * pace()


def test_a_cancelled_task_leaves_nothing_at_work(project: TrialProject) -> None:
    project.write(SLOW)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"

    async def use() -> float:
        task = asyncio.create_task(
            bootstrapper.aapply(project.folder / "bootstrap.yaml", variables={"DATABASE_URL": project.database})
        )
        assert await asyncio.to_thread(eventually, lambda: project.rows(f"{sleeping} AND state = 'active'") == [(1,)])
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    assert asyncio.run(use()) < at_most(2)
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]
    assert project.rows("SELECT run_id FROM bootstrapper.lock") == [(None,)]
    assert not project.has("slow")


def test_a_timeout_of_asyncio_ends_the_run(project: TrialProject) -> None:
    project.write(SLOW)

    async def use() -> None:
        async with asyncio.timeout(at_most(1)):
            await bootstrapper.aapply(project.folder / "bootstrap.yaml", variables={"DATABASE_URL": project.database})

    with pytest.raises(TimeoutError):
        asyncio.run(use())
    assert not project.has("slow")


@pytest.mark.parametrize("name", ["plan", "apply", "follow", "status"])
def test_the_arguments_are_those_of_the_plain_function(name: str) -> None:
    plain = inspect.signature(getattr(bootstrapper, name)).parameters
    options = {"plan": PlanOptions, "apply": ApplyOptions, "follow": FollowOptions, "status": StatusOptions}[name]
    assert {"file", *options.__optional_keys__} == set(plain)


def test_the_engine_is_not_loaded_by_the_loop() -> None:
    code = (
        "import asyncio, sys, bootstrapper\n"
        "async def main():\n"
        "    task = asyncio.ensure_future(bootstrapper.aplan('nowhere.yaml', variables={}))\n"
        "    assert not any(name in sys.modules for name in ('pydantic', 'psycopg', 'sqlalchemy'))\n"
        "    await task\n"
        "try:\n    asyncio.run(main())\n"
        "except bootstrapper.BootstrapperError as error:\n    raise SystemExit(error.exit_code)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=at_most(30)).returncode == 2
