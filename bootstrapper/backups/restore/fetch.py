"""Brings a dump here, and out of its encryption, where it is not here in the clear already."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.stores.atomic_files import draft_folder, sweep
from bootstrapper.backups.stores.catalogue import Backup
from bootstrapper.backups.take.encryption import decrypt, identities
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, UsageError

PREFIX = "bootstrapper-dump-"
_PIECE = 1024 * 1024


@contextmanager
def at_hand(chosen: Chosen, keys: Sequence[Path], deadline: Deadline) -> Iterator[Chosen]:
    """The dump as a file in the clear; a copy, for its owner only, is gone at the end.

    That of a run which was killed is removed first. A copy is compared with the manifest's checksum while it is made,
    which is that of the dump as it lies there.

    Args:
        keys: Files of private keys, which are all tried.

    Raises:
        BackupError: It can not be fetched, or is not what it was.
        UsageError: It is encrypted, and there is no key.
    """
    with suppress(OSError):  # in a folder that is anybody's, much can be in the way
        sweep(Path(tempfile.gettempdir()), PREFIX)
    if chosen.store is None and not chosen.is_encrypted:
        yield chosen
        return
    if chosen.is_encrypted and not keys:
        raise UsageError(f"{chosen.where} is encrypted", hint="Name the file of a private key with --identity.")
    with ExitStack() as stack:
        try:
            final = Path(tempfile.gettempdir(), PREFIX + secrets.token_hex(8))
            folder, _ = stack.enter_context(draft_folder(final))
            copy = folder / "dump"
            _copy(chosen, copy, keys, deadline)
        except OSError as error:
            place = error.filename or tempfile.gettempdir()
            raise BackupError(f"{chosen.where} can not be copied to {place}: {error.strerror or error}") from error
        yield replace(chosen, path=copy, store=None)


def _copy(chosen: Chosen, copy: Path, keys: Sequence[Path], deadline: Deadline) -> None:
    source = _Source(_pieces(chosen), deadline)
    failure: BackupError | None = None
    with copy.open("xb") as file:

        def write(data: bytes) -> None:
            file.write(data)

        if chosen.is_encrypted:
            try:
                decrypt(source, write, [key for path in keys for key in identities(path)])
            except BackupError as error:
                failure = error
        while piece := source.read(_PIECE):
            file.write(piece)
    if chosen.manifest is not None and source.digest != chosen.manifest.sha256:
        raise BackupError(f"{chosen.where} is not what its manifest says: the checksum differs")
    if failure is not None:
        raise failure


def _pieces(chosen: Chosen) -> Iterator[bytes]:
    if chosen.store is not None:
        assert chosen.manifest is not None
        yield from chosen.store.read(Backup(chosen.path, chosen.manifest, verified=True))
        return
    with chosen.path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


class _Source:
    """Pieces as a stream, with the checksum of what was read of it."""

    def __init__(self, pieces: Iterator[bytes], deadline: Deadline) -> None:
        self._pieces = pieces
        self._deadline = deadline
        self._rest = b""
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        if self._deadline.has_passed:
            raise BackupError("there was no time left to fetch the dump", hint="Give it longer with --timeout.")
        if not self._rest:
            self._rest = next(self._pieces, b"")
            self._hash.update(self._rest)
        end = size if size >= 0 else len(self._rest)
        data, self._rest = self._rest[:end], self._rest[end:]
        return data

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
