"""The pg_dump that fits the server, with options that it was asked about before anything depends on them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bootstrapper.backups.client_programs import default_path
from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.backups.take import pg_dump_options
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.server.clienttools import ClientTools, find_tools
from bootstrapper.programs import runner

# A folder for sockets that no server can have: pg_dump looks at its options first, then at this.
_NO_SERVER = ("--host=/dev/null/nowhere", "--port=1", "--dbname=nothing", "--no-password")


@dataclass(frozen=True)
class Client:
    """Programs and options of one format.

    Attributes:
        options: Of pg_dump, all but those that say where its output goes.
    """

    tools: ClientTools
    options: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        return [str(self.tools.program("pg_dump")), *self.options, "--no-password"]


def find_client(context: RunContext, settings: BackupSettings, format_: Format) -> Client:
    """Found once a run, however often a backup is planned.

    Raises:
        GuardError: The connection leads through a pooler.
        ClientToolsError: There is no pg_dump for this server.
        BackupError: It does not know an option.
    """
    context.session.require_direct("pg_dump")
    wanted = (settings.pg_dump, settings.compress, settings.jobs, settings.schemas, settings.tables)
    key = ("pg_dump", format_, context.session.server.major, *wanted, settings.exclude, settings.extra_args)
    if key not in context.project.remembered:
        context.project.remembered[key] = _find(context, settings, format_)
    found = context.project.remembered[key]
    assert isinstance(found, Client)
    return found


def _find(context: RunContext, settings: BackupSettings, format_: Format) -> Client:
    project = context.project
    only = project.path(settings.pg_dump) if settings.pg_dump is not None else None
    path_variable = default_path(project.variables)
    tools = find_tools(("pg_dump", "pg_restore"), context.session.server.major, path_variable, only=only)
    lock_table = project.ledger.table("lock").as_string(None)
    chosen = pg_dump_options.selection(settings.schemas, settings.tables, settings.exclude, lock_table)
    squeezed = [pg_dump_options.compression(settings.compress, tools)] if format_ != "plain" else []
    common = [*squeezed, *chosen, *settings.extra_args]
    if settings.compress is not None or settings.extra_args:
        _ask(context, tools, [f"--format={'plain' if format_ == 'plain' else 'custom'}", *common])
    jobs = [f"--jobs={settings.jobs}"] if format_ == "directory" and settings.jobs is not None else []
    return Client(tools, (f"--format={format_}", *jobs, *common))


def _ask(context: RunContext, tools: ClientTools, options: list[str]) -> None:
    """Lets pg_dump look at its options; it says what it does not know, or that there is no server."""
    program = tools.program("pg_dump")
    kept = {name: value for name, value in context.project.variables.items() if not name.startswith("PG")}
    environment = {**kept, "LC_ALL": "C"}
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
        try:
            ended = runner.run(
                [str(program), *options, *_NO_SERVER],
                environment=environment,
                deadline=context.deadline.sooner(10),
                stdout=nowhere.fileno(),
            )
        except (runner.OutOfTimeError, OSError) as error:
            raise BackupError(f"{program} can not be asked about its options") from error
    found = pg_dump_options.complaint(ended.last_lines)
    if found is not None:
        raise BackupError(
            f"pg_dump {tools.version_text} in {tools.folder} does not take the options: {found}",
            hint="Mend `compress` or `extra_args`, or name another program by `pg_dump:`.",
        )
