"""The command that restores a run's backup, for the error of a failed run."""

from __future__ import annotations

import shlex

import psycopg

from bootstrapper.backups.restore.choose import listed
from bootstrapper.backups.take import database
from bootstrapper.errors import BootstrapperError
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext

_DEFAULT_FILE = "bootstrap.yaml"


def restore_hint(context: RunContext) -> str | None:
    """Returns the command that restores the newest backup of this run, or of the unfinished run that it continues.

    None without such a backup, or if the database is not reachable any more.
    """
    try:
        server = context.session.server
        ours = [
            backup
            for backup, _ in listed(context.project, context.masker)
            if backup.verified
            and backup.manifest.is_of(server.database, server.system_identifier)
            and not backup.manifest.left_out
        ]
        runs = {context.run_id}
        if all(backup.manifest.run_id != context.run_id for backup in ours):
            project = context.project
            runs |= database.unfinished_runs(context.connection, project.ledger, project.inputs) or set()
    except (psycopg.Error, BootstrapperError, OSError):
        return None
    found = [backup.where for backup in ours if backup.manifest.run_id is not None and backup.manifest.run_id in runs]
    return restore_command(context.project, found[0]) if found else None


def restore_command(project: Project, backup: str) -> str:
    """Returns the command, quoted for a shell."""
    words = ["bootstrapper", "restore", backup]
    words += ["-e", project.environment] if project.environment is not None else []
    words += ["-f", project.document.name] if project.document.name != _DEFAULT_FILE else []
    return shlex.join(words)
