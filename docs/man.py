"""Writes a man page for each command: python docs/man.py FOLDER."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
from click_man.man import ManPage

from bootstrapper import __version__
from bootstrapper.cli import group


def pages() -> dict[str, str]:
    """Returns the pages by the names of their files."""
    return {f"{context.command_path.replace(' ', '-')}.1": str(_page(context)) for context in _contexts(group)}


def _contexts(command: click.Command, parent: click.Context | None = None) -> Iterator[click.Context]:
    context = click.Context(command, info_name=command.name if parent else "bootstrapper", parent=parent)
    yield context
    for child in _commands(context):
        yield from _contexts(child, context)


def _commands(context: click.Context) -> list[click.Command]:
    command = context.command
    if not isinstance(command, click.Group):
        return []
    found = [command.get_command(context, name) for name in command.list_commands(context)]
    return [each for each in found if each is not None]


def _page(context: click.Context) -> ManPage:
    command = context.command
    page = ManPage(context.command_path)
    page.version = __version__
    page.short_help = command.get_short_help_str(sys.maxsize).rstrip(".")
    page.description = "\n\n".join(cleandoc(text) for text in (command.help, command.epilog) if text)
    page.synopsis = " ".join(command.collect_usage_pieces(context))
    records = [each.get_help_record(context) for each in command.params if isinstance(each, click.Option)]
    page.options = [record for record in records if record is not None]
    page.commands = [(each.name, each.get_short_help_str(sys.maxsize)) for each in _commands(context)]
    return page


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
