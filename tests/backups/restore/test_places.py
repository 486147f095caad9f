"""Tests of restoring folders, encrypted, remote and partial backups."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pyrage
import pytest

from bootstrapper.backups.restore import fetch
from tests.backups.remotes import SFTP_PASSWORD, sftp_server
from tests.backups.restore.shops import CHANGES, FILE, Shop

ROOT = Path(__file__).parents[3]


def write(shop: Shop, settings: str) -> None:
    shop.project.write(FILE.replace("    check: never", f"    with: {{{settings}}}\n    check: never"))


def left_in(copies: Path) -> list[str]:
    return [path.name for path in copies.glob("*dump*")]


def restored(shop: Shop, *arguments: str) -> None:
    done = shop.run("restore", *arguments, "--yes")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies are made."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Iterator[str]:
    """The public one; the private one lies in key.txt."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{identity}\n")
    return str(identity.to_public())


@pytest.mark.parametrize("way", [[], ["--jobs", "2"], ["--in-place"]])
def test_a_folder_is_restored(shop: Shop, way: list[str]) -> None:
    write(shop, "format: directory, jobs: 2")
    before = shop.whole()
    assert shop.run("backup").returncode == 0
    shop.execute(CHANGES)
    restored(shop, "--latest", *way)
    assert shop.whole() == before


def test_a_folder_with_a_flipped_bit_is_refused(shop: Shop) -> None:
    write(shop, "format: directory")
    assert shop.run("backup").returncode == 0
    (folder,) = (shop.project.folder / "backups").glob("*.dir")
    largest = max(folder.iterdir(), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    failed = shop.run("backups", "verify", str(folder))
    assert (failed.returncode, "checksum mismatch" in failed.stderr) == (1, True)


def test_an_encrypted_one_is_restored_with_the_key_of_the_step(shop: Shop, key: str, copies: Path) -> None:
    write(shop, f"encrypt: {{recipients: [{key}], identity_file: key.txt}}")
    before = shop.whole()
    assert shop.run("backup").returncode == 0
    shop.execute(CHANGES)
    restored(shop, "--latest")
    assert shop.whole() == before
    assert left_in(copies) == []


def test_an_encrypted_one_needs_a_key_that_fits(shop: Shop, key: str) -> None:
    write(shop, f"encrypt: {{recipients: [{key}]}}")
    assert shop.run("backup").returncode == 0
    refused = shop.run("restore", "--latest", "--yes")
    assert (refused.returncode, "--identity" in refused.stderr) == (2, True)
    other = shop.project.folder / "other.txt"
    other.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    wrong = shop.run("restore", "--latest", "--yes", "--identity", "other.txt")
    assert (wrong.returncode, "cannot decrypt the dump" in wrong.stderr) == (1, True)
    restored(shop, "--latest", "--identity", "key.txt")


def test_a_damaged_encrypted_one_is_told_as_damaged(shop: Shop, key: str) -> None:
    write(shop, f"encrypt: {{recipients: [{key}]}}")
    assert shop.run("backup").returncode == 0
    (dump,) = (shop.project.folder / "backups").glob("*.age")
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    failed = shop.run("backups", "verify", str(dump), "--identity", "key.txt")
    assert (failed.returncode, "checksum mismatch" in failed.stderr) == (1, True)


def test_an_encrypted_one_is_verified_by_restoring_it(shop: Shop, key: str, copies: Path) -> None:
    write(shop, f"encrypt: {{recipients: [{key}], identity_file: key.txt}}")
    assert shop.run("backup").returncode == 0
    (dump,) = (shop.project.folder / "backups").glob("*.age")
    done = shop.run("backups", "verify", str(dump), "--restore")
    assert (done.returncode, "restored on PostgreSQL" in done.stderr) == (0, True), done.stderr
    assert left_in(copies) == []


def test_one_that_lies_on_another_machine_is_listed_fetched_and_restored(
    shop: Shop, tmp_path: Path, key: str, copies: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with sftp_server(there) as port:
        place = f"sftp://keeper@127.0.0.1:{port}/shop"
        storage = f"storage: {{password: '{SFTP_PASSWORD}'}}"
        write(shop, f"directory: '{place}', {storage}, encrypt: {{recipients: [{key}], identity_file: key.txt}}")
        before = shop.whole()
        taken = shop.run("backup")
        assert taken.returncode == 0, taken.stderr
        listed = shop.run("backups", "list")
        (name,) = [path.name for path in (there / "shop").glob("*.age")]
        assert (listed.returncode, f"{place}/{name}" in listed.stdout) == (0, True)
        shop.execute(CHANGES)
        restored(shop, f"{place}/{name}")
        assert shop.whole() == before
        shop.execute(CHANGES)
        restored(shop, "--latest")
        assert shop.whole() == before
        assert SFTP_PASSWORD not in listed.stdout + listed.stderr + taken.stderr
    assert left_in(copies) == []


def test_the_copy_of_a_run_that_was_killed_is_gone_after_the_next(shop: Shop, key: str, copies: Path) -> None:
    write(shop, f"encrypt: {{recipients: [{key}], identity_file: key.txt}}")
    assert shop.run("backup").returncode == 0
    command = [sys.executable, "-m", "tests.backups.restore.killed", "filling", "0", "", "restore", "--latest", "--yes"]
    variables = shop.project.variables({"PYTHONPATH": str(ROOT), "TMPDIR": str(copies)})
    assert subprocess.run([*command, "-e", "here"], cwd=shop.project.folder, env=variables).returncode == -9
    assert [path.stat().st_mode & 0o77 for path in copies.glob(f".{fetch.PREFIX}*")] == [0]
    assert shop.run("restore", "--latest", "--dry-run").returncode == 0
    assert left_in(copies) == []


def test_one_that_changed_on_the_way_is_refused(shop: Shop, copies: Path) -> None:
    folder = f"/{uuid4()}"
    write(shop, f"directory: 'memory:/{folder}'")
    assert shop.run("backup").returncode == 0
    files = fsspec.filesystem("memory")
    (dump,) = files.glob(f"{folder}/*.dump")
    content = bytearray(files.cat_file(dump))
    content[len(content) // 2] ^= 1
    files.pipe_file(dump, bytes(content))
    refused = shop.run("restore", "--latest", "--yes")
    assert (refused.returncode, "checksum mismatch" in refused.stderr) == (1, True)
    assert left_in(copies) == []


def test_that_it_holds_a_part_only_is_shown_first(shop: Shop) -> None:
    write(shop, "exclude: [track]")
    assert shop.run("backup").returncode == 0
    (taken,) = (shop.project.folder / "backups").glob("*.dump")
    shown = shop.run("restore", str(taken), "--partial", "--dry-run")
    assert (shown.returncode, "exclude: track" in shown.stdout) == (0, True)


def test_the_backup_before_a_restore_in_place_is_whole_whatever_the_step_leaves_out(shop: Shop) -> None:
    first = shop.back_up()
    write(shop, "exclude: [track]")
    before = shop.whole()
    restored(shop, str(first), "--in-place")
    (safety,) = [path for path in first.parent.glob("*.dump") if path != first]
    shop.execute(CHANGES)
    restored(shop, str(safety))
    assert shop.whole() == before
