"""Judges this machine: client programs, the folder of backups, the queue of runs, and variables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.remote import without_secrets
from bootstrapper.config.outputs import shown
from bootstrapper.config.units import show_size
from bootstrapper.doctor.result import Result, of_error, ok, problem, warning
from bootstrapper.errors import ClientToolsError, ExitCode
from bootstrapper.plugin.inspect import needs
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.lock.host_queue import queue_folder, require_private
from bootstrapper.postgres.server.clienttools import find_tools
from bootstrapper.text import FILE, listed, not_set

_PROGRAMS = ("pg_dump", "pg_restore")


def programs(settings: BackupSettings, project: Project, server_major: int | None) -> Result:
    """Judges the programs that a backup runs.

    Args:
        server_major: None if the server could not be asked.
    """
    only = project.path(settings.pg_dump) if settings.pg_dump is not None else None
    search_path = project.variables.get("PATH", os.defpath)
    try:
        tools = find_tools(_PROGRAMS, server_major or 0, search_path, only=only)
    except ClientToolsError as error:
        return of_error("pg_dump", error)
    found = f"{tools.version_text} in {tools.folder}"
    if server_major is None:
        return warning("pg_dump", f"{found}; the version of the server is unknown")
    return ok("pg_dump", f"{found}, for PostgreSQL {server_major}")


def folder(settings: BackupSettings, project: Project, database_size: int | None) -> Result:
    """Judges where backups are written. Nothing is written to find out; a remote store is not contacted."""
    check = "backups"
    if settings.is_remote:
        return ok(check, f"{without_secrets(settings.directory)} is remote, and was not tried")
    place = settings.folder(project)
    there = next(parent for parent in (place, *place.parents) if os.path.lexists(parent))
    if not there.is_dir():
        remedy = "Remove it, or choose another `directory`."
        return problem(check, f"{shown(there)} is not a folder", ExitCode.FAILED, remedy)
    if not os.access(there, os.W_OK | os.X_OK):
        remedy = "Allow it, or choose another `directory`."
        return problem(check, f"cannot write to {shown(there)}", ExitCode.FAILED, remedy)
    free = shutil.disk_usage(there).free
    if database_size is not None and free < database_size:
        said = f"{show_size(free)} free in {shown(place)}, less than the database has: {show_size(database_size)}"
        return warning(check, said, "Free space on that disk: a dump is often smaller, but not always.")
    return ok(check, f"{show_size(free)} free in {shown(place)}")


def queue() -> Result:
    """Judges the folder in which processes of this host queue. Without it they compete on the server."""
    place = queue_folder()
    remedy = "Set TMPDIR to a folder that this user can write to."
    if place is None:
        return warning("queue", "no folder for temporary files; many runs at once load the server more", remedy)
    try:
        if place.exists():
            require_private(place)
        elif not os.access(place.parent, os.W_OK | os.X_OK):
            return warning("queue", f"cannot make {place}; many runs at once load the server more", remedy)
    except OSError as error:
        return warning("queue", f"{error.strerror or error}; many runs at once load the server more", remedy)
    return ok("queue", str(place))


def variables(context: RunContext, fixtures: Iterable[str]) -> Iterator[Result]:
    """Yields the fixtures whose rows read variables that are not set: needed only when such a row is written."""
    for name in fixtures:
        config = context.project.fixtures[name]
        unset = needs([config.rows, config.defaults, config.columns], context)
        if unset:
            said = f"fixture {name}: {not_set(unset)}"
            files = [name for name in unset if name.startswith(FILE)]
            remedy = "Provide them" if files else f"Set {listed(unset)}"
            yield warning("variables", said, f"{remedy} for a run that creates its rows.")
