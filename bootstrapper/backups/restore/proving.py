"""Is a dump what its manifest says, and can it be read to its end? Asked before anything is touched."""

from __future__ import annotations

from typing import cast

from bootstrapper.backups import dump
from bootstrapper.backups.restore.reading import Reader
from bootstrapper.errors import BackupError

_RESTORED = "Restore another backup: `bootstrapper backups list`."


def prove(reader: Reader) -> None:
    """Compares size and checksum with the manifest, where there is one, and decodes the whole dump.

    Raises:
        BackupError: It is not what it was, or can not be read.
        ClientToolsError: No program here reads it.
    """
    chosen = reader.chosen
    try:
        if chosen.manifest is not None:
            _compare(reader)
        dump.verify(
            chosen.path,
            cast("dump.Format", chosen.format),
            reader.tools("pg_restore"),
            environment=reader.environment(),
            deadline=reader.deadline,
            mask=reader.mask,
        )
    except OSError as error:
        raise BackupError(f"{chosen.path} can not be read: {error.strerror or error}") from error


def _compare(reader: Reader) -> None:
    path, manifest = reader.chosen.path, reader.chosen.manifest
    assert manifest is not None
    size = path.stat().st_size
    if path.is_file() and size != manifest.size:
        told = f"{size:,} bytes long, its manifest says {manifest.size:,}"
        raise BackupError(f"{path} is {told}", hint=_RESTORED)
    if dump.checksum(path, reader.deadline) != manifest.sha256:
        raise BackupError(f"{path} is not what its manifest says: the checksum differs", hint=_RESTORED)
