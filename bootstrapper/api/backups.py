"""The command `backups`: lists and verifies backups."""

from __future__ import annotations

from collections.abc import Mapping

from bootstrapper.api.restore import given_key, keys_of
from bootstrapper.api.single_step import translated
from bootstrapper.backups.restore import choose, fetch, trial_restore
from bootstrapper.backups.restore.choose import Wanted
from bootstrapper.backups.restore.dump_reader import DumpReader, verified
from bootstrapper.backups.settings import is_url
from bootstrapper.backups.stores.signature import is_trusted
from bootstrapper.backups.stores.store import Backup
from bootstrapper.config import load
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.engine.open import opened, resolve
from bootstrapper.engine.request import Request
from bootstrapper.plans.saved import KEY_VARIABLE

__all__ = ["Listed", "Verified", "Wanted", "listed", "verify"]


@dataclass(frozen=True)
class Listed:
    """A backup, and whether it is signed with the key that is set, or no key is."""

    backup: Backup
    is_trusted: bool


@dataclass(frozen=True)
class Verified:
    """A backup that is good. `restored` is None where it was only read."""

    backup: str
    has_manifest: bool
    restored: trial_restore.Restored | None


def listed(request: Request) -> list[Listed]:
    """Returns the backups in the stores of the file's backup steps, newest first; does not connect to a database."""
    project = resolve(request, "backups list", connects=False).project
    found = choose.listed(project, request.masker)
    return [Listed(backup, is_trusted(backup.manifest, project.variables)) for backup, _ in found]


def verify(request: Request, wanted: Wanted, *, by_restoring: bool) -> Verified:
    """Reads a dump completely, and optionally restores it into a scratch database.

    An unencrypted local file needs no bootstrap.yaml, but the env files of an existing one may hold the key of
    manifests.
    """
    deadline = Deadline.after(request.timeout_seconds)
    variables = _variables(request)
    assert wanted.file is not None
    if is_url(wanted.file):
        project = resolve(request, "backups verify", connects=False).project
        found = choose.of_url(project, wanted.file, request.masker)
    else:
        found = choose.of_file(wanted.file, variables, needs_manifest=wanted.needs_manifest)
    needs_key = found.is_encrypted and wanted.identity is None
    keys = (
        keys_of(resolve(request, "backups verify", connects=False).project, wanted) if needs_key else given_key(wanted)
    )
    with fetch.fetched(found, keys, deadline) as chosen:
        reader = DumpReader(chosen=chosen, variables=variables, deadline=deadline, mask=request.masker.quote)
        reader = verified(reader)
        restored = _restored_elsewhere(request, reader) if by_restoring else None
    return Verified(chosen.where, chosen.manifest is not None, restored)


def _variables(request: Request) -> Mapping[str, str]:
    """Returns the variables, with those of the file's env files if they may contain the key of manifests."""
    if KEY_VARIABLE in request.variables or not request.file.is_file():
        return request.variables
    return load.load(request.file, request.environment, request.variables).variables


def _restored_elsewhere(request: Request, reader: DumpReader) -> trial_restore.Restored:
    """Restores on an embedded server if one suits the dump, else on the configured server."""
    manifest = reader.chosen.manifest
    search_path = request.variables.get("PATH", "")
    if trial_restore.has_own_server(manifest.server_major if manifest else 0, search_path):
        with trial_restore.temporary_server(search_path) as target:
            request.masker.learn(target.password)
            return trial_restore.restore_into(reader, target, is_own=True)
    with opened(request, "backups verify", writes=False) as run, translated(run):
        run.executor.open_gates()
        run.session.require_direct("pg_restore")
        with trial_restore.configured_server(run.project.target, run.deadline) as target:
            return trial_restore.restore_into(reader, target, is_own=False)
