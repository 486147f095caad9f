"""The built-in plugin: everything that comes with bootstrapper, through the hooks that every plugin uses."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.builtin.checks.backup import BackupCheck
from bootstrapper.builtin.checks.database import DatabaseCheck
from bootstrapper.builtin.checks.environment import EnvironmentCheck
from bootstrapper.builtin.checks.extension import ExtensionCheck
from bootstrapper.builtin.checks.fixtures import FixturesCheck
from bootstrapper.builtin.checks.never import NeverCheck
from bootstrapper.builtin.checks.once import OnceCheck
from bootstrapper.builtin.checks.pending import PendingCheck
from bootstrapper.builtin.checks.revision import RevisionCheck
from bootstrapper.builtin.checks.rows import RowsCheck
from bootstrapper.builtin.checks.sql import SqlCheck
from bootstrapper.builtin.checks.table import TableCheck
from bootstrapper.builtin.renderers.json import JSONRenderer
from bootstrapper.builtin.renderers.markdown import MarkdownRenderer
from bootstrapper.builtin.renderers.text import TextRenderer
from bootstrapper.builtin.steps.backup import Backup
from bootstrapper.builtin.steps.command import Command
from bootstrapper.builtin.steps.lock import Lock
from bootstrapper.builtin.steps.migrate import Migrate
from bootstrapper.builtin.steps.seed import Seed
from bootstrapper.builtin.steps.sql import Sql
from bootstrapper.builtin.steps.wait import Wait
from bootstrapper.builtin.values.command import CommandOutput
from bootstrapper.builtin.values.env import Env
from bootstrapper.builtin.values.file import File
from bootstrapper.builtin.values.literal import Literal
from bootstrapper.builtin.values.now import Now
from bootstrapper.builtin.values.password import Password
from bootstrapper.builtin.values.sql import SqlValue
from bootstrapper.builtin.values.uuid import Uuid
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.hooks import hookimpl
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, Scope
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.value import Value


@hookimpl
def bootstrapper_values() -> Sequence[type[Value]]:
    return [CommandOutput, Env, File, Literal, Now, Password, SqlValue, Uuid]


@hookimpl
def bootstrapper_checks() -> Sequence[type[Check]]:
    return [
        BackupCheck,
        DatabaseCheck,
        EnvironmentCheck,
        ExtensionCheck,
        FixturesCheck,
        NeverCheck,
        OnceCheck,
        PendingCheck,
        RevisionCheck,
        RowsCheck,
        SqlCheck,
        TableCheck,
    ]


@hookimpl
def bootstrapper_steps() -> Sequence[type[Gate | Scope | Step]]:
    return [Wait, Lock, Backup, Migrate, Seed, Sql, Command]


@hookimpl
def bootstrapper_renderers() -> Sequence[type[Renderer]]:
    return [TextRenderer, JSONRenderer, MarkdownRenderer]
