"""A group of commands: help in sections, and hints for a misspelt command and for an option before its command."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import click

from bootstrapper.text import nearest


class Misuse(click.UsageError):
    """A usage error with its own hint, instead of the one that names `--help`."""

    def __init__(self, message: str, ctx: click.Context, hint: str) -> None:
        super().__init__(message, ctx)
        self.hint = hint


class Group(click.Group):
    """Its commands have all the options, so that an option before the command is an error with a hint."""

    def sections(self) -> Mapping[str, Iterable[str]]:
        """Headings of the help, each with its commands."""
        return {"Commands": self.commands}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands in the order of the help, not in that of the alphabet."""
        return [name for names in self.sections().values() for name in names]

    def known(self) -> Iterable[str]:
        """Names that a misspelt command is compared with."""
        return self.commands

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes whole summaries, where click cuts those that do not fit on a line."""
        width = max(map(len, self.list_commands(ctx)))
        for heading, names in self.sections().items():
            commands = {f"{name:<{width}}": command for name in names if (command := self.get_command(ctx, name))}
            with formatter.section(heading):
                formatter.write_dl([(name, each.get_short_help_str(sys.maxsize)) for name, each in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            message, near = f"unknown command {name!r}", nearest(name, self.known())
            raise Misuse(message, ctx, f"Did you mean {near!r}?") if near else click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            option = error.option_name
            path = next(self._commands_with(option, ctx, given), None)
            if path is None:
                raise
            message = f"option {option!r} must follow the command"
            raise Misuse(message, ctx, f"Write `{ctx.command_path} {path} {option} ...`.") from error

    def invoke(self, ctx: click.Context) -> object:
        """Adds the command to an error of the option parser, which names none, for the hint and the report."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            name = ctx.invoked_subcommand
            if error.ctx is None and name and (command := self.get_command(ctx, name)):
                error.ctx = click.Context(command, parent=ctx, info_name=name)
            raise

    def _commands_with(self, option: str, ctx: click.Context, words: Sequence[str]) -> Iterator[str]:
        """Yields the command among the words if it has the option; if no word is a command, each one that has it."""
        named = [word for word in words if self.get_command(ctx, word) is not None]
        for name in named[:1] or self.list_commands(ctx):
            yield from _paths(name, self.get_command(ctx, name), option, ctx, words)


def _paths(
    name: str, command: click.Command | None, option: str, ctx: click.Context, words: Sequence[str]
) -> Iterator[str]:
    if isinstance(command, Group):
        yield from (f"{name} {path}" for path in command._commands_with(option, ctx, words))
    elif command is not None and any(option in (*each.opts, *each.secondary_opts) for each in command.params):
        yield name
