"""Reads and verifies a dump with the client programs that suit it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import cast

from bootstrapper.backups.client_programs import ClientRunner, client_environment
from bootstrapper.backups.restore.choose import Chosen
from bootstrapper.backups.restore.fingerprint import seal, unbroken
from bootstrapper.backups.stores.folder import size_of
from bootstrapper.backups.stores.manifest import Format, Manifest
from bootstrapper.backups.stores.signature import has_key
from bootstrapper.backups.take.verify import verify
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, ClientToolsError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.clienttools import ClientTools, find_tools


@dataclass(frozen=True, kw_only=True)
class DumpReader:
    """A dump, and how programs that read it are found and run.

    Attributes:
        variables: The environment of the programs; its PATH is searched for them.
        folders: Folders that are searched before PATH.
        server_major: Major version of the server to restore to; 0 without one.
        mask: Removes secrets from what programs print.
    """

    chosen: Chosen
    variables: Mapping[str, str]
    folders: Sequence[Path] = ()
    server_major: int = 0
    deadline: Deadline
    mask: Callable[[str], str]

    def tools(self, *names: str) -> ClientTools:
        """Returns programs that are not older than the ones that wrote the dump, nor than the server.

        Without a manifest these are the newest ones, which read every dump. Raises ClientToolsError without any.
        """
        manifest = self.chosen.manifest
        search_path = os.pathsep.join([*map(str, self.folders), self.variables.get("PATH") or os.defpath])
        wrote = manifest.client_major if manifest else 0
        found = find_tools(names, max(wrote, self.server_major), search_path)
        while manifest is None:
            try:
                found = find_tools(names, found.version[0] + 1, search_path)
            except ClientToolsError:
                break
        return found

    def sealed(self) -> AbstractContextManager[None]:
        """Goes around all reading; raises BackupError at the end if the dump has changed since it was verified."""
        return unbroken(self.chosen.path, self.chosen.where, self.chosen.seal, self.deadline)

    def runner(self, target: Target | None = None) -> ClientRunner:
        """Returns what runs the programs, connected to the target if there is one."""
        now = target.current(self.deadline) if target is not None else None
        return ClientRunner(client_environment(self.variables, now), self.deadline, self.mask)


_CHOOSE_ANOTHER = "Choose another backup from `bootstrapper backups list`."


def verified(reader: DumpReader) -> DumpReader:
    """Compares size and checksum with the manifest, if there is one, and reads the whole dump.

    Returns a reader that detects later changes of the dump.

    Raises:
        BackupError: The dump does not match its manifest, or is not readable.
        ClientToolsError: There is no program that reads it.
    """
    chosen, manifest = reader.chosen, reader.chosen.manifest
    try:
        # That of an encrypted dump was compared while it was decrypted.
        claimed = manifest if manifest is not None and not manifest.encryption else None
        if claimed is not None:
            _require_size(chosen, claimed)
        sealed = seal(chosen.path, reader.deadline, is_strict=has_key(reader.variables))
        if claimed is not None and sealed.sha256 != claimed.sha256:
            raise BackupError(f"{chosen.where} does not match its manifest: checksum mismatch", hint=_CHOOSE_ANOTHER)
        verify(chosen.path, cast("Format", chosen.format), reader.tools("pg_restore"), reader.runner())
    except OSError as error:
        raise BackupError(f"cannot read {chosen.where}: {error.strerror or error}") from error
    return replace(reader, chosen=replace(chosen, seal=sealed))


def _require_size(chosen: Chosen, manifest: Manifest) -> None:
    size = size_of(chosen.path)
    if size != manifest.size:
        told = f"{size:,} bytes instead of {manifest.size:,}"
        raise BackupError(f"{chosen.where} does not match its manifest: {told}", hint=_CHOOSE_ANOTHER)
