"""Tests that a restore leaves the database frozen, so that no run applies again what it took back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from bootstrapper.api import restore as restoring
from bootstrapper.backups.restore.new_database import NewDatabase
from tests.backups.restore.shops import FILE, Shop, opened_shop
from tests.migrations.projects import create_table, write_env, write_revision
from tests.servers import Server
from tests.waiting import at_most

pytestmark = pytest.mark.long

MIGRATING = FILE.replace("timeout: 5s", "timeout: 60s") + "  - {uses: migrate, with: {script_location: migrations}}\n"
IN_BOTH_WAYS = pytest.mark.parametrize("way", [("--terminate",), ("--in-place",)])


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Shop]:
    """A shop at revision r2, with a backup from r1; its files have r3 as well."""
    with opened_shop(server, tmp_path, content="") as made:
        made.project.write(MIGRATING)
        write_env(tmp_path)
        write_revision(tmp_path, "r1", upgrade=create_table("first"))
        assert made.run("migrate").returncode == 0
        made.back_up()
        write_revision(tmp_path, "r2", "r1", upgrade='op.execute("INSERT INTO first VALUES (2)")')
        assert made.run("migrate").returncode == 0
        write_revision(tmp_path, "r3", "r2", upgrade='op.execute("INSERT INTO first VALUES (3)")')
        yield made


def rows(shop: Shop) -> list[tuple[int]]:
    return shop.execute("SELECT id FROM first ORDER BY 1")


def is_frozen(shop: Shop) -> bool:
    return shop.execute("SELECT count(*) FROM bootstrapper.meta WHERE key = 'frozen'") == [(1,)]


def restored(shop: Shop, *options: str) -> str:
    done = shop.run("restore", "--latest", "--yes", *options)
    assert done.returncode == 0, done.stderr
    return done.stderr


@IN_BOTH_WAYS
def test_no_run_that_waits_during_a_restore_applies_what_it_takes_back(
    shop: Shop, way: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    why = restoring._why_frozen
    with ExitStack() as stack:
        waiting: list[subprocess.Popen[str]] = []

        def start_others(*arguments: object) -> str | None:  # the restore holds the lock
            command, folder = shop.project.command("migrate", "-e", "here"), shop.project.folder
            for _ in range(3):
                process = subprocess.Popen(
                    command, cwd=folder, env=shop.project.variables(), stderr=subprocess.PIPE, text=True
                )
                waiting.append(stack.enter_context(process))
                stack.callback(process.kill)
                assert process.stderr is not None
                assert any("lock: waiting" in line for line in process.stderr)
            return why(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(restoring, "_why_frozen", start_others)
        restored(shop, *way)
        for process in waiting:
            assert process.wait(at_most(60)) == 9
    assert rows(shop) == []
    later = shop.run("migrate")
    assert (later.returncode, "is frozen: restored from shop" in later.stderr) == (9, True)
    assert rows(shop) == []
    assert shop.run("unfreeze").returncode == 0
    assert shop.run("migrate").returncode == 0
    assert rows(shop) == [(2,), (3,)]


@IN_BOTH_WAYS
def test_a_restore_says_before_and_after_which_revisions_would_be_run_and_names_itself(
    shop: Shop, way: tuple[str, ...]
) -> None:
    shown = " ".join(shop.run("restore", "--latest", "--dry-run", *way).stdout.split())
    told = "the backup is at revision r1, and the next `apply` would run r2, r3: the restored database is left frozen"
    assert told in shown
    assert not is_frozen(shop)
    assert told in restored(shop, *way)
    said = shop.run("status").stdout
    (run_id,) = shop.execute("SELECT run_id FROM bootstrapper.runs WHERE command = 'restore'")[0]
    words = " ".join(said.split())
    assert f".dump by run {run_id}; the next `apply` would run r2, r3 (by postgres on " in words


@IN_BOTH_WAYS
def test_unfrozen_skips_it(shop: Shop, way: tuple[str, ...]) -> None:
    said = restored(shop, "--unfrozen", *way)
    assert "applies the revisions between (r2) again" in " ".join(said.split())
    assert not is_frozen(shop)
    assert shop.run("migrate").returncode == 0


@IN_BOTH_WAYS
def test_a_backup_with_every_revision_of_the_files_leaves_nothing_frozen(shop: Shop, way: tuple[str, ...]) -> None:
    for name in ("r2", "r3"):
        (shop.project.folder / f"migrations/versions/{name}_.py").unlink()
    restored(shop, *way)
    assert not is_frozen(shop)
    assert shop.run("migrate").returncode == 0


def test_a_backup_that_is_ahead_of_the_files_leaves_nothing_frozen(shop: Shop) -> None:
    (shop.project.folder / "migrations/versions/r3_.py").unlink()
    shop.back_up()  # at r2
    (shop.project.folder / "migrations/versions/r2_.py").unlink()
    restored(shop)
    assert not is_frozen(shop)


def test_a_backup_of_an_unknown_revision_leaves_the_database_frozen(shop: Shop) -> None:
    (taken,) = (shop.project.folder / "backups").glob("*.dump")
    taken.with_name(f"{taken.name}.json").unlink()
    done = shop.run("restore", str(taken), "--no-manifest", "--yes")
    assert (done.returncode, is_frozen(shop)) == (0, True)
    assert "may run revisions again, which are unknown" in done.stderr


def test_files_that_are_broken_do_not_keep_a_restore_from_being_made(shop: Shop) -> None:
    write_revision(shop.project.folder, "r4", "gone")
    restored(shop)
    assert is_frozen(shop)


@IN_BOTH_WAYS
def test_a_frozen_database_can_be_restored_and_stays_frozen_for_its_own_reason(
    shop: Shop, way: tuple[str, ...]
) -> None:
    assert shop.run("freeze", "incident 4711").returncode == 0
    restored(shop, "--unfrozen", *way)
    assert "frozen: incident 4711" in shop.run("status").stdout


def test_a_freeze_that_is_in_the_dump_was_of_another_time(shop: Shop) -> None:
    assert shop.run("freeze", "incident 4711").returncode == 0
    shop.back_up()
    assert shop.run("unfreeze").returncode == 0
    restored(shop, "--unfrozen")
    assert not is_frozen(shop)


def test_a_freeze_while_the_new_database_is_filled_comes_along(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = NewDatabase._exchange

    def freeze_before(*arguments: object) -> None:
        with psycopg.connect(shop.project.url, autocommit=True) as connection:
            facts = '{"reason": "incident 4711", "role": "r", "host": "h", "since": "2026-11-30T14:02:11+00:00"}'
            connection.execute("INSERT INTO bootstrapper.meta VALUES ('frozen', %s)", (facts,))
        exchange(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(NewDatabase, "_exchange", freeze_before)
    restored(shop)
    assert "frozen: incident 4711 (by r on h, since 2026-11-30 14:02:11 UTC)" in shop.run("status").stdout
