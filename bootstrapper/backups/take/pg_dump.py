"""Finds the pg_dump for the server, and checks its options before anything depends on them."""

from __future__ import annotations

import os

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.manifest import Format
from bootstrapper.backups.take import pg_dump_options
from bootstrapper.config.run_cache import Kept
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BackupError
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.server.clienttools import ClientTools, find_tools
from bootstrapper.programs import runner

# No server can have its socket there: pg_dump checks its options first, then tries to connect.
_NO_SERVER = ("--host=/dev/null/nowhere", "--port=1", "--dbname=nothing", "--no-password")


_DEPENDS_ON = {"pg_dump", "compress", "jobs", "schemas", "tables", "exclude", "extra_args"}


@dataclass(frozen=True)
class Client:
    """The programs, and the options for one format.

    Attributes:
        options: Options of pg_dump, without those for its output.
    """

    tools: ClientTools
    options: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        return [str(self.tools.program("pg_dump")), *self.options, "--no-password"]


_CLIENTS = Kept[tuple[Format, int, str], Client]()
"""By format, major version of the server, and the settings that decide on programs and options."""


def find_client(context: RunContext, settings: BackupSettings, format_: Format) -> Client:
    """Returns the program and its options, looked for once a run.

    Raises:
        GuardError: The connection leads through a pooler.
        ClientToolsError: There is no pg_dump for this server.
        BackupError: It does not know an option.
    """
    context.session.require_direct("pg_dump")
    clients = context.project.cache.of(_CLIENTS)
    wanted = settings.model_dump_json(include=_DEPENDS_ON)
    key = (format_, context.session.server.major, wanted)
    if key not in clients:
        clients[key] = _find(context, settings, format_)
    return clients[key]


def _find(context: RunContext, settings: BackupSettings, format_: Format) -> Client:
    project = context.project
    only = project.path(settings.pg_dump) if settings.pg_dump is not None else None
    path_variable = project.variables.get("PATH", os.defpath)
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
    """Lets pg_dump check its options; raises BackupError if it does not know one."""
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
            raise BackupError(f"cannot check the options of {program}") from error
    found = pg_dump_options.complaint(ended.last_lines)
    if found is not None:
        raise BackupError(
            f"pg_dump {tools.version_text} in {tools.folder} rejects the options: {found}",
            hint="Change `compress` or `extra_args`, or set `pg_dump` to another program.",
        )
