"""Tests of remote stores: an S3 server, an SFTP server, and fsspec's memory."""

import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.location import store_of
from bootstrapper.backups.stores.remote import without_secrets
from bootstrapper.backups.stores.store import Backup
from bootstrapper.errors import BackupError, StepFailedError
from bootstrapper.events import StepProgressed
from tests.backups.contexts import Bench, make_bench, take_into, threads_left
from tests.backups.remotes import SFTP_PASSWORD, s3_server, sftp_server
from tests.projects import TrialProject

pytestmark = pytest.mark.long

RICH = (Path(__file__).parents[1] / "rich.sql").read_text()
AWS = {"key": "testing", "secret": "testing"}


class Place:
    """One remote folder, seen with and without the tool."""

    def __init__(self, url: str, storage: Mapping[str, Any]) -> None:
        self.url = url
        self.storage = dict(storage)
        self.files, self.path = fsspec.core.url_to_fs(url, skip_instance_cache=True, **storage)

    def settings(self, **options: object) -> BackupSettings:
        return BackupSettings.model_validate({"directory": self.url, "storage": self.storage, **options})

    def names(self) -> list[str]:
        self.files.invalidate_cache()
        try:
            return sorted(name.rpartition("/")[2] for name in self.files.ls(self.path, detail=False))
        except FileNotFoundError:
            return []

    def content(self, name: str) -> bytes:
        return bytes(self.files.cat_file(f"{self.path}/{name}"))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def s3_place(s3: str) -> Place:
    bucket = f"bucket-{uuid4().hex[:8]}"
    storage = {**AWS, "endpoint_url": s3}
    fsspec.filesystem("s3", skip_instance_cache=True, **storage).mkdir(bucket)
    return Place(f"s3://{bucket}/some/prefix", storage)


@pytest.fixture
def sftp_root(tmp_path: Path) -> Path:
    (tmp_path / "other machine").mkdir()
    return tmp_path / "other machine"


@pytest.fixture
def sftp_place(sftp_root: Path) -> Iterator[Place]:
    with sftp_server(sftp_root) as port:
        storage = {"port": port, "username": "backup", "password": SFTP_PASSWORD, "look_for_keys": False}
        yield Place("sftp://127.0.0.1/srv/backups", storage)


@pytest.fixture(params=["memory", "s3", "sftp"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        return Place(f"memory://{uuid4().hex}/backups", {})
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


def take(bench: Bench, place: Place, name: str = "one.dump", **options: object) -> Backup:
    settings = place.settings(**options)
    context = bench.context()
    store = store_of(settings, context)
    store.prepare()
    return take_into(context, store, name, settings, settings.format_of(name))


def test_a_remote_backup_is_streamed_there_and_named_when_it_is_verified(bench: Bench, place: Place) -> None:
    bench.execute(RICH)
    taken = take(bench, place)
    content = place.content("one.dump")
    assert place.names() == ["one.dump", "one.dump.json"]
    assert taken.manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert json.loads(place.content("one.dump.json"))["size"] == len(content) > 100_000
    assert taken.where == f"{place.url}/one.dump"


def test_what_is_there_is_listed_and_read_in_pieces(bench: Bench, place: Place) -> None:
    taken = take(bench, place)
    store = store_of(place.settings(), bench.context())
    assert store.backups() == [taken]
    assert hashlib.sha256(b"".join(store.read(taken))).hexdigest() == taken.manifest.sha256
    store.remove(taken)
    assert place.names() == []


@pytest.mark.programs
def test_nothing_is_left_of_a_dump_that_failed(bench: Bench, place: Place, fake_dump: Callable[[str], str]) -> None:
    path = fake_dump('"$REAL" "$@" | head -c 3000')
    broken = make_bench(bench.target.url(), bench.project.directory, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match="cannot read the dump back"):
            take(broken, place)
    finally:
        broken.session.close()
    assert place.names() == []


def test_a_bucket_that_is_misspelt_is_found_before_the_dump_begins(bench: Bench, s3: str) -> None:
    misspelt = Place("s3://no-such-bucket/prefix", {**AWS, "endpoint_url": s3})
    with pytest.raises(BackupError, match="bucket does not exist"):
        store_of(misspelt.settings(), bench.context()).prepare()


class Shelf(MemoryFileSystem):
    """A store that is readable only."""

    protocol = "shelf"

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        raise PermissionError(13, "Access Denied")


def test_a_place_that_is_not_writable_is_found_before_the_dump_begins(bench: Bench) -> None:
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    place = Place(f"shelf://{uuid4().hex}/backups", {})
    with pytest.raises(BackupError, match="Access Denied"):
        store_of(place.settings(), bench.context()).prepare()


def test_the_next_run_removes_what_a_killed_one_of_the_same_database_left(bench: Bench, place: Place) -> None:
    take(bench, place)
    store = store_of(place.settings(), bench.context())
    ours = store._hidden("half.dump")  # type: ignore[attr-defined]
    for name in (ours, ".theirs.dump.0123456789ab.bootstrapper-partial", "notes.txt"):
        place.files.pipe_file(f"{place.path}/{name}", b"half")
    store.prepare()
    assert place.names() == [
        ".theirs.dump.0123456789ab.bootstrapper-partial",
        "notes.txt",
        "one.dump",
        "one.dump.json",
    ]


def test_one_that_lost_bytes_there_is_not_verified(bench: Bench, place: Place) -> None:
    take(bench, place)
    place.files.pipe_file(f"{place.path}/one.dump", b"half")
    assert [backup.verified for backup in store_of(place.settings(), bench.context()).backups()] == [False]


class Forgetful(MemoryFileSystem):
    """Gives back one bit that differs from what it was given."""

    protocol = "forgetful"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **options)
        content = bytearray(self.store[path].getvalue())
        content[len(content) // 2] ^= 4
        return io.BytesIO(content)


def test_a_bit_that_the_place_changed_is_found(bench: Bench) -> None:
    fsspec.register_implementation("forgetful", Forgetful, clobber=True)
    place = Place(f"forgetful://{uuid4().hex}/backups", {})
    with pytest.raises(BackupError, match="checksum mismatch after writing"):
        take(bench, place)
    assert place.names() == []


def test_only_the_owner_can_read_what_goes_over_sftp(bench: Bench, sftp_place: Place, sftp_root: Path) -> None:
    take(bench, sftp_place)
    folder = sftp_root / "srv" / "backups"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_remote_backup_can_be_encrypted(bench: Bench, place: Place, tmp_path: Path) -> None:
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(str(identity))
    encrypt = {"recipients": [str(identity.to_public())], "identity_file": "key.txt"}
    taken = take(bench, place, "one.sql.age", encrypt=encrypt)
    text = pyrage.decrypt(place.content("one.sql.age"), [identity])
    assert b"CREATE TABLE public.users" in text
    assert taken.manifest.size == len(place.content("one.sql.age"))


def test_progress_is_told_in_bytes_that_were_sent(bench: Bench, s3_place: Place) -> None:
    taken = take(bench, s3_place)
    told = [event for event in bench.events if isinstance(event, StepProgressed)]
    assert told[0].total == taken.manifest.database_size
    assert told[-1].done == taken.manifest.size


def test_no_file_is_written_on_this_machine(
    bench: Bench, s3_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    take(bench, s3_place)
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_does_not_exist_is_an_error_and_is_not_made(bench: Bench, s3: str) -> None:
    settings = BackupSettings.model_validate(
        {"directory": "s3://misspelt/prefix", "storage": {**AWS, "endpoint_url": s3}}
    )
    with pytest.raises(BackupError, match=r"s3://misspelt/prefix: .*bucket does not exist"):
        store = store_of(settings, bench.context())
        store.prepare()
        take_into(bench.context(), store, "one.dump", settings, "custom")
    assert "misspelt" not in fsspec.filesystem("s3", skip_instance_cache=True, **settings.storage).ls("")


def test_a_place_that_does_not_answer_is_an_error_without_secrets(bench: Bench, tmp_path: Path) -> None:
    settings = BackupSettings(directory="sftp://backup:tiger@127.0.0.1:1/srv")
    with pytest.raises(BackupError, match=r"sftp://backup@127\.0\.0\.1:1/srv: .+") as caught:
        store_of(settings, bench.context()).backups()
    assert "tiger" not in str(caught.value)


def test_an_unknown_kind_of_url_is_an_error(bench: Bench) -> None:
    with pytest.raises(BackupError, match=r"nonsense://x: .*nonsense"):
        store_of(BackupSettings(directory="nonsense://x"), bench.context())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:secret@bucket/prefix", "s3://key@bucket/prefix"),
        ("sftp://host:22/srv?password=x#y", "sftp://host:22/srv"),
        ("gs://bucket", "gs://bucket"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


REMOTE_STEPS = """
steps:
  - uses: lock
  - uses: backup
    with: {directory: "%s", storage: %s, keep: 1}
  - uses: sql
    with: {statement: %s}
    check: {table: users}
"""


def test_whole_runs_keep_the_newest_and_that_of_an_unfinished_run(project: TrialProject, s3_place: Place) -> None:
    storage = json.dumps(s3_place.storage)
    project.write(REMOTE_STEPS % (s3_place.url, storage, "CREATE TABLE users (id int)"))
    for _ in range(2):
        assert project.apply().applied[0].name == "backup"
    [dump, manifest] = s3_place.names()
    assert manifest == f"{dump}.json"
    project.rows("DROP TABLE users")
    project.write(REMOTE_STEPS % (s3_place.url, storage, "SELECT 1 / 0"))
    for _ in range(2):
        with pytest.raises(StepFailedError):
            project.apply()
    assert len(s3_place.names()) == 2
    assert s3_place.names()[0] > dump


def test_a_remote_backup_that_is_young_enough_is_not_repeated(project: TrialProject, s3_place: Place) -> None:
    project.write(f"""
steps:
  - uses: lock
  - uses: backup
    with: {{directory: "{s3_place.url}", storage: {json.dumps(s3_place.storage)}}}
    check: {{backup: {{newer_than: 24h}}}}
""")
    assert [step.name for step in project.apply().applied] == ["backup"]
    assert not project.apply().applied


def test_a_place_that_is_gone_when_the_dump_begins_is_an_error(bench: Bench, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with sftp_server(root) as port:
        storage = {"port": port, "username": "backup", "password": SFTP_PASSWORD, "look_for_keys": False}
        place = Place("sftp://127.0.0.1/srv", storage)
        settings = place.settings()
        context = bench.context()
        store = store_of(settings, context)
        store.prepare()
    with pytest.raises(BackupError, match=r"sftp://127\.0\.0\.1/srv: "):
        take_into(context, store, "one.dump", settings, "custom")
    assert not list(root.rglob("*one*"))
    assert threads_left() == []


def test_a_place_that_takes_no_more_in_the_middle_is_an_error_and_ends_all_programs(bench: Bench) -> None:
    fsspec.register_implementation("narrow", Narrow, clobber=True)
    place = Place(f"narrow://{uuid4().hex}/backups", {})
    bench.execute(RICH)
    with pytest.raises(BackupError, match=r"narrow://.*: No space left on device"):
        take(bench, place)
    assert place.names() == []
    assert threads_left() == []


class Narrow(MemoryFileSystem):
    """Has room for half of a dump."""

    protocol = "narrow"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if mode == "wb":
            write = file.write

            def fill(data: bytes) -> int:
                if file.tell() + len(data) > 100_000:
                    raise OSError(28, os.strerror(28))
                return int(write(data))

            file.write = fill
        return file
