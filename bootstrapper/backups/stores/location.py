"""Finds the store that the settings name, and checks the place."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.atomic_files import draft_path
from bootstrapper.backups.stores.folder import Folder, find
from bootstrapper.backups.stores.manifest import manifest_path
from bootstrapper.backups.stores.remote import Remote, owner_of, password_of
from bootstrapper.backups.stores.store import Store
from bootstrapper.config.outputs import require_writable, shown
from bootstrapper.config.run_cache import Kept
from bootstrapper.errors import UsageError
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext

ROOT = Path("/")

_SECRET = re.compile(r"key|secret|passw|passphrase|token|credential|connection_string|sas", re.IGNORECASE)

# Of Docker and Podman; others are recognised by a variable or the control groups.
_MARKERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_CGROUPS = Path("/proc/1/cgroup")
_CGROUP_WORDS = ("docker", "kubepods", "containerd", "libpod", "lxc")

_REMOTES = Kept[tuple[object, ...], Remote]()
"""Connections to remote stores, by URL, options and owner."""


def store_of(settings: BackupSettings, context: RunContext) -> Store:
    """Returns the store that the settings name, connected to once a run; raises BackupError if that fails."""
    if not settings.is_remote:
        return Folder(settings.folder(context.project))
    context.masker.learn(password_of(settings.directory))
    for name, value in settings.storage.items():
        if isinstance(value, str) and _SECRET.search(name):
            context.masker.learn(value)
    server, project = context.session.server, context.project
    identifier = server.system_identifier or context.session.target.where
    owner = owner_of(identifier, server.database, project.ledger.schema)
    remotes, key = project.cache.of(_REMOTES), (settings.directory, *sorted(settings.storage.items()), owner)
    if key not in remotes:
        remotes[key] = Remote(settings.directory, settings.storage, owner)
    return remotes[key]


def require_replaceable(file: Path, project: Project, *, overwrite: bool) -> None:
    """Raises UsageError if a backup of this name, or its manifest, would replace a file that is not a backup."""
    is_backup = find(file) is not None
    inputs = [place for name in project.document.files for place in (Path(name), project.path(Path(name).name))]
    for each in (file, manifest_path(file)):
        require_writable(each, overwrite=overwrite, is_ours=lambda _: is_backup, inputs=inputs, makes_folder=True)
    try:
        draft_path(manifest_path(file)).lstat()  # the longest name in use
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot write {shown(file)}: {error.strerror or error}") from error


def folder_in_container(settings: BackupSettings, context: RunContext) -> Path | None:
    """Returns the folder if it is lost with the container; None if backups outlive the container, or outside of one.

    An absolute folder was chosen deliberately, and a folder on another file system than the root is a volume.
    """
    written = settings.file or settings.directory
    folder = settings.folder(context.project)
    if settings.is_remote or Path(written).is_absolute() or not _is_in_container(context):
        return None
    there = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110 - raises no errors
    return folder if there.stat().st_dev == ROOT.stat().st_dev else None


def _is_in_container(context: RunContext) -> bool:
    if "KUBERNETES_SERVICE_HOST" in context.project.variables or any(marker.exists() for marker in _MARKERS):
        return True
    try:
        groups = _CGROUPS.read_text()
    except OSError:
        return False
    return any(word in groups for word in _CGROUP_WORDS)
