"""Is a dump what its manifest says, and can it be read to its end? Asked before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.restore.dump_reader import Reader
from bootstrapper.backups.restore.fingerprint import seal
from bootstrapper.backups.stores.catalogue import size_of
from bootstrapper.backups.stores.manifest import Format, Manifest
from bootstrapper.backups.stores.signature import has_key
from bootstrapper.backups.take import dump
from bootstrapper.errors import BackupError

_RESTORED = "Restore another backup: `bootstrapper backups list`."


def prove(reader: Reader) -> Reader:
    """Compares size and checksum with the manifest, where there is one, and decodes the whole dump.

    Gives a reader that finds out whether the dump is changed afterwards.

    Raises:
        BackupError: It is not what it was, or can not be read.
        ClientToolsError: No program here reads it.
    """
    chosen, manifest = reader.chosen, reader.chosen.manifest
    try:
        # One that was encrypted is compared as it is decrypted.
        claimed = manifest if manifest is not None and not manifest.encryption else None
        if claimed is not None:
            _require_size(chosen, claimed)
        sealed = seal(chosen.path, reader.deadline, is_strict=has_key(reader.variables))
        if claimed is not None and sealed.sha256 != claimed.sha256:
            raise BackupError(f"{chosen.where} is not what its manifest says: the checksum differs", hint=_RESTORED)
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
    return replace(reader, chosen=replace(chosen, seal=sealed))


def _require_size(chosen: Chosen, manifest: Manifest) -> None:
    size = size_of(chosen.path)
    if size != manifest.size:
        told = f"{size:,} bytes long, its manifest says {manifest.size:,}"
        raise BackupError(f"{chosen.where} is {told}", hint=_RESTORED)
