"""Which backup is meant: a file, the one that a run took, or the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootstrapper.backups.catalogue import Backup, backups, find
from bootstrapper.backups.manifest import Manifest
from bootstrapper.backups.settings import BackupSettings
from bootstrapper.errors import UsageError
from bootstrapper.postgres.session import Server
from bootstrapper.step import Project

_SHORTEST_RUN = 8
_MAGIC = b"PGDMP"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line names: exactly one of file, run and latest.

    Attributes:
        run: A run's id, or the end of it as it stands in the names of files.
        needs_manifest: Whether a file without one is refused.
    """

    file: Path | None = None
    run: str | None = None
    latest: bool = False
    needs_manifest: bool = True


@dataclass(frozen=True)
class Chosen:
    """A dump; its manifest is None only where none was asked for."""

    path: Path
    manifest: Manifest | None

    @property
    def format(self) -> str:
        """By its content, whatever its name is: "custom", "directory" or "plain"."""
        if self.path.is_dir():
            return "directory"
        with self.path.open("rb") as file:
            return "custom" if file.read(len(_MAGIC)) == _MAGIC else "plain"


def folders(project: Project) -> list[Path]:
    """Where the file's backup steps put theirs; the default where it has none."""
    settings = [unit.options for unit in project.steps.values() if isinstance(unit.options, BackupSettings)]
    return list(dict.fromkeys(each.folder(project) for each in settings or [BackupSettings()]))


def listed(project: Project) -> list[Backup]:
    """All backups in those folders, newest first, of whatever database."""
    found = [backup for folder in folders(project) for backup in backups(folder)]
    return sorted(found, key=lambda backup: (backup.manifest.created_at, backup.path.name), reverse=True)


def choose(project: Project, server: Server, wanted: Wanted) -> Chosen:
    """Raises UsageError where there is no such backup, or none that can be trusted."""
    if wanted.file is not None:
        return of_file(wanted.file, needs_manifest=wanted.needs_manifest)
    ours = [
        backup
        for backup in listed(project)
        if backup.verified and backup.manifest.is_of(server.database, server.system_identifier)
    ]
    if wanted.run is not None:
        ours = [backup for backup in ours if _is_of_run(backup.manifest, wanted.run)]
    if not ours:
        of_run = f" that run {wanted.run} took" if wanted.run is not None else ""
        where = ", ".join(str(folder) for folder in folders(project))
        raise UsageError(
            f"there is no verified backup of database {server.database!r}{of_run} in {where}",
            hint="Look with `bootstrapper backups list`, or name a file.",
        )
    return Chosen(ours[0].path, ours[0].manifest)


def of_file(path: Path, *, needs_manifest: bool) -> Chosen:
    """Raises UsageError where it is not there, or nothing vouches for it."""
    if not path.exists():
        raise UsageError(f"there is no backup {path}", hint="Look with `bootstrapper backups list`.")
    found = find(path)
    if found is None and needs_manifest:
        raise UsageError(
            f"beside {path} lies no manifest that can be read, so that nothing vouches for what is in it",
            hint="Pass --no-manifest to restore it all the same.",
        )
    return Chosen(path.absolute(), found.manifest if found else None)


def _is_of_run(manifest: Manifest, text: str) -> bool:
    wanted = text.replace("-", "").lower()
    return manifest.run_id is not None and len(wanted) >= _SHORTEST_RUN and manifest.run_id.hex.endswith(wanted)
