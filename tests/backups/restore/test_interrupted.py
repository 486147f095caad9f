"""Tests of Ctrl-C during an in-place restore: it ends at once."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psycopg

from tests.backups.restore.shops import FILE, Shop
from tests.waiting import at_most, eventually

SOON_SECONDS = 15  # before the lock is given up, and long before a dump that hangs


def begun(shop: Shop) -> subprocess.Popen[bytes]:
    command = shop.project.command("restore", "--latest", "--in-place", "--yes", "-e", "here")
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=shop.project.folder, env=shop.project.variables(), stdin=quiet, stdout=quiet, stderr=quiet
    )


def waits_for_lock(shop: Shop) -> bool:
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(shop.execute(query + " AND application_name LIKE 'bootstrapper/%/%-%'"))


def test_while_it_waits_for_those_who_write(corner_shop: Shop) -> None:
    corner_shop.back_up()
    with psycopg.connect(corner_shop.project.url) as writer:
        writer.execute("INSERT INTO artist VALUES ('written')")
        restore = begun(corner_shop)
        assert eventually(lambda: waits_for_lock(corner_shop))
        restore.send_signal(signal.SIGINT)
        assert restore.wait(at_most(SOON_SECONDS)) == 130
    assert corner_shop.execute("SELECT name FROM artist ORDER BY 1") == [("AC/DC",), ("written",)]


def test_while_it_backs_up_what_is_there(corner_shop: Shop, tmp_path: Path) -> None:
    taken = corner_shop.back_up()
    folder = tmp_path / "slow"
    folder.mkdir()
    for name in ("pg_restore", "psql"):
        (folder / name).symlink_to(corner_shop.server.programs / name)
    version = '[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 18.99" && exit'
    (folder / "pg_dump").write_text(f"#!/bin/sh\n{version}\ntouch '{tmp_path}/begun'\nexec sleep 600\n")
    (folder / "pg_dump").chmod(0o755)
    slow = f"    with: {{pg_dump: {folder}/pg_dump}}\n    check: never"
    corner_shop.project.write(FILE.replace("    check: never", slow))
    restore = begun(corner_shop)
    assert eventually((tmp_path / "begun").exists)
    restore.send_signal(signal.SIGINT)
    assert restore.wait(at_most(SOON_SECONDS)) == 130
    assert sorted(path.name for path in taken.parent.iterdir()) == [taken.name, f"{taken.name}.json"]
