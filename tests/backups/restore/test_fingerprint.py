"""Tests of dumps that change after the restore was confirmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.backups.restore.fingerprint import require_unbroken, seal
from bootstrapper.cli.confirmation import Consent
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError
from tests.backups.restore.shops import FILE, Shop

NAMES = "SELECT name FROM artist ORDER BY 1"
SECONDS = 13  # at which byte of a custom dump its time has the seconds, which pg_restore takes as they are
AFTER_AGREEING = "was changed after it had been verified"


def agreed_then(change: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consent, "require", lambda *_, **__: change())


@pytest.mark.parametrize("way", [[], ["--in-place"]])
def test_a_dump_that_is_replaced_by_another_one_is_not_restored(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    taken = corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    other = corner_shop.back_up()
    before = corner_shop.databases()
    agreed_then(lambda: other.replace(taken), monkeypatch)
    failed = corner_shop.run("restore", str(taken), "--yes", *way)
    assert (failed.returncode, AFTER_AGREEING in failed.stderr) == (1, True), failed.stderr
    assert (corner_shop.databases(), corner_shop.execute(NAMES)) == (before, [("AC/DC",), ("later",)])


@pytest.mark.programs
@pytest.mark.parametrize("way", [[], ["--jobs", "2"], ["--in-place"]])
def test_the_checksum_is_that_of_what_was_read(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    taken = corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    before = corner_shop.databases()

    def flip() -> None:
        """Nothing but the content tells of it."""
        stat = taken.stat()
        with taken.open("r+b") as file:
            file.seek(SECONDS)
            flipped = file.read(1)[0] ^ 1
            file.seek(SECONDS)
            file.write(bytes([flipped]))
        os.utime(taken, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    agreed_then(flip, monkeypatch)
    failed = corner_shop.run("restore", str(taken), "--yes", *way)
    assert (failed.returncode, AFTER_AGREEING in failed.stderr) == (1, True), failed.stderr
    assert (corner_shop.databases(), corner_shop.execute(NAMES)) == (before, [("AC/DC",), ("later",)])


def test_a_dump_that_is_removed_is_an_error_and_no_traceback(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = corner_shop.back_up()
    agreed_then(taken.unlink, monkeypatch)
    failed = corner_shop.run("restore", str(taken), "--yes")
    assert (failed.returncode, "any more: " in failed.stderr) == (1, True), failed.stderr


def test_a_copy_of_the_backups_made_meanwhile_does_no_harm(corner_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    agreed_then(lambda: os.link(taken, taken.with_name("snapshot")), monkeypatch)
    assert corner_shop.run("restore", str(taken), "--yes").returncode == 0
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_a_file_of_a_folder_that_is_replaced_is_found(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corner_shop.project.write(FILE.replace("    check: never", "    with: {format: directory}\n    check: never"))
    taken = corner_shop.back_up()
    data = next(taken.glob("*.dat.gz"))
    (tmp_path / "same").write_bytes(data.read_bytes())
    agreed_then(lambda: (tmp_path / "same").replace(data), monkeypatch)
    failed = corner_shop.run("restore", str(taken), "--yes")
    assert (failed.returncode, AFTER_AGREEING in failed.stderr) == (1, True), failed.stderr


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_dump_that_was_exchanged_for_a_moment_breaks_a_strict_seal(tmp_path: Path, is_folder: bool) -> None:
    dump, other, aside = (tmp_path / name for name in ("one", "other", "aside"))
    for path in (dump, other):
        if is_folder:
            path.mkdir()
        (path / "toc.dat" if is_folder else path).write_text(path.name)
    strict, lenient = (seal(dump, Deadline.after(60), is_strict=is_strict) for is_strict in (True, False))
    require_unbroken(dump, "it", strict)
    before, deadline = dump.stat().st_ctime_ns, Deadline.after(10)
    while dump.stat().st_ctime_ns == before and not deadline.has_passed:  # the clock of files ticks in milliseconds
        for source, target in ((dump, aside), (other, dump), (dump, other), (aside, dump)):
            source.rename(target)
    require_unbroken(dump, "it", lenient)
    with pytest.raises(BackupError, match="it was changed"):
        require_unbroken(dump, "it", strict)
