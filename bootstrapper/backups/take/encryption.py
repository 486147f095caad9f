"""Encrypts backups with age, by pyrage; no key is ever in an argument of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol

from bootstrapper.backups.settings import Encryption
from bootstrapper.errors import BackupError
from bootstrapper.plugin.project import Project


class Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...


class Encrypter:
    """Encrypts one backup.

    Attributes:
        can_decrypt: Whether there is a private key to read the backup back with.
    """

    def __init__(self, settings: Encryption, project: Project) -> None:
        """Raises BackupError if a key is not readable or pyrage is not installed."""
        pyrage = _pyrage()
        self._pyrage = pyrage
        texts = list(settings.recipients)
        if settings.recipients_file is not None:
            texts += _lines(project.path(settings.recipients_file))
        self._recipients = [_recipient(pyrage, text, number) for number, text in enumerate(texts, 1)]
        if not self._recipients:
            raise BackupError(f"{settings.recipients_file} contains no public key")
        self._identities: list[object] = []
        if settings.identity_file is not None:
            self._identities = identities(project.path(settings.identity_file))

    @property
    def can_decrypt(self) -> bool:
        return bool(self._identities)

    def encrypt(self, reader: Reader, write: Callable[[bytes], None]) -> None:
        """Encrypts one stream into another, in pieces of 64 kB."""
        with _checked_writer(write) as writer:
            self._pyrage.encrypt_io(reader, writer, self._recipients)

    def decrypt(self, reader: Reader, write: Callable[[bytes], None]) -> None:
        decrypt(reader, write, self._identities)


def decrypt(reader: Reader, write: Callable[[bytes], None], keys: Sequence[object]) -> None:
    """Decrypts a stream; raises BackupError if it is damaged or no key fits."""
    pyrage = _pyrage()
    with _checked_writer(write) as writer:
        try:
            pyrage.decrypt_io(reader, writer, keys)
        except (pyrage.DecryptError, OSError) as error:
            if writer.error is None:
                raise BackupError(f"cannot decrypt the dump: {error}") from error


def identities(file: Path) -> list[object]:
    """Returns the private keys of a file of age or SSH; raises BackupError, which does not quote the file."""
    pyrage = _pyrage()
    try:
        content = file.read_bytes()
        if b"PRIVATE KEY-----" in content:
            return [pyrage.ssh.Identity.from_buffer(content)]
        found = [pyrage.x25519.Identity.from_str(text) for text in _lines(file)]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a private key of age"
        raise BackupError(f"cannot read the private key {file}: {reason}") from None
    if not found:
        raise BackupError(f"{file} contains no private key")
    return found


class _CheckedWriter:
    """Keeps errors of the writer, some of which pyrage loses."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                self._write(data)
            except BaseException as error:
                self.error = error
                raise
        return len(data)

    def flush(self) -> None:
        """Does nothing: every write is passed on at once."""


@contextmanager
def _checked_writer(write: Callable[[bytes], None]) -> Iterator[_CheckedWriter]:
    writer = _CheckedWriter(write)
    try:
        yield writer
    except BaseException:
        if writer.error is None:
            raise
    if writer.error is not None:
        raise writer.error


def _recipient(pyrage: ModuleType, text: str, number: int) -> object:
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise BackupError(f"recipient {number} of `encrypt` is not a public key of age") from None


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BackupError(f"cannot read {file}: {error.strerror or error}") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _pyrage() -> ModuleType:
    try:
        import pyrage  # noqa: PLC0415 - an extra that few need
    except ImportError as error:
        raise BackupError(
            "`encrypt` needs pyrage, which is not installed",
            hint="Run pip install 'pg-bootstrapper[encryption]'.",
        ) from error
    module: ModuleType = pyrage
    return module
