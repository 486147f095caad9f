"""The built-in plugin: everything that comes with bootstrapper, through the hooks that every plugin uses.

Steps and checks are most of the code, and a file uses few of them: they are imported when it names them.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.builtin.renderers.json import JSONRenderer
from bootstrapper.builtin.renderers.markdown import MarkdownRenderer
from bootstrapper.builtin.renderers.sarif import SARIFRenderer
from bootstrapper.builtin.renderers.text import TextRenderer
from bootstrapper.builtin.values.command import CommandOutput
from bootstrapper.builtin.values.env import Env
from bootstrapper.builtin.values.file import File
from bootstrapper.builtin.values.literal import Literal
from bootstrapper.builtin.values.now import Now
from bootstrapper.builtin.values.password import Password
from bootstrapper.builtin.values.sql import SqlValue
from bootstrapper.builtin.values.uuid import Uuid
from bootstrapper.plugin.hooks import hookimpl
from bootstrapper.plugin.on_demand import OnDemand
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.value import Value


@hookimpl
def bootstrapper_values() -> Sequence[type[Value]]:
    return [CommandOutput, Env, File, Literal, Now, Password, SqlValue, Uuid]


@hookimpl
def bootstrapper_checks() -> Sequence[OnDemand]:
    return [
        OnDemand("backup", "bootstrapper.builtin.checks.backup:BackupCheck"),
        OnDemand("database", "bootstrapper.builtin.checks.database:DatabaseCheck"),
        OnDemand("environment", "bootstrapper.builtin.checks.environment:EnvironmentCheck"),
        OnDemand("extension", "bootstrapper.builtin.checks.extension:ExtensionCheck"),
        OnDemand("fixtures", "bootstrapper.builtin.checks.fixtures:FixturesCheck"),
        OnDemand("never", "bootstrapper.builtin.checks.never:NeverCheck"),
        OnDemand("once", "bootstrapper.builtin.checks.once:OnceCheck"),
        OnDemand("pending", "bootstrapper.builtin.checks.pending:PendingCheck"),
        OnDemand("revision", "bootstrapper.builtin.checks.revision:RevisionCheck"),
        OnDemand("rows", "bootstrapper.builtin.checks.rows:RowsCheck"),
        OnDemand("sql", "bootstrapper.builtin.checks.sql:SqlCheck"),
        OnDemand("table", "bootstrapper.builtin.checks.table:TableCheck"),
    ]


@hookimpl
def bootstrapper_steps() -> Sequence[OnDemand]:
    return [
        OnDemand("wait", "bootstrapper.builtin.steps.wait:Wait"),
        OnDemand("lock", "bootstrapper.builtin.steps.lock:Lock"),
        OnDemand("backup", "bootstrapper.builtin.steps.backup:Backup"),
        OnDemand("extension", "bootstrapper.builtin.steps.extension:Extension"),
        OnDemand("migrate", "bootstrapper.builtin.steps.migrate:Migrate"),
        OnDemand("seed", "bootstrapper.builtin.steps.seed:Seed"),
        OnDemand("sql", "bootstrapper.builtin.steps.sql:Sql"),
        OnDemand("command", "bootstrapper.builtin.steps.command:Command"),
    ]


@hookimpl
def bootstrapper_renderers() -> Sequence[type[Renderer]]:
    return [TextRenderer, JSONRenderer, MarkdownRenderer, SARIFRenderer]
