"""Groups whose commands have all the options: one that stands before the command is told where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click


class Group(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            path = next(self._commands_with(error.option_name, ctx, given), None)
            if path is None:
                raise
            message = f"{error.option_name} stands after the command: {ctx.command_path} {path} {error.option_name} ..."
            raise click.UsageError(message, ctx) from error

    def _commands_with(self, option: str, ctx: click.Context, words: Sequence[str]) -> Iterator[str]:
        """The command among the words, if it has the option; without one there, any command that has it."""
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
