"""The way back, said where a run went wrong after its backup."""

from __future__ import annotations

import shlex

import psycopg

from bootstrapper.backups.restore.choose import listed
from bootstrapper.backups.take import database
from bootstrapper.errors import BootstrapperError
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext

_DEFAULT_FILE = "bootstrap.yaml"


def way_back(context: RunContext) -> str | None:
    """The command that restores the newest backup of this run, or of the unfinished one that it goes on with.

    None where there is no such backup, or the database can not be asked any more which runs did not finish.
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
    """As somebody types it in a shell."""
    words = ["bootstrapper", "restore", backup]
    words += ["-e", project.environment] if project.environment is not None else []
    words += ["-f", project.document.name] if project.document.name != _DEFAULT_FILE else []
    return shlex.join(words)
