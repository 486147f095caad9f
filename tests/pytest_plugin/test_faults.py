"""Sessions at once, and sessions that are killed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.pytest_plugin.sessions import NAMED, STEPS, TestedApplication
from tests.waiting import eventually

pytestmark = pytest.mark.long

COUNTED = "  - {uses: command, name: count, with: {run: [sh, -c, 'echo x >> made']}, check: {once: counted}}\n"
HANGING = "  - {uses: command, name: hang, with: {run: [sh, -c, 'test -e go || sleep 600']}, check: {once: hung}}\n"
SLOW = """
import pathlib, time

def test_it(bootstrap_database):
    pathlib.Path("inside").write_text(bootstrap_database.name)
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
"""


def test_workers_and_sessions_at_once_make_one_template(application: TestedApplication) -> None:
    application.write("bootstrap.yaml", STEPS.replace("  - uses: seed", f"{COUNTED}  - uses: seed"))
    sessions = [application.start("-n", "2") for _ in range(2)]
    said = [session.communicate(timeout=300)[0] for session in sessions]
    assert ["4 passed" in text for text in said] == [True, True], said
    assert (application.folder / "made").read_text() == "x\n"
    assert len(application.templates()) == 1


def test_a_session_killed_while_it_makes_the_template_leaves_nothing_that_is_taken_for_it(
    application: TestedApplication,
) -> None:
    application.write("bootstrap.yaml", STEPS.replace("  - uses: seed", f"{HANGING}  - uses: seed"))
    session = application.start()
    before = application.databases("bootstrapper_draft_")
    try:
        assert eventually(lambda: application.databases("bootstrapper_draft_") - before, 60)
        (draft,) = application.databases("bootstrapper_draft_") - before
        assert eventually(lambda: _is_hanging(application, draft), 60)
    finally:
        os.killpg(session.pid, signal.SIGKILL)
        session.communicate()
    assert application.templates() == set()
    assert draft in application.databases()
    application.write("go", "")
    assert eventually(lambda: not _is_alive(application, draft))
    assert application.passes() == 4
    assert draft not in application.databases()


def test_the_clones_of_a_killed_session_are_dropped_by_the_next(application: TestedApplication) -> None:
    application.write("test_words.py", SLOW)
    session = application.start()
    inside = application.folder / "inside"
    try:
        assert eventually(lambda: inside.exists() and inside.read_text(), 60)
    finally:
        os.killpg(session.pid, signal.SIGKILL)
        session.communicate()
    name = inside.read_text()
    assert name in application.databases()
    application.write("test_words.py", NAMED)
    assert eventually(lambda: application.passes() and name not in application.databases())
    assert not any(seen.was_made for seen in application.seen())


def test_the_clones_of_a_session_that_runs_are_kept(application: TestedApplication) -> None:
    application.write("test_words.py", SLOW)
    session = application.start()
    inside = application.folder / "inside"
    assert eventually(lambda: inside.exists() and inside.read_text(), 60)
    application.write("test_other.py", NAMED)
    assert application.passes("test_other.py") == 1
    assert inside.read_text() in application.databases()
    application.write("go", "")
    assert "1 passed" in session.communicate(timeout=60)[0]


def test_an_interrupted_session_drops_its_clone(application: TestedApplication) -> None:
    application.write("test_words.py", SLOW)
    session = application.start()
    inside = application.folder / "inside"
    assert eventually(lambda: inside.exists() and inside.read_text(), 60)
    session.send_signal(signal.SIGINT)
    session.communicate(timeout=60)
    assert inside.read_text() not in application.databases()


def _is_hanging(application: TestedApplication, draft: str) -> bool:
    """Whether the step before the one that hangs is committed."""
    rows = application.server.execute("SELECT to_regclass('words') IS NOT NULL", draft)
    return rows == [(True,)]


def _is_alive(application: TestedApplication, draft: str) -> bool:
    """Whether the server still has a session in it: it notices only later that a client is gone."""
    rows = application.server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{draft}'")
    return rows != [(0,)]
