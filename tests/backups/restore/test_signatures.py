"""Tests of signed and unsigned manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bootstrapper.backups.restore.choose import of_file
from bootstrapper.backups.stores.manifest import Manifest, manifest_path
from bootstrapper.backups.stores.signature import is_trusted, signed
from bootstrapper.errors import GuardError, UsageError
from tests.backups.restore.shops import FILE, Shop

KEY = {"BOOTSTRAPPER_PLAN_KEY": "a long random text"}
OTHER = {"BOOTSTRAPPER_PLAN_KEY": "another one"}
A_MANIFEST = Manifest(
    file="one.dump",
    format="custom",
    sha256="",
    size=4,
    database_size=1,
    database="app",
    server="localhost:5432",
    system_identifier="7",
    server_version="18.6",
    client_version="18.6",
    revision=("001",),
    inputs="digest",
    step="backup",
    run_id=None,
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)
NAMES = "SELECT name FROM artist ORDER BY 1"


def back_up(shop: Shop, name: str = "one.dump", **variables: str) -> Path:
    done = shop.run("backup", name, **variables)
    assert done.returncode == 0, done.stderr
    return shop.project.folder / name


def tell(dump: Path, **said: object) -> None:
    beside = manifest_path(dump)
    beside.write_text(json.dumps(json.loads(beside.read_text()) | said))


def forge(dump: Path) -> None:
    """Another dump, which its manifest vouches for."""
    text = dump.read_bytes() + b"\n"
    dump.write_bytes(text)
    tell(dump, sha256=hashlib.sha256(text).hexdigest(), size=len(text))


def unsign(dump: Path) -> None:
    tell(dump, signature=None)


def test_a_signed_backup_is_restored_with_its_key_and_without_one(corner_shop: Shop) -> None:
    back_up(corner_shop, **KEY)
    for variables in (KEY, {}):
        corner_shop.execute("INSERT INTO artist VALUES ('later')")
        done = corner_shop.run("restore", "one.dump", "--yes", **variables)
        assert done.returncode == 0, done.stderr
        assert corner_shop.execute(NAMES) == [("AC/DC",)]


@pytest.mark.parametrize(
    ("change", "key", "told"),
    [
        (forge, KEY, "does not match the key"),
        (unsign, KEY, "is not signed"),
        (lambda _: None, OTHER, "does not match the key"),
    ],
)
def test_what_the_key_did_not_sign_is_neither_restored_nor_called_good(
    corner_shop: Shop, change: Callable[[Path], None], key: dict[str, str], told: str
) -> None:
    dump = back_up(corner_shop, **KEY)
    change(dump)
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    for command in (["restore", "one.dump", "--yes"], ["backups", "verify", "one.dump"]):
        refused = corner_shop.run(*command, **key)
        assert (refused.returncode, told in refused.stderr, "hint: " in refused.stderr) == (9, True, True)
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("later",)]


def test_the_latest_is_the_latest_that_is_signed_and_the_list_says_which_are(corner_shop: Shop) -> None:
    assert corner_shop.run("backup", **KEY).returncode == 0
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    corner_shop.back_up()
    listed = corner_shop.run("backups", "list", **KEY)
    assert [line.rpartition("  ")[2] for line in listed.stdout.splitlines()] == ["state", "not signed", "verified"]
    items = json.loads(corner_shop.run("backups", "list", "--format", "json", **KEY).stdout)
    assert [item["verified"] for item in items] == [False, True]
    done = corner_shop.run("restore", "--latest", "--yes", **KEY)
    assert done.returncode == 0, done.stderr
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_where_none_is_signed_the_latest_is_refused(corner_shop: Shop) -> None:
    corner_shop.back_up()
    refused = corner_shop.run("restore", "--latest", "--yes", **KEY)
    assert (refused.returncode, "is not signed" in refused.stderr) == (9, True)


def test_the_backup_that_a_restore_in_place_takes_first_is_signed_as_well(corner_shop: Shop) -> None:
    back_up(corner_shop, **KEY)
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    assert corner_shop.run("restore", "one.dump", "--in-place", "--yes", **KEY).returncode == 0
    (safety,) = (corner_shop.project.folder / "backups").glob("*.dump")
    assert corner_shop.run("backups", "verify", str(safety), **KEY).returncode == 0


def test_a_backup_is_verified_with_the_key_of_an_env_file(corner_shop: Shop) -> None:
    back_up(corner_shop)
    corner_shop.project.write(f"env_files: [keys.env]\n{FILE}")
    (corner_shop.project.folder / "keys.env").write_text("BOOTSTRAPPER_PLAN_KEY='a long random text'\n")
    refused = corner_shop.run("backups", "verify", "one.dump")
    assert (refused.returncode, "is not signed" in refused.stderr) == (9, True), refused.stderr
    back_up(corner_shop)
    done = corner_shop.run("backups", "verify", "one.dump")
    assert (done.returncode, "good: " in done.stderr) == (0, True), done.stderr


def test_every_field_of_a_manifest_is_signed(corner_shop: Shop) -> None:
    beside = manifest_path(back_up(corner_shop, **KEY))
    raw = json.loads(beside.read_text())
    assert is_trusted(Manifest.from_json(json.dumps(raw)), KEY)
    other = {
        "format": "plain",
        "revision": ["x"],
        "run_id": None,
        "created_at": "2026-01-01T00:00:00+00:00",
        "rows": {"a": 1},
        "left_out": ["x"],
        "client_version": "1.0",
        "server_version": "1.0",
    }
    for field in fields(Manifest):
        number = isinstance(raw[field.name], (int, float))
        changed = raw | {field.name: other.get(field.name, 7 if number else "x")}
        assert not is_trusted(Manifest.from_json(json.dumps(changed)), KEY), field.name


def test_a_signature_tells_no_revision_from_an_unknown_one() -> None:
    none, unknown = (replace(A_MANIFEST, revision=revision) for revision in ((), None))
    for manifest, other in ((none, unknown), (unknown, none)):
        forged = replace(other, signature=signed(manifest, KEY).signature)
        assert is_trusted(signed(manifest, KEY), KEY)
        assert not is_trusted(forged, KEY)


def test_two_signed_backups_cannot_be_exchanged(tmp_path: Path) -> None:
    dump = tmp_path / "two.dump"
    dump.write_bytes(b"dump")
    manifest_path(dump).write_text(signed(A_MANIFEST, KEY).to_json())
    with pytest.raises(GuardError, match=r"two\.dump belongs to one\.dump"):
        of_file(str(dump), KEY, needs_manifest=True)
    assert of_file(str(dump), {}, needs_manifest=True).path == dump


def test_a_loop_of_links_is_not_a_backup(tmp_path: Path) -> None:
    loop = tmp_path / "loop.dump"
    loop.symlink_to(loop)
    with pytest.raises(UsageError, match="does not exist"):
        of_file(str(loop), {}, needs_manifest=True)
