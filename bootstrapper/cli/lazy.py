"""A group of commands, each loaded when it is asked for: `plan` does not pay for `dev`."""

from __future__ import annotations

import difflib
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from bootstrapper.cli.groups import Group


class LazyGroup(Group):
    def __init__(self, *arguments: Any, lazy: dict[str, str], aliases: dict[str, str], **options: Any) -> None:
        """Takes where commands are.

        Args:
            lazy: `module:attribute` by the command's name.
            aliases: Other names that help does not list.
        """
        super().__init__(*arguments, **options)
        self._lazy = lazy
        self._aliases = aliases

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._lazy.get(self._aliases.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, attribute = place.split(":")
        with _uncollected():
            command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            close = difflib.get_close_matches(name, [*self._lazy, *self._aliases], 1)
            guess = f"; did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"there is no command {name!r}{guess}")
        return super().resolve_command(ctx, args)


@contextmanager
def _uncollected() -> Iterator[None]:
    """What modules define lives as long as the process; looking through it for garbage is a fifth of loading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
