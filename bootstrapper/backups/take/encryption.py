"""Encrypts backups with age, through pyrage; no key ever stands in an argument of a program."""

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
    """The keys of one backup.

    Attributes:
        can_decrypt: Whether there is a private key, so that what was encrypted can be read back.
    """

    def __init__(self, settings: Encryption, project: Project) -> None:
        """Raises BackupError where a key can not be read or pyrage is missing."""
        pyrage = _pyrage()
        self._pyrage = pyrage
        texts = list(settings.recipients)
        if settings.recipients_file is not None:
            texts += _lines(project.path(settings.recipients_file))
        self._recipients = [_recipient(pyrage, text, number) for number, text in enumerate(texts, 1)]
        if not self._recipients:
            raise BackupError(f"{settings.recipients_file} names no public key")
        self._identities: list[object] = []
        if settings.identity_file is not None:
            self._identities = identities(project.path(settings.identity_file))

    @property
    def can_decrypt(self) -> bool:
        return bool(self._identities)

    def encrypt(self, reader: Reader, write: Callable[[bytes], None]) -> None:
        """From one stream to another, in pieces of 64 kB."""
        with _checked_writer(write) as writer:
            self._pyrage.encrypt_io(reader, writer, self._recipients)

    def decrypt(self, reader: Reader, write: Callable[[bytes], None]) -> None:
        decrypt(reader, write, self._identities)


def decrypt(reader: Reader, write: Callable[[bytes], None], keys: Sequence[object]) -> None:
    """Raises BackupError where the stream is damaged or meant for somebody else."""
    pyrage = _pyrage()
    with _checked_writer(write) as writer:
        try:
            pyrage.decrypt_io(reader, writer, keys)
        except (pyrage.DecryptError, OSError) as error:
            if writer.error is None:
                raise BackupError(f"it can not be decrypted: {error}") from error


def identities(file: Path) -> list[object]:
    """The private keys in a file of age-keygen, or the one of SSH; raises BackupError, which quotes nothing of it."""
    pyrage = _pyrage()
    try:
        content = file.read_bytes()
        if b"PRIVATE KEY-----" in content:
            return [pyrage.ssh.Identity.from_buffer(content)]
        found = [pyrage.x25519.Identity.from_str(text) for text in _lines(file)]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds something else"
        raise BackupError(f"{file} can not be read as a private key of age: {reason}") from None
    if not found:
        raise BackupError(f"{file} has no private key in it")
    return found


class _CheckedWriter:
    """pyrage loses some of the errors of a writer: they are kept here."""

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
        """Nothing is held back here."""


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
        raise BackupError(f"recipient {number} of `encrypt` is no public key of age") from None


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BackupError(f"{file} can not be read: {error.strerror or error}") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _pyrage() -> ModuleType:
    try:
        import pyrage  # noqa: PLC0415 - an extra that few need
    except ImportError as error:
        raise BackupError(
            "backups are to be encrypted, and pyrage is not installed",
            hint="Install the extra for it: pip install 'pg-bootstrapper[encryption]'.",
        ) from error
    module: ModuleType = pyrage
    return module
