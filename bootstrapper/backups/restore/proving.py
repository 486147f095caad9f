"""Is a dump what its manifest says, and can it be read to its end? Asked before anything is touched."""

from __future__ import annotations

from typing import cast

from bootstrapper.backups import dump
from bootstrapper.backups.catalogue import size_of
from bootstrapper.backups.manifest import Format, Manifest
from bootstrapper.backups.restore.reading import Reader
from bootstrapper.errors import BackupError

_RESTORED = "Restore another backup: `bootstrapper backups list`."


def prove(reader: Reader) -> None:
    """Compares size and checksum with the manifest, where there is one, and decodes the whole dump.

    Raises:
        BackupError: It is not what it was, or can not be read.
        ClientToolsError: No program here reads it.
    """
    chosen, manifest = reader.chosen, reader.chosen.manifest
    try:
        if manifest is not None and not manifest.encryption:  # one that was encrypted is compared as it is decrypted
            _compare(reader, manifest)
        dump.verify(
            chosen.path,
            cast("Format", chosen.format),
            reader.tools("pg_restore"),
            environment=reader.environment(),
            deadline=reader.deadline,
            mask=reader.mask,
        )
    except OSError as error:
        raise BackupError(f"{chosen.where} can not be read: {error.strerror or error}") from error


def _compare(reader: Reader, manifest: Manifest) -> None:
    where, path = reader.chosen.where, reader.chosen.path
    size = size_of(path)
    if size != manifest.size:
        told = f"{size:,} bytes long, its manifest says {manifest.size:,}"
        raise BackupError(f"{where} is {told}", hint=_RESTORED)
    if dump.checksum(path, reader.deadline) != manifest.sha256:
        raise BackupError(f"{where} is not what its manifest says: the checksum differs", hint=_RESTORED)
