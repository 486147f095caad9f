"""Tests of killed restores: one complete database has the name, and the next restore cleans up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psycopg
import pytest

from tests.backups.restore.shops import Shop
from tests.waiting import at_most

pytestmark = pytest.mark.long

OLD, NEW = [("AC/DC",), ("too much",)], [("AC/DC",)]
RENAME = "ALTER DATABASE .* RENAME"
PLACES = {
    "before the new database is there": ("before", "1", "CREATE DATABASE", OLD),
    "with an empty new database": ("after", "1", "CREATE DATABASE", OLD),
    "while pg_restore works": ("filling", "1", "", OLD),
    "when the ledger there is written": ("before", "1", "ANALYZE", OLD),
    "before the lock is handed over": ("before", "1", "(?s).*worker_backend_pid = %s", OLD),
    "when the lock is handed over": ("after", "1", "(?s).*worker_backend_pid = %s", OLD),
    "before the first rename": ("before", "1", RENAME, OLD),
    "between the renames": ("after", "1", RENAME, OLD),
    "before COMMIT": ("after", "2", RENAME, OLD),
    "after COMMIT": ("before", "1", "DROP DATABASE IF EXISTS .*restoring", NEW),
}


def names(shop: Shop) -> list[tuple[str]]:
    """The server needs a moment to see that a client is gone, and keeps the doors shut while it rolls back."""
    deadline = time.monotonic() + at_most(10)
    while True:
        try:
            return shop.execute("SELECT name FROM artist ORDER BY 1")
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def trapped(shop: Shop, *trap: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.backups.restore.killed", *trap]
    return subprocess.run(
        [*command, "restore", "--latest", "--yes", "-e", "here"],
        cwd=shop.project.folder,
        env=shop.project.variables(),
        capture_output=True,
        text=True,
        timeout=at_most(60),
    )


@pytest.mark.parametrize("place", PLACES)
def test_after_a_kill_the_old_or_the_new_database_is_there_and_the_next_one_succeeds(
    corner_shop: Shop, place: str
) -> None:
    when, number, pattern, expected = PLACES[place]
    corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('too much')")
    killed = trapped(corner_shop, when, number, pattern)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert names(corner_shop) == expected
    assert bool(corner_shop.kept) == (expected == NEW)
    corner_shop.execute("UPDATE bootstrapper.lock SET expires_at = now()")  # in place of waiting for the lease's end
    again = corner_shop.run("restore", "--latest", "--yes", "--terminate")
    assert again.returncode == 0, again.stderr
    assert names(corner_shop) == NEW
    assert corner_shop.half_made == []
    assert corner_shop.run("backup").returncode == 0


def test_an_interrupted_restore_tidies_up_by_itself(corner_shop: Shop) -> None:
    corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('too much')")
    interrupted = trapped(corner_shop, "interrupted", "1", "")
    assert interrupted.returncode == 130, interrupted.stderr
    assert names(corner_shop) == OLD
    assert (corner_shop.half_made, corner_shop.kept) == ([], [])
    query = "SELECT command, outcome FROM bootstrapper.runs ORDER BY serial DESC LIMIT 1"
    assert corner_shop.execute(query) == [("restore", "interrupted")]
    assert corner_shop.execute("SELECT run_id FROM bootstrapper.lock") == [(None,)]
