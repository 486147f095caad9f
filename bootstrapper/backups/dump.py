"""Takes a backup: pg_dump into a draft, read back whole, then named."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bootstrapper import programs
from bootstrapper.backups import database
from bootstrapper.backups.catalogue import Backup
from bootstrapper.backups.draft import draft, sync_folder
from bootstrapper.backups.manifest import Manifest, manifest_path
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError
from bootstrapper.postgres.clienttools import ClientTools, find_tools
from bootstrapper.step import Context

Format = Literal["custom", "plain"]

PROGRESS_SECONDS = 0.5

# -Z1 is as small as 6 on real data and much faster; it is understood by every pg_dump, unlike the names of methods.
_FORMAT_OPTIONS: Mapping[Format, Sequence[str]] = {
    "custom": ("--format=custom", "--compress=1"),
    "plain": ("--format=plain",),
}
# Newer versions put a \unrestrict line after it.
_END_MARKER = re.compile(rb"\n--\n-- PostgreSQL database dump complete\n--\n+(\\unrestrict \w+\n+)?\Z")
_END_BYTES = 512
_DISTORTING = ("PGCLIENTENCODING", "PGOPTIONS")  # a dump in the server's own encoding, under its own settings


def format_of(file: Path) -> Format:
    return "plain" if file.suffix == ".sql" else "custom"


def take(context: Context, final: Path) -> Backup:
    """Backs the run's database up into `final`, which gets that name only when it is verified.

    The caller is outside any transaction. The folder exists.

    Raises:
        BackupError: pg_dump failed, the file can not be written, or what was written can not be read back.
        ClientToolsError: There is no pg_dump for this server.
        FencedOffError: The lock was lost meanwhile.
    """
    path_variable = context.project.variables.get("PATH", os.defpath)
    tools = find_tools(("pg_dump", "pg_restore"), context.session.server.major, path_variable)
    try:
        return _take(context, final, tools)
    except OSError as error:
        raise BackupError(f"{final} can not be written: {error.strerror or error}") from error


def _take(context: Context, final: Path, tools: ClientTools) -> Backup:
    total = database.size(context.connection)
    revision = database.revision(context.connection)
    with draft(final) as (path, descriptor):
        _dump(context, tools, format_of(final), descriptor, total)
        os.fsync(descriptor)
        verify(
            path,
            format_of(final),
            tools,
            environment=_environment(context),
            deadline=context.deadline,
            mask=context.masker.mask,
        )
        server = context.session.server
        manifest = Manifest(
            file=final.name,
            format=format_of(final),
            sha256=checksum(path, context.deadline),
            size=os.fstat(descriptor).st_size,
            database_size=total,
            database=server.database,
            server=context.session.target.where,
            system_identifier=server.system_identifier,
            server_version=server.version,
            client_version=tools.version_text,
            revision=revision,
            inputs=context.project.inputs,
            step=context.step,
            run_id=context.run_id,
            created_at=datetime.now(UTC),
        )
        _publish(path, final, manifest)
    context.progress(manifest.size, manifest.size, "bytes")
    return Backup(final, manifest, verified=True)


def _dump(context: Context, tools: ClientTools, format_: Format, descriptor: int, total: int) -> None:
    lock_table = context.project.ledger.table("lock").as_string(None)
    options = (*_FORMAT_OPTIONS[format_], "--no-password", f"--exclude-table={lock_table}")
    _run(
        [str(tools.program("pg_dump")), *options],
        environment=_environment(context),
        deadline=context.deadline,
        mask=context.masker.mask,
        stdout=descriptor,
        on_line=context.report,
        on_tick=_watch_growth(context, descriptor, total),
    )


def _environment(context: Context) -> dict[str, str]:
    """No password ever stands in an argument, where the process list shows it."""
    kept = {name: value for name, value in context.project.variables.items() if name not in _DISTORTING}
    return {**kept, "PGAPPNAME": "bootstrapper backup", **context.session.target.client_environment()}


def _watch_growth(context: Context, descriptor: int, total: int) -> Callable[[], None]:
    """Tells how far the dump is, and stops it when the lock is lost."""
    next_at = 0.0

    def tick() -> None:
        nonlocal next_at
        if context.hold is not None:
            context.hold.require()
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + PROGRESS_SECONDS
            written = os.fstat(descriptor).st_size
            context.progress(written, max(total, written), "bytes")

    return tick


def verify(
    path: Path,
    format_: Format,
    tools: ClientTools,
    *,
    environment: Mapping[str, str],
    deadline: Deadline,
    mask: Callable[[str], str],
) -> None:
    """Reads a dump back whole; raises BackupError where that does not work.

    Only decoding finds what is cut off or flipped: `pg_restore --list` reads no data, and on a full disk pg_dump
    itself answered that all went well.
    """
    if format_ == "plain":
        _require_end_marker(path)
        return
    command = [str(tools.program("pg_restore")), "--file=/dev/null", str(path)]
    try:
        _run(command, environment=environment, deadline=deadline, mask=mask)
    except BackupError as error:
        raise BackupError(f"the dump can not be read back: {error.reason}", hint=error.hint) from error


def _require_end_marker(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        end = file.read()
    if not _END_MARKER.search(end):
        raise BackupError("the dump is cut off: it does not end as pg_dump ends a dump", hint="Look for a full disk.")


def checksum(path: Path, deadline: Deadline) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            digest.update(piece)
            if deadline.has_passed:
                raise BackupError("there was no time left to compute the checksum")
    return digest.hexdigest()


def _run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    deadline: Deadline,
    mask: Callable[[str], str],
    stdout: int | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    name = Path(command[0]).name
    try:
        ended = programs.run(
            command, environment=environment, deadline=deadline, stdout=stdout, on_line=on_line, on_tick=on_tick
        )
    except programs.OutOfTimeError as error:
        raise BackupError(f"{name} did not finish in time", hint="Give it longer with --timeout.") from error
    except OSError as error:
        raise BackupError(f"{command[0]} can not be started: {error.strerror or error}") from error
    if ended.code != 0:
        raise BackupError("\n  ".join([f"{name} {ended.how}", *map(mask, ended.last_lines)]))


def _publish(path: Path, final: Path, manifest: Manifest) -> None:
    """Names manifest and dump. The dump comes last: its name stands only for what is complete."""
    beside = manifest_path(final)
    with draft(beside) as (manifest_draft, descriptor):
        os.write(descriptor, manifest.to_json().encode())
        os.fsync(descriptor)
        manifest_draft.replace(beside)
    path.replace(final)
    sync_folder(final.parent)
