"""From what the file says to where backups lie."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores import catalogue
from bootstrapper.backups.stores.atomic_files import draft_path
from bootstrapper.backups.stores.folder import Folder
from bootstrapper.backups.stores.manifest import manifest_path
from bootstrapper.backups.stores.remote import Remote, owner_of, password_of
from bootstrapper.backups.stores.store import Store
from bootstrapper.config.outputs import require_writable, shown
from bootstrapper.errors import UsageError
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext

ROOT = Path("/")

_SECRET = re.compile(r"key|secret|passw|passphrase|token|credential|connection_string|sas", re.IGNORECASE)

# Docker, Podman; the other marks are a variable and a line of text.
_MARKERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_CGROUPS = Path("/proc/1/cgroup")
_CGROUP_WORDS = ("docker", "kubepods", "containerd", "libpod", "lxc")


def store_of(settings: BackupSettings, context: RunContext) -> Store:
    """The place that the settings name; raises BackupError where a remote one can not be reached.

    One connection to a remote place is enough for a run; the next run makes its own, as this one may have been lost.
    """
    if not settings.is_remote:
        return Folder(settings.folder(context.project))
    context.masker.learn(password_of(settings.directory))
    for name, value in settings.storage.items():
        if isinstance(value, str) and _SECRET.search(name):
            context.masker.learn(value)
    server, project = context.session.server, context.project
    identifier = server.system_identifier or context.session.target.where
    owner = owner_of(identifier, server.database, project.ledger.schema)
    key = ("remote backups", settings.directory, *sorted(settings.storage.items()), owner)
    if key not in project.remembered:
        project.remembered[key] = Remote(settings.directory, settings.storage, owner)
    store = project.remembered[key]
    assert isinstance(store, Remote)
    return store


def require_free(file: Path, project: Project, *, overwrite: bool) -> None:
    """Raises UsageError where a backup of this name, or its manifest, would replace something else than a backup."""
    is_backup = catalogue.find(file) is not None
    inputs = [place for name in project.document.files for place in (Path(name), project.path(Path(name).name))]
    for each in (file, manifest_path(file)):
        require_writable(each, overwrite=overwrite, is_ours=lambda _: is_backup, inputs=inputs, makes_folder=True)
    try:
        draft_path(manifest_path(file)).lstat()  # the longest name that is needed
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{shown(file)} cannot be written: {error.strerror or error}") from error


def goes_with_container(settings: BackupSettings, context: RunContext) -> Path | None:
    """The folder that ends with the container it is in; None where backups outlive this machine's processes.

    An absolute folder was chosen with care, and a folder on another file system than the root is a volume.
    """
    written = settings.file or settings.directory
    folder = settings.folder(context.project)
    if settings.is_remote or Path(written).is_absolute() or not _is_in_container(context):
        return None
    there = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110 - no errors
    return folder if there.stat().st_dev == ROOT.stat().st_dev else None


def _is_in_container(context: RunContext) -> bool:
    if "KUBERNETES_SERVICE_HOST" in context.project.variables or any(marker.exists() for marker in _MARKERS):
        return True
    try:
        groups = _CGROUPS.read_text()
    except OSError:
        return False
    return any(word in groups for word in _CGROUP_WORDS)
