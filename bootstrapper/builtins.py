"""The built-in plugin: everything that comes with bootstrapper, through the hooks that anybody's plugin uses."""

from __future__ import annotations

from collections.abc import Sequence

from bootstrapper.checks.backup import BackupCheck
from bootstrapper.checks.database import DatabaseCheck
from bootstrapper.checks.environment import EnvironmentCheck
from bootstrapper.checks.extension import ExtensionCheck
from bootstrapper.checks.fixtures import FixturesCheck
from bootstrapper.checks.never import NeverCheck
from bootstrapper.checks.once import OnceCheck
from bootstrapper.checks.pending import PendingCheck
from bootstrapper.checks.revision import RevisionCheck
from bootstrapper.checks.rows import RowsCheck
from bootstrapper.checks.sql import SqlCheck
from bootstrapper.checks.table import TableCheck
from bootstrapper.hookspecs import hookimpl
from bootstrapper.renderer import Renderer
from bootstrapper.renderers.json import JSONRenderer
from bootstrapper.renderers.markdown import MarkdownRenderer
from bootstrapper.renderers.text import TextRenderer
from bootstrapper.step import Check, Gate, Scope, Step, Value
from bootstrapper.steps.backup import Backup
from bootstrapper.steps.command import Command
from bootstrapper.steps.lock import Lock
from bootstrapper.steps.migrate import Migrate
from bootstrapper.steps.seed import Seed
from bootstrapper.steps.sql import Sql
from bootstrapper.steps.wait import Wait
from bootstrapper.values.env import Env
from bootstrapper.values.file import File
from bootstrapper.values.literal import Literal
from bootstrapper.values.now import Now
from bootstrapper.values.password import Password
from bootstrapper.values.sql import SqlValue
from bootstrapper.values.uuid import Uuid


@hookimpl
def bootstrapper_values() -> Sequence[type[Value]]:
    return [Env, File, Literal, Now, Password, SqlValue, Uuid]


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
