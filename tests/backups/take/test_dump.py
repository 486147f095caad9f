import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.backups.stores.atomic_files import sweep
from bootstrapper.backups.stores.folder import backups
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, ClientToolsError
from bootstrapper.events import StepProgressed
from tests.backups.contexts import Bench, make_bench, take
from tests.servers import Server, wheel_bin
from tests.waiting import eventually

pytestmark = pytest.mark.smoke


def restore_listing(dump: Path) -> str:
    command = [str(wheel_bin() / "pg_restore"), "--list", str(dump)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.programs
def test_a_backup_restores_into_another_database(bench: Bench, tmp_path: Path, new_database: Callable[[], str]) -> None:
    taken = take(bench.context(), tmp_path / "one.dump")
    other = make_bench(new_database(), tmp_path)
    command = [str(wheel_bin() / "pg_restore"), "--exit-on-error", f"--dbname={other.target.url()}", str(taken.path)]
    subprocess.run(command, check=True)
    assert other.execute("SELECT count(*), max(email) FROM users") == [(1000, "9@example.com")]


@pytest.mark.programs
def test_a_custom_dump_notes_where_each_table_begins_as_one_that_pg_dump_opens_itself(
    bench: Bench, tmp_path: Path
) -> None:
    taken = take(bench.context(), tmp_path / "one.dump")
    command = [str(wheel_bin() / "pg_dump"), "--format=custom", "--compress=1", f"--dbname={bench.target.url()}"]
    subprocess.run([*command, f"--file={tmp_path / 'plain.dump'}"], check=True)
    # If it cannot go back and write that, it appends a second table of contents.
    assert taken.path.stat().st_size == (tmp_path / "plain.dump").stat().st_size


@pytest.mark.programs
def test_the_manifest_says_what_the_dump_is(bench: Bench, tmp_path: Path) -> None:
    bench.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    bench.execute("INSERT INTO alembic_version VALUES ('001_initial')")
    with bench.run() as hold:
        take(bench.context("backup", hold), tmp_path / "one.dump")
    manifest = json.loads((tmp_path / "one.dump.json").read_text())
    content = (tmp_path / "one.dump").read_bytes()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["size"] == len(content)
    assert manifest["run_id"] == str(hold.fence.run_id)
    assert (manifest["revision"], manifest["database"]) == (["001_initial"], bench.target.dbname)
    assert manifest["server_version"].startswith("18")


def test_what_is_taken_is_listed_as_verified(bench: Bench, tmp_path: Path) -> None:
    taken = take(bench.context(), tmp_path / "one.dump")
    assert backups(tmp_path) == [taken]
    assert taken.verified


def test_a_server_of_an_older_major_is_dumped_by_its_own_client(path_server: Server, tmp_path: Path) -> None:
    bench = make_bench(path_server.url(), tmp_path)
    try:
        taken = take(bench.context(), tmp_path / "old.dump")
        assert taken.manifest.client_version.split(".")[0] == str(bench.session.server.major)
    finally:
        bench.session.close()


def test_the_lock_table_is_in_no_dump_and_the_history_is(bench: Bench, tmp_path: Path) -> None:
    with bench.run() as hold:
        take(bench.context("backup", hold), tmp_path / "one.dump")
    listing = restore_listing(tmp_path / "one.dump")
    assert "TABLE DATA bootstrapper runs" in listing
    assert "bootstrapper lock" not in listing


def test_a_prefixed_lock_table_is_left_out_too(bench: Bench, tmp_path: Path) -> None:
    prefixed = make_bench(bench.target.url(), tmp_path, schema="public")
    try:
        with prefixed.run() as hold:
            take(prefixed.context("backup", hold), tmp_path / "one.dump")
    finally:
        prefixed.session.close()
    listing = restore_listing(tmp_path / "one.dump")
    assert "public bootstrapper_runs" in listing
    assert "public bootstrapper_lock" not in listing


def test_only_the_owner_can_read_it_whatever_the_umask(bench: Bench, tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        take(bench.context(), tmp_path / "one.dump")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("one.dump", "one.dump.json")}
    assert modes == {0o600}


def test_a_name_that_ends_in_sql_gives_a_plain_dump(bench: Bench, tmp_path: Path) -> None:
    taken = take(bench.context(), tmp_path / "one.sql")
    assert taken.manifest.format == "plain"
    assert "CREATE TABLE public.users" in taken.path.read_text()


def test_progress_is_told_in_bytes_of_the_database(bench: Bench, tmp_path: Path) -> None:
    taken = take(bench.context(), tmp_path / "one.dump")
    told = [event for event in bench.events if isinstance(event, StepProgressed)]
    assert (told[0].total, told[0].unit) == (taken.manifest.database_size, "bytes")
    assert told[-1].done == taken.manifest.size


@pytest.mark.programs
@pytest.mark.parametrize("name", ["one.dump", "one.sql"])
def test_a_dump_cut_off_by_a_full_disk_is_found_though_pg_dump_said_yes(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str], name: str
) -> None:
    path = fake_dump('"$REAL" "$@" | head -c 3000')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match=r"read the dump back|truncated"):
            take(broken.context(), tmp_path / name)
    finally:
        broken.session.close()
    assert not list(tmp_path.glob("*one*"))


@pytest.mark.programs
def test_a_disk_that_takes_no_more_leaves_nothing(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    path = fake_dump('ulimit -f 4; exec "$REAL" "$@"')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match=r"pg_dump was killed by signal 25|pg_dump ended with exit code"):
            take(broken.context(), tmp_path / "one.dump")
    finally:
        broken.session.close()
    assert not list(tmp_path.glob("*one*"))


@pytest.mark.programs
def test_a_flipped_bit_in_the_data_is_found(bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]) -> None:
    flip = "import sys; d = bytearray(sys.stdin.buffer.read()); d[-3000] ^= 4; sys.stdout.buffer.write(d)"
    bench.execute("INSERT INTO users SELECT n, md5(n::text) FROM generate_series(1001, 3000) AS n")
    path = fake_dump(f'"$REAL" "$@" | "{sys.executable}" -c "{flip}"')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match="cannot read the dump back"):
            take(broken.context(), tmp_path / "one.dump")
    finally:
        broken.session.close()


def test_an_archive_that_is_not_readable_as_a_stream_is_verified_as_a_file(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    path = fake_dump('exec "$REAL" "$@"')
    restore = tmp_path / "fake bin" / "pg_restore"
    restore.unlink()
    real = wheel_bin() / "pg_restore"
    out_of_order = '[ "$#" = 1 ] && echo "could not find block ID 3 in archive" >&2 && exit 1'
    version = '[ "$1" = --version ]'
    restore.write_text(f'#!/bin/sh\n{version} && exec "{real}" "$@"\n{out_of_order}\nexec "{real}" "$@"\n')
    restore.chmod(0o755)
    odd = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        assert take(odd.context(), tmp_path / "one.dump").verified
    finally:
        odd.session.close()


@pytest.mark.programs
def test_a_failing_pg_dump_is_told_with_its_last_lines_and_without_secrets(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    path = fake_dump('echo "no luck with $PGPASSWORD" >&2; echo half; exit 3')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    (tmp_path / "one.dump").write_text("the one before")
    try:
        with pytest.raises(BackupError) as caught:
            take(broken.context(), tmp_path / "one.dump")
    finally:
        broken.session.close()
    assert (caught.value.reason, caught.value.details) == ("pg_dump ended with exit code 3", ("no luck with ***",))
    assert broken.lines == ["no luck with ***"]
    assert (tmp_path / "one.dump").read_text() == "the one before"
    assert [path.name for path in tmp_path.glob("*one*")] == ["one.dump"]


@pytest.mark.programs
def test_the_password_is_in_no_argument(bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]) -> None:
    path = fake_dump(f'tr "\\0" "\\n" < /proc/$$/cmdline > "{tmp_path}/arguments"; exec "$REAL" "$@"')
    watched = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        take(watched.context(), tmp_path / "one.dump")
    finally:
        watched.session.close()
    arguments = (tmp_path / "arguments").read_text()
    assert "--no-password" in arguments
    assert "correct" not in arguments


def test_the_deadline_ends_a_dump_that_waits_for_a_table(bench: Bench, tmp_path: Path) -> None:
    blocker = make_bench(bench.target.url(), tmp_path)
    try:
        blocker.session.connection.execute("BEGIN")
        blocker.session.connection.execute("LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BackupError, match="did not finish in time"):
            take(bench.context(deadline=Deadline.after(0.7)), tmp_path / "one.dump")
    finally:
        blocker.session.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_writable_is_an_error_without_traceback(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="No such file or directory"):
        take(bench.context(), tmp_path / "missing" / "one.dump")


def test_without_a_client_new_enough_the_error_names_the_server(bench: Bench, tmp_path: Path) -> None:
    from bootstrapper.postgres.server.clienttools import find_tools

    with pytest.raises(ClientToolsError, match="PostgreSQL 99"):
        find_tools(("pg_dump", "pg_restore"), 99, os.environ["PATH"])


def test_a_run_killed_in_the_middle_leaves_nothing_after_the_next_one(
    bench: Bench, tmp_path: Path, fake_dump: Callable[[str], str]
) -> None:
    path = fake_dump("echo half; exec sleep 600")
    script = f"""
from pathlib import Path
from tests.backups.contexts import take
from tests.backups.contexts import make_bench
bench = make_bench({bench.target.url()!r}, Path({str(tmp_path)!r}), variables={{"PATH": {path!r}}})
take(bench.context(), Path({str(tmp_path / "one.dump")!r}))
"""
    killed = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])
    assert eventually(lambda: any(path.stat().st_size for path in tmp_path.glob(".one*")))
    assert sweep(tmp_path) == []  # it is still being written
    killed.kill()
    killed.wait()
    assert eventually(lambda: bool(sweep(tmp_path)))
    assert not list(tmp_path.glob("*one*"))
