"""Tests of the contents and formats of dumps."""

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.folder import Folder, backups
from bootstrapper.backups.stores.store import Backup
from bootstrapper.backups.take.verify import checksum
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError
from tests.backups.contexts import Bench, make_bench, take, take_into
from tests.servers import wheel_bin


def settings(**options: object) -> BackupSettings:
    return BackupSettings.model_validate(options)


def take_folder(bench: Bench, folder: Path, **options: object) -> Backup:
    chosen = settings(format="directory", **options)
    return take_into(bench.context(), Folder(folder), "one.dir", chosen, "directory")


def listing(dump: Path) -> str:
    command = [str(wheel_bin() / "pg_restore"), "--list", str(dump)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.programs
def test_a_directory_is_written_by_several_jobs_and_restores(
    bench: Bench, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    bench.execute("CREATE TABLE more AS SELECT n FROM generate_series(1, 500) AS n")
    taken = take_folder(bench, tmp_path, jobs=2)
    other = make_bench(new_database(), tmp_path)
    restore = [str(wheel_bin() / "pg_restore"), "--exit-on-error", "--jobs=2", f"--dbname={other.target.url()}"]
    subprocess.run([*restore, str(taken.path)], check=True)
    assert other.execute("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM more)") == [(1000, 500)]


def test_a_directory_and_its_files_are_for_their_owner_whatever_the_umask(bench: Bench, tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        taken = take_folder(bench, tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(taken.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in taken.path.iterdir()} == {0o600}


def test_a_directory_is_known_again_by_its_sizes_and_checksum(bench: Bench, tmp_path: Path) -> None:
    taken = take_folder(bench, tmp_path)
    assert backups(tmp_path) == [taken]
    assert (taken.verified, taken.manifest.format) == (True, "directory")
    assert taken.manifest.sha256 == checksum(taken.path, Deadline.never())
    sums = subprocess.run("sha256sum * | sha256sum", shell=True, cwd=taken.path, capture_output=True, text=True)
    assert sums.stdout.split()[0] == taken.manifest.sha256
    (taken.path / "toc.dat").write_bytes(b"")
    assert not backups(tmp_path)[0].verified


@pytest.mark.programs
def test_a_directory_with_a_damaged_file_is_found(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    spoil = 'for last; do :; done; "$REAL" "$@" && truncate -s -20 "${last#--file=}"/*.dat.gz'
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": fake_dump(spoil)})
    try:
        with pytest.raises(BackupError, match="cannot read the dump back"):
            take_folder(broken, tmp_path)
    finally:
        broken.session.close()
    assert not list(tmp_path.glob("*one*"))


@pytest.mark.programs
def test_a_directory_of_a_failing_pg_dump_leaves_nothing(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    path = fake_dump('"$REAL" "$@"; exit 3')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match="exit code 3"):
            take_folder(broken, tmp_path)
    finally:
        broken.session.close()
    assert not list(tmp_path.glob("*one*"))


def test_only_the_named_schemas_and_tables_are_dumped_and_the_manifest_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.execute("CREATE SCHEMA app; CREATE TABLE app.notes (id int); CREATE TABLE app.logs (id int)")
    take(bench.context(), tmp_path / "schema.dump", settings(schemas=["app"], exclude=["app.lo*"]))
    take(bench.context(), tmp_path / "table.dump", settings(tables=["users"]))
    assert "TABLE app notes" in listing(tmp_path / "schema.dump")
    assert "logs" not in listing(tmp_path / "schema.dump")
    assert "users" not in listing(tmp_path / "schema.dump")
    assert "notes" not in listing(tmp_path / "table.dump")
    assert "TABLE DATA public users" in listing(tmp_path / "table.dump")
    manifests = [json.loads((tmp_path / f"{name}.dump.json").read_text()) for name in ("schema", "table")]
    assert [manifest["left_out"] for manifest in manifests] == [["schemas: app", "exclude: app.lo*"], ["tables: users"]]


def test_a_pattern_that_matches_nothing_is_an_error(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no matching tables were found"):
        take(bench.context(), tmp_path / "one.dump", settings(tables=["user"]))


def test_no_compression_gives_a_larger_dump_than_the_default(bench: Bench, tmp_path: Path) -> None:
    sizes = [
        take(bench.context(), tmp_path / f"{name}.dump", settings(compress=level)).manifest.size
        for name, level in (("none", "none"), ("default", None), ("one", 1), ("gzip", "gzip:1"))
    ]
    assert sizes[0] > 1.2 * sizes[1]
    assert sizes[1] == sizes[2] == sizes[3]


def test_an_extra_argument_reaches_pg_dump(bench: Bench, tmp_path: Path) -> None:
    chosen = settings(extra_args=["--no-privileges", "--encoding=LATIN1"])
    take(bench.context(), tmp_path / "one.sql", chosen)
    assert "SET client_encoding = 'LATIN1';" in (tmp_path / "one.sql").read_text()


@pytest.mark.programs
@pytest.mark.parametrize("options", [{"compress": "gzip:77"}, {"extra_args": ["--bogus"]}])
def test_what_pg_dump_does_not_know_is_found_before_it_connects(
    bench: Bench, tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(BackupError, match=r"pg_dump 18\.\d+ in .+ rejects the options: .*(gzip|bogus)"):
        take(bench.context(), tmp_path / "one.dump", settings(**options))
    assert bench.lines == []


@pytest.mark.programs
def test_a_method_that_the_build_lacks_is_told_in_its_own_words(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    says = "pg_dump: error: invalid compression specification: this build does not support compression with LZ4"
    path = fake_dump(f'case "$*" in *lz4*) echo "{says}" >&2; exit 1;; esac; exec "$REAL" "$@"')
    poor = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match="this build does not support compression with LZ4"):
            take(poor.context(), tmp_path / "one.dump", settings(compress="lz4"))
    finally:
        poor.session.close()


def test_the_manifest_estimates_rows_and_tells_how_long_it_took(bench: Bench, tmp_path: Path) -> None:
    bench.execute('CREATE TABLE "Odd Name" (id int); ANALYZE users')
    with bench.run() as hold:
        taken = take(bench.context("backup", hold), tmp_path / "one.dump")
    manifest = json.loads((tmp_path / "one.dump.json").read_text())
    assert manifest["rows"]["public.users"] == 1000
    assert [name for name in manifest["rows"] if name.endswith(("lock", "runs"))] == ["bootstrapper.runs"]
    assert manifest["rows"]['public."Odd Name"'] is None
    assert 0 < manifest["seconds"] < 60
    assert backups(tmp_path) == [taken]


def test_a_manifest_of_an_older_version_is_still_understood(bench: Bench, tmp_path: Path) -> None:
    take(bench.context(), tmp_path / "one.dump")
    file = tmp_path / "one.dump.json"
    raw = json.loads(file.read_text())
    file.write_text(
        json.dumps({key: raw[key] for key in raw if key not in ("seconds", "rows", "encryption", "left_out")})
    )
    [found] = backups(tmp_path)
    assert (found.verified, found.manifest.seconds, found.manifest.left_out) == (True, None, ())
