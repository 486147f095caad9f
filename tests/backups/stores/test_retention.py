import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

import pytest

from bootstrapper.backups.stores.atomic_files import draft
from bootstrapper.backups.stores.folder import Folder, backups
from bootstrapper.backups.stores.manifest import Manifest, manifest_path
from bootstrapper.backups.stores.retention import Keeping, dated_name, retire
from bootstrapper.backups.stores.signature import signed
from bootstrapper.backups.stores.store import Backup
from bootstrapper.postgres.ledger.run_ids import uuid7

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_backup(folder: Path, hours: int, *, database: str = "app", run_id: UUID | None = None) -> Backup:
    """A dump with its manifest, as if taken so many hours after START."""
    run_id, now = run_id or uuid7(), START + timedelta(hours=hours)
    path = folder / dated_name(Folder(folder), database, run_id, ".dump", now)
    path.write_bytes(b"dump")
    manifest = Manifest(
        file=path.name,
        format="custom",
        sha256="",
        size=4,
        database_size=1,
        database=database,
        server="localhost:5432",
        system_identifier="7",
        server_version="18.6",
        client_version="18.6",
        revision=("001",),
        inputs="digest",
        step="backup",
        run_id=run_id,
        created_at=now,
    )
    manifest_path(path).write_text(manifest.to_json())
    return Backup(path, manifest, verified=True)


def retire_all(
    folder: Path,
    keep: int,
    unfinished: frozenset[UUID] | None = frozenset(),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> list[Path]:
    retired = retire(
        Folder(folder),
        Keeping(keep),
        database="app",
        system_identifier="7",
        unfinished=unfinished,
        variables=variables,
    )
    return [backup.path for backup in retired]


def test_backups_are_listed_newest_first_as_they_were_written(tmp_path: Path) -> None:
    made = [make_backup(tmp_path, hours) for hours in (2, 1, 3)]
    assert backups(tmp_path) == [made[2], made[0], made[1]]


def test_a_dump_without_manifest_is_not_a_backup(tmp_path: Path) -> None:
    manifest_path(make_backup(tmp_path, 1).path).unlink()
    assert backups(tmp_path) == []


def test_a_dump_that_lost_bytes_is_not_verified(tmp_path: Path) -> None:
    make_backup(tmp_path, 1).path.write_bytes(b"dum")
    assert [backup.verified for backup in backups(tmp_path)] == [False]


def test_other_json_files_are_not_taken_for_manifests(tmp_path: Path) -> None:
    for name, text in {"a.json": "[]", "b.json": "{", "c.json": '{"format_version": 1}', "d.json": "\udcff"}.items():
        (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    assert backups(tmp_path) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"database_size": "x"},
        {"database_size": 10**30},
        {"revision": [1]},
        {"rows": {"a": "many"}},
        {"seconds": "x"},
        {"client_version": "new"},
        {"client_version": 18},
        {"created_at": "0001-01-01T00:00:00+00:00"},
        {"created_at": "2026-01-01T00:00:00"},
        {"created_at": 5},
        {"run_id": 5},
        {"database": ["a"]},
        {"format": "tar"},
        {"left_out": [{}]},
    ],
    ids=str,
)
def test_a_manifest_with_a_value_of_a_wrong_type_is_ignored_and_the_others_are_listed(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    good, stray = make_backup(tmp_path, 1), make_backup(tmp_path, 2)
    beside = manifest_path(stray.path)
    beside.write_text(json.dumps(json.loads(beside.read_text()) | wrong))
    assert backups(tmp_path) == [good]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, f'{{"format_version": {"1" * 5000}}}'])
def test_a_manifest_that_is_nested_too_deeply_or_too_long_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.dump.json").write_text(text)
    assert backups(tmp_path) == []


def test_the_newest_are_kept_and_the_others_removed_with_their_manifests(tmp_path: Path) -> None:
    made = [make_backup(tmp_path, hours) for hours in (1, 2, 3)]
    assert retire_all(tmp_path, 2) == [made[0].path]
    assert backups(tmp_path) == [made[2], made[1]]
    assert len(list(tmp_path.iterdir())) == 4


def test_one_of_an_unfinished_run_is_kept(tmp_path: Path) -> None:
    made = [make_backup(tmp_path, hours) for hours in (1, 2, 3)]
    unfinished = made[0].manifest.run_id
    assert unfinished is not None
    assert retire_all(tmp_path, 1, frozenset({unfinished})) == [made[1].path]


def test_nothing_is_removed_if_the_ledger_is_not_readable(tmp_path: Path) -> None:
    made = [make_backup(tmp_path, hours) for hours in (1, 2)]
    assert retire_all(tmp_path, 1, None) == []
    assert backups(tmp_path) == [made[1], made[0]]


def test_a_damaged_backup_takes_no_place_of_a_good_one(tmp_path: Path) -> None:
    good, damaged = make_backup(tmp_path, 1), make_backup(tmp_path, 2)
    damaged.path.write_bytes(b"")
    assert retire_all(tmp_path, 1) == []
    assert good.path.exists()


def test_those_of_other_databases_and_servers_and_fixed_files_are_left_alone(tmp_path: Path) -> None:
    other = make_backup(tmp_path, 1, database="other")
    fixed = make_backup(tmp_path, 2).path
    fixed.rename(tmp_path / "before-release.dump")
    manifest_path(fixed).rename(tmp_path / "before-release.dump.json")
    make_backup(tmp_path, 3)
    assert retire_all(tmp_path, 1) == []
    assert (
        retire(Folder(tmp_path), Keeping(1), database="app", system_identifier="8", unfinished=(), variables={}) == []
    )
    assert other.path.exists()
    assert (tmp_path / "before-release.dump.json").exists()


def test_a_manifest_whose_dump_is_gone_is_removed(tmp_path: Path) -> None:
    make_backup(tmp_path, 1).path.unlink()
    retire_all(tmp_path, 5)
    assert list(tmp_path.iterdir()) == []


def test_names_sort_by_time_and_hold_nothing_that_a_path_could_not(tmp_path: Path) -> None:
    run_id = UUID("01900000-0000-7000-8000-0000deadbeef")
    name = dated_name(Folder(tmp_path), "../my db", run_id, ".dump", START)
    assert name == "_._my_db-20260102T030405Z-deadbeef.dump"


def test_two_in_one_second_of_one_run_get_two_names(tmp_path: Path) -> None:
    run_id = uuid7()
    first, second = (make_backup(tmp_path, 1, run_id=run_id) for _ in range(2))
    assert first.path != second.path
    assert retire_all(tmp_path, 1) != []


def ages(folder: Path, keeping: Keeping, now_hours: int = 100) -> list[int]:
    """Hours of those that stay, newest first."""
    now = START + timedelta(hours=now_hours)
    retire(Folder(folder), keeping, database="app", system_identifier="7", unfinished=(), variables={}, now=now)
    return [round((now - backup.manifest.created_at).total_seconds() / 3600) for backup in backups(folder)]


def test_those_of_the_last_days_are_kept_and_older_ones_removed(tmp_path: Path) -> None:
    for hours in (1, 50, 70, 99):
        make_backup(tmp_path, hours)
    assert ages(tmp_path, Keeping(seconds=48 * 3600)) == [1, 30]


def test_the_newest_is_kept_however_old_it_is(tmp_path: Path) -> None:
    for hours in (1, 2):
        make_backup(tmp_path, hours)
    assert ages(tmp_path, Keeping(seconds=3600)) == [98]


def test_one_stays_that_either_number_or_age_keeps(tmp_path: Path) -> None:
    for hours in (1, 50, 70, 99):
        make_backup(tmp_path, hours)
    assert ages(tmp_path, Keeping(3, 20 * 3600)) == [1, 30, 50]
    assert ages(tmp_path, Keeping(1, 40 * 3600)) == [1, 30]


def test_all_are_kept_where_nothing_is_said(tmp_path: Path) -> None:
    for hours in (1, 50):
        make_backup(tmp_path, hours)
    assert ages(tmp_path, Keeping()) == [50, 99]


def test_a_manifest_without_dump_stays_while_the_dump_is_being_written(tmp_path: Path) -> None:
    """Its turn to be named comes next."""
    backup = make_backup(tmp_path, 1)
    backup.path.unlink()
    with draft(backup.path):
        retire_all(tmp_path, 5)
        assert manifest_path(backup.path).exists()
    retire_all(tmp_path, 5)
    assert not manifest_path(backup.path).exists()


def test_directories_and_encrypted_dumps_are_removed_in_their_turn(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    old = make_backup(tmp_path, 1)
    for suffix in (".dir", ".sql.age"):
        path = tmp_path / dated_name(store, "app", uuid7(), suffix, START)
        if suffix == ".dir":
            path.mkdir()
            (path / "toc.dat").write_bytes(b"dump")
        else:
            path.write_bytes(b"dump")
        manifest_path(path).write_text(replace(old.manifest, file=path.name).to_json())
    new = make_backup(tmp_path, 2)
    assert len(retire_all(tmp_path, 1)) == 3
    assert {path.name for path in tmp_path.iterdir()} == {new.path.name, f"{new.path.name}.json"}


def test_one_that_the_key_did_not_sign_is_neither_counted_nor_removed(tmp_path: Path) -> None:
    key = {"BOOTSTRAPPER_PLAN_KEY": "a long random text"}
    made = [make_backup(tmp_path, hours) for hours in (1, 2, 3)]
    for backup in made[:2]:
        manifest_path(backup.path).write_text(signed(backup.manifest, key).to_json())
    assert retire_all(tmp_path, 2, variables=key) == []
    (retired,) = retire_all(tmp_path, 1, variables=key)
    assert (retired, made[2].path.exists()) == (made[0].path, True)
