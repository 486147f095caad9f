"""Chooses a backup: a file, the one that a run took, or the newest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bootstrapper.backups.restore.fingerprint import Seal
from bootstrapper.backups.settings import BackupSettings, is_url
from bootstrapper.backups.stores.folder import Folder, find
from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.backups.stores.remote import Remote, owner_of, password_of, without_secrets
from bootstrapper.backups.stores.signature import is_trusted, require_own, require_trusted
from bootstrapper.backups.stores.store import Backup, Store
from bootstrapper.config.outputs import shown
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError, UsageError
from bootstrapper.masking import Masker
from bootstrapper.plugin.project import Project
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.ledger.run_ids import SHORTEST_END, is_end_of

_MAGIC = b"PGDMP"
_FOREIGN = {b"\x1f\x8b": "is compressed by gzip", b"toc.dat\0": "is a tar archive"}
_ENCRYPTED = b"age-encryption.org/"
_LIST = "Run `bootstrapper backups list`"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The selection on the command line: exactly one of file, run and latest.

    Attributes:
        file: A path, or a URL.
        run: A run's id, or its end as in file names.
        needs_manifest: Whether a file without a manifest is refused.
        partial: Whether a partial backup is accepted; it replaces the whole database.
        identity: The file of a private key, for an encrypted backup.
    """

    file: str | None = None
    run: str | None = None
    latest: bool = False
    needs_manifest: bool = True
    partial: bool = False
    identity: Path | None = None


@dataclass(frozen=True)
class Chosen:
    """A dump; its manifest is None only if none was required.

    Attributes:
        where: Its name in messages.
        path: Its file or folder; to be fetched first from `store` if that is not None.
        seal: Its state when it was verified; None before.
    """

    where: str
    path: Path
    manifest: Manifest | None
    store: Store | None = None
    seal: Seal | None = None

    @property
    def format(self) -> str:
        """The format by its content: "custom", "directory" or "plain"."""
        if self.path.is_dir():
            return "directory"
        return "custom" if self.begins_with(_MAGIC) else "plain"

    @property
    def is_encrypted(self) -> bool:
        if self.manifest is not None:
            return self.manifest.encryption is not None
        return self.path.is_file() and self.begins_with(_ENCRYPTED)

    def begins_with(self, magic: bytes) -> bool:
        """Returns whether the file begins with these bytes; not for a folder."""
        with self.path.open("rb") as file:
            return file.read(len(magic)) == magic


def backup_settings(project: Project) -> list[BackupSettings]:
    """Returns the settings of the file's backup steps; the defaults if it has none."""
    found = [unit.options for unit in project.steps.values() if isinstance(unit.options, BackupSettings)]
    return found or [BackupSettings()]


def program_folders(project: Project) -> list[Path]:
    """Returns the folders of the programs in the backup steps; pg_restore and psql are beside pg_dump."""
    named = [project.path(each.pg_dump) for each in backup_settings(project) if each.pg_dump is not None]
    return [path if path.is_dir() else path.parent for path in named]


def stores(project: Project, masker: Masker) -> Iterator[Store]:
    """Yields the stores of the backup steps, each once, for reading only."""
    seen = set()
    for settings in backup_settings(project):
        masker.learn(password_of(settings.directory))
        store = _store(settings.directory, settings) if settings.is_remote else Folder(settings.folder(project))
        if store.where not in seen:
            seen.add(store.where)
            yield store


def _store(url: str, settings: BackupSettings | None) -> Remote:
    return Remote(url, settings.storage if settings is not None else {}, owner_of("reader"))


def listed(project: Project, masker: Masker) -> list[tuple[Backup, Store]]:
    """Returns all backups in those stores, of any database, newest first."""
    found = [(backup, store) for store in stores(project, masker) for backup in store.backups()]
    return sorted(found, key=lambda each: (each[0].manifest.created_at, each[0].path.name), reverse=True)


def choose(project: Project, server: Server, wanted: Wanted, masker: Masker) -> Chosen:
    """Returns the chosen dump; raises UsageError if it does not exist, GuardError if it is partial or unsigned."""
    chosen = _choose(project, server, wanted, masker)
    left_out = chosen.manifest.left_out if chosen.manifest is not None else ()
    if left_out and not wanted.partial:
        raise GuardError(
            f"{chosen.where} is partial ({', '.join(left_out)}) and would replace the whole database",
            hint="Choose a complete backup, or pass --partial.",
        )
    return chosen


def _choose(project: Project, server: Server, wanted: Wanted, masker: Masker) -> Chosen:
    if wanted.file is not None and is_url(wanted.file):
        return of_url(project, wanted.file, masker)
    if wanted.file is not None:
        return of_file(wanted.file, project.variables, needs_manifest=wanted.needs_manifest)
    if wanted.run is not None and len(wanted.run.replace("-", "")) < SHORTEST_END:
        raise UsageError(f"--run needs at least {SHORTEST_END} digits of the run's id", hint=f"{_LIST}.")
    now = datetime.now(UTC)
    ours = [
        each
        for each in listed(project, masker)
        if each[0].verified
        and each[0].manifest.is_of(server.database, server.system_identifier)
        and (_is_of_run(each[0].manifest, wanted.run) if wanted.run is not None else _is_whole(each[0].manifest, now))
    ]
    if not ours:
        of_run = f" by run {wanted.run}" if wanted.run is not None else ""
        where = ", ".join(store.where for store in stores(project, masker))
        raise UsageError(
            f"no verified backup of database {server.database!r}{of_run} in {where}",
            hint=f"{_LIST}, or pass a file.",
        )
    trusted = [each for each in ours if is_trusted(each[0].manifest, project.variables)]
    if not trusted:
        require_trusted(ours[0][0].manifest, ours[0][0].where, project.variables)
    runs = {backup.manifest.run_id for backup, _ in trusted}
    if wanted.run is not None and len(runs) > 1:
        raise UsageError(f"{len(runs)} runs have an id that ends in {wanted.run}", hint=f"Pass more digits. {_LIST}.")
    return _chosen(*trusted[0])


def _is_whole(manifest: Manifest, now: datetime) -> bool:
    """Returns whether it can be the latest: complete, not dated in the future, and not taken by an in-place restore.

    After such a restore, `--latest` would bring back what it had replaced.
    """
    return not (manifest.left_out or manifest.is_of_restore or manifest.is_of_the_future(now))


def of_file(text: str, variables: Mapping[str, str], *, needs_manifest: bool) -> Chosen:
    """Returns the dump; raises UsageError without a dump or a manifest, GuardError for an untrusted manifest.

    Args:
        variables: Contain the key of manifests, if they are signed.
    """
    path = _existing(text)
    found = find(path)
    if found is None and needs_manifest:
        raise UsageError(
            f"{path} has no readable manifest",
            hint="Pass --no-manifest to use it anyway.",
        )
    if found is not None:
        require_trusted(found.manifest, str(path), variables)
        require_own(found.manifest, path, variables)
    chosen = Chosen(str(path.absolute()), path.absolute(), found.manifest if found else None)
    _require_readable(chosen)
    return chosen


def _existing(text: str) -> Path:
    try:
        path = Path(os.path.realpath(text)) if text else Path()  # resolve() raises RuntimeError for a loop of links
        is_there = path.exists()
    except OSError as error:
        raise UsageError(f"cannot read {shown(Path(text))}: {error.strerror or error}") from error
    if not path.name:
        raise UsageError(f"{text!r} is not a backup", hint=f"{_LIST}.")
    if not is_there:
        raise UsageError(f"backup {path} does not exist", hint=f"{_LIST}.")
    return path


def _require_readable(chosen: Chosen) -> None:
    for magic, told in _FOREIGN.items():
        if chosen.path.is_file() and chosen.begins_with(magic):
            hint = "Unpack it, or dump again in custom, directory or plain format."
            raise UsageError(f"{chosen.where} {told}, which is not supported", hint=hint)


def of_url(project: Project, url: str, masker: Masker) -> Chosen:
    """Returns the dump at a URL, with the options of the backup step for it; the manifest is required."""
    masker.learn(password_of(url))
    folder, _, name = url.rpartition("/")
    known = [each for each in backup_settings(project) if each.is_remote]
    same = [each for each in known if without_secrets(each.directory).rstrip("/") == without_secrets(folder)]
    store = _store(same[0].directory if same else folder, same[0] if same else None)
    for backup in store.backups():
        if backup.path.name == name:
            require_trusted(backup.manifest, backup.where, project.variables)
            return _chosen(backup, store)
    raise UsageError(f"no backup with a manifest at {without_secrets(url)}", hint=f"{_LIST}.")


def _chosen(backup: Backup, store: Store) -> Chosen:
    return Chosen(backup.where, backup.path, backup.manifest, None if isinstance(store, Folder) else store)


def _is_of_run(manifest: Manifest, text: str) -> bool:
    return manifest.run_id is not None and is_end_of(manifest.run_id, text)
