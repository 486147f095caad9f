"""Fetches and decrypts a dump that is remote or encrypted."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.stores.atomic_files import draft_folder, sweep
from bootstrapper.backups.stores.store import Backup
from bootstrapper.backups.take.encryption import decrypt, identities
from bootstrapper.backups.take.streaming import HashedSource
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, UsageError

PREFIX = "bootstrapper-dump-"
_PIECE = 1024 * 1024


@contextmanager
def fetched(chosen: Chosen, keys: Sequence[Path], deadline: Deadline) -> Iterator[Chosen]:
    """Yields the dump as an unencrypted local file; a copy is readable by its owner only, and removed at the end.

    Copies of killed runs are removed first. While copying, the stored bytes are compared with the manifest's checksum.

    Args:
        keys: Files of private keys, which are all tried.

    Raises:
        BackupError: The dump cannot be fetched, or has changed.
        UsageError: The dump is encrypted, and there is no key.
    """
    with suppress(OSError):  # other users may write there
        sweep(Path(tempfile.gettempdir()), PREFIX)
    if chosen.store is None and not chosen.is_encrypted:
        yield chosen
        return
    if chosen.is_encrypted and not keys:
        raise UsageError(f"{chosen.where} is encrypted", hint="Pass the file of a private key with --identity.")
    with ExitStack() as stack:
        try:
            final = Path(tempfile.gettempdir(), PREFIX + secrets.token_hex(8))
            folder, _ = stack.enter_context(draft_folder(final))
            copy = folder / "dump"
            _copy(chosen, copy, keys, deadline)
        except OSError as error:
            place = error.filename or tempfile.gettempdir()
            raise BackupError(f"cannot copy {chosen.where} to {place}: {error.strerror or error}") from error
        yield replace(chosen, path=copy, store=None)


def _copy(chosen: Chosen, copy: Path, keys: Sequence[Path], deadline: Deadline) -> None:
    source = HashedSource(_pieces(chosen), deadline, "fetching the dump")
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
        raise BackupError(f"{chosen.where} does not match its manifest: checksum mismatch")
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
