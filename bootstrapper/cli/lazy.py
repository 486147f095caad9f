"""A group that imports the module of a command when the command is named: `plan` does not pay for `dev`."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from bootstrapper.cli.groups import Group


class LazyGroup(Group):
    def __init__(
        self, *arguments: Any, lazy: Mapping[str, Mapping[str, str]], aliases: Mapping[str, str], **options: Any
    ) -> None:
        """Stores where the commands are.

        Args:
            lazy: `module:attribute` by the command's name, by the heading of the help.
            aliases: Other names of commands, which the help does not list.
        """
        super().__init__(*arguments, **options)
        self._sections = lazy
        self._aliases = aliases
        self._places = {name: place for section in lazy.values() for name, place in section.items()}

    def sections(self) -> Mapping[str, Iterable[str]]:
        return self._sections

    def known(self) -> Iterable[str]:
        return (*self._places, *self._aliases)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(self._aliases.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, attribute = place.split(":")
        with _uncollected():
            command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@contextmanager
def _uncollected() -> Iterator[None]:
    """Imports without garbage collection, which takes a fifth of their time and frees nothing: modules stay loaded."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
