"""Tests of encrypted backups."""

import hashlib
import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from bootstrapper.backups.settings import BackupSettings, Encryption
from bootstrapper.backups.stores.folder import backups
from bootstrapper.backups.take.encryption import Encrypter, decrypt, identities
from bootstrapper.errors import BackupError
from tests.backups.contexts import Bench, make_bench, take, threads_left
from tests.servers import wheel_bin

RICH = (Path(__file__).parents[1] / "rich.sql").read_text()


class Key:
    def __init__(self, folder: Path) -> None:
        identity = pyrage.x25519.Identity.generate()
        self.public = str(identity.to_public())
        self.file = folder / "key.txt"
        self.file.write_text(f"# created by a test\n{identity}\n")


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return Key(tmp_path)


def settings(key: Key, **more: str) -> BackupSettings:
    return BackupSettings.model_validate({"encrypt": {"recipients": [key.public], **more}})


@pytest.mark.programs
def test_an_encrypted_backup_decrypts_and_restores(
    bench: Bench, tmp_path: Path, key: Key, new_database: Callable[[], str]
) -> None:
    bench.execute(RICH)
    taken = take(bench.context(), tmp_path / "one.dump.age", settings(key))
    assert taken.path.read_bytes().startswith(b"age-encryption.org/v1\n")
    plain = io.BytesIO()
    with taken.path.open("rb") as file:
        decrypt(file, lambda data: void(plain.write(data)), identities(key.file))
    (tmp_path / "plain.dump").write_bytes(plain.getvalue())
    other = make_bench(new_database(), tmp_path)
    command = [str(wheel_bin() / "pg_restore"), "--exit-on-error", f"--dbname={other.target.url()}"]
    subprocess.run([*command, str(tmp_path / "plain.dump")], check=True)
    assert other.execute("SELECT (SELECT count(*) FROM users), (SELECT sum(n) FROM totals)") == [(1000, 20000)]


def test_its_manifest_is_about_the_encrypted_file_and_names_no_table(bench: Bench, tmp_path: Path, key: Key) -> None:
    taken = take(bench.context(), tmp_path / "one.dump.age", settings(key))
    content = taken.path.read_bytes()
    assert taken.manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert (taken.manifest.size, taken.manifest.encryption) == (len(content), "age")
    assert "users" not in (tmp_path / "one.dump.age.json").read_text()
    assert backups(tmp_path) == [taken]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("one*")} == {0o600}


def test_with_the_private_key_what_was_written_is_decrypted_and_decoded(bench: Bench, tmp_path: Path, key: Key) -> None:
    assert take(bench.context(), tmp_path / "one.dump.age", settings(key, identity_file="key.txt")).verified
    stranger = tmp_path / "other"
    stranger.mkdir()
    Key(stranger)
    with pytest.raises(BackupError, match="cannot decrypt the dump"):
        take(bench.context(), tmp_path / "two.dump.age", settings(key, identity_file="other/key.txt"))
    assert not list(tmp_path.glob("*two*"))


def test_recipients_come_from_a_file_too(bench: Bench, tmp_path: Path, key: Key) -> None:
    (tmp_path / "readers.txt").write_text(f"# the team\n\n{key.public}\n")
    chosen = BackupSettings.model_validate({"encrypt": {"recipients_file": "readers.txt", "identity_file": "key.txt"}})
    assert take(bench.context(), tmp_path / "one.sql.age", chosen).manifest.format == "plain"


@pytest.mark.parametrize("content", ["", "# nobody\n", "age1nobody\n"])
def test_a_file_without_recipients_is_an_error(bench: Bench, tmp_path: Path, content: str) -> None:
    (tmp_path / "readers.txt").write_text(content)
    with pytest.raises(BackupError, match=r"contains no public key|recipient 1 .* is not a public key"):
        Encrypter(Encryption(recipients_file="readers.txt"), bench.project)


def test_an_unreadable_private_key_is_an_error_that_quotes_nothing(bench: Bench, tmp_path: Path, key: Key) -> None:
    (tmp_path / "bad.txt").write_text("AGE-SECRET-KEY-1OOPS\n")
    with pytest.raises(BackupError, match="cannot read the private key") as caught:
        Encrypter(Encryption(recipients=(key.public,), identity_file="bad.txt"), bench.project)
    assert "OOPS" not in str(caught.value)
    with pytest.raises(BackupError, match="No such file"):
        Encrypter(Encryption(recipients=(key.public,), identity_file="missing.txt"), bench.project)


@pytest.mark.programs
@pytest.mark.parametrize("name", ["one.dump.age", "one.sql.age"])
def test_a_dump_cut_off_before_it_is_encrypted_is_found(
    bench: Bench, tmp_path: Path, key: Key, fake_dump: Callable[[str], str], name: str
) -> None:
    path = fake_dump('"$REAL" "$@" | head -c 3000')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match=r"read the dump back|truncated"):
            take(broken.context(), tmp_path / name, settings(key))
    finally:
        broken.session.close()
    assert not list(tmp_path.glob("*one*"))


@pytest.mark.programs
def test_a_flipped_bit_is_found_on_its_way_into_the_encryption(
    bench: Bench, tmp_path: Path, key: Key, fake_dump: Callable[[str], str]
) -> None:
    flip = "import sys; d = bytearray(sys.stdin.buffer.read()); d[-3000] ^= 4; sys.stdout.buffer.write(d)"
    bench.execute("INSERT INTO users SELECT n, md5(n::text) FROM generate_series(1001, 3000) AS n")
    path = fake_dump(f'"$REAL" "$@" | "{sys.executable}" -c "{flip}"')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match="cannot read the dump back"):
            take(broken.context(), tmp_path / "one.dump.age", settings(key))
    finally:
        broken.session.close()
    assert not list(tmp_path.glob("*one*"))


@pytest.mark.parametrize("spoil", ["truncate -s -1", "truncate -s 300"])
def test_an_encrypted_file_that_is_cut_off_is_not_decrypted(bench: Bench, tmp_path: Path, key: Key, spoil: str) -> None:
    taken = take(bench.context(), tmp_path / "one.dump.age", settings(key))
    subprocess.run([*spoil.split(), str(taken.path)], check=True)
    with taken.path.open("rb") as file, pytest.raises(BackupError, match="cannot decrypt the dump"):
        decrypt(file, lambda data: None, identities(key.file))


@pytest.mark.programs
def test_a_failing_pg_dump_is_told_with_its_own_words(
    bench: Bench, tmp_path: Path, key: Key, fake_dump: Callable[[str], str]
) -> None:
    path = fake_dump('"$REAL" "$@" | head -c 2000; echo "out of luck" >&2; exit 3')
    broken = make_bench(bench.target.url(), tmp_path, variables={"PATH": path})
    try:
        with pytest.raises(BackupError, match="pg_dump ended with exit code 3\n  out of luck"):
            take(broken.context(), tmp_path / "one.dump.age", settings(key))
    finally:
        broken.session.close()
    assert threads_left() == []


def test_an_error_of_the_writer_is_not_lost_inside_the_encryption(bench: Bench, tmp_path: Path, key: Key) -> None:
    def full(data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    for size in (10, 200_000):
        with pytest.raises(OSError, match="No space left"):
            Encrypter(Encryption(recipients=(key.public,)), bench.project).encrypt(io.BytesIO(bytes(size)), full)


def void(result: object) -> None:
    """pyrage's writer takes no answer."""
