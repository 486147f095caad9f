"""Tests that a run with the lock from before a restore writes nothing after it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from bootstrapper.backups.restore import new_database
from bootstrapper.errors import FencedOffError
from bootstrapper.postgres.lock.hold import Hold
from tests.backups.contexts import make_bench
from tests.backups.restore.shops import Shop
from tests.faults.pgbouncer import PgBouncer

NAMES = "SELECT name FROM artist ORDER BY 1"
TOKEN = "SELECT token, run_id FROM bootstrapper.lock"


def test_the_token_is_above_that_of_both_databases(corner_shop: Shop) -> None:
    corner_shop.back_up()
    corner_shop.execute("UPDATE bootstrapper.lock SET token = 40")
    assert corner_shop.run("restore", "--latest", "--yes").returncode == 0
    assert corner_shop.execute(TOKEN) == [(42, None)]  # 41 was the restore's own
    corner_shop.execute("UPDATE bootstrapper.runs SET token = 90 WHERE command = 'restore'")
    taken = corner_shop.back_up()
    corner_shop.execute("UPDATE bootstrapper.lock SET token = 1")
    assert corner_shop.run("restore", str(taken), "--yes").returncode == 0
    assert corner_shop.execute(TOKEN) == [(91, None)]


@pytest.mark.faults
def test_a_zombie_behind_a_pooler_is_fenced_off_in_the_restored_database(corner_shop: Shop, tmp_path: Path) -> None:
    """The pooler connects it to whatever database has the name by now, and it does not notice."""
    corner_shop.back_up()
    with PgBouncer(corner_shop.server, "transaction") as pooler:
        url = corner_shop.server.url(quote(corner_shop.name)).replace(str(corner_shop.server.port), str(pooler.port))
        bench = make_bench(url, tmp_path)
        with pytest.raises(FencedOffError), bench.run(outcome=None) as zombie:
            corner_shop.execute("UPDATE bootstrapper.lock SET expires_at = now() - interval '1 minute'")
            done = corner_shop.run("restore", "--latest", "--yes", "--terminate")
            assert done.returncode == 0, done.stderr
            with zombie.transaction() as connection:
                connection.execute("INSERT INTO artist VALUES ('by a zombie')")
        bench.session.close()
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_a_restore_that_lost_the_lock_does_not_take_the_name(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('too much')")
    original = Hold.announce

    def announce(self: Hold, *arguments: object) -> None:
        corner_shop.execute("UPDATE bootstrapper.lock SET token = token + 1, run_id = NULL")
        original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Hold, "announce", announce)
    fenced = corner_shop.run("restore", "--latest", "--yes")
    assert (fenced.returncode, "fenced off" in fenced.stderr) == (7, True)
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]
    assert (corner_shop.half_made, corner_shop.kept) == ([], [])


def test_breaking_the_lock_ends_a_restore_that_is_about_to_take_the_name(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('too much')")
    original = new_database.swap.swap
    broken = []

    def swap(*arguments: object, **options: object) -> None:
        ((run_id,),) = corner_shop.execute("SELECT run_id FROM bootstrapper.lock")
        broken.append(corner_shop.run("lock", "break", str(run_id)).returncode)
        original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(new_database.swap, "swap", swap)
    failed = corner_shop.run("restore", "--latest", "--yes")
    assert (broken, failed.returncode) == ([0], 5)
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]
    monkeypatch.undo()
    assert corner_shop.run("restore", "--latest", "--yes").returncode == 0
    assert corner_shop.half_made == []


def test_who_waits_for_the_lock_does_not_get_it_between_the_release_and_the_renames(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner_shop.back_up()
    original = new_database.swap.swap
    tried = []

    def swap(*arguments: object, **options: object) -> None:
        tried.append(corner_shop.run("backup", "--timeout", "700ms"))
        original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(new_database.swap, "swap", swap)
    done = corner_shop.run("restore", "--latest", "--yes")
    assert done.returncode == 0, done.stderr
    assert tried[0].returncode == 7, tried[0].stderr
