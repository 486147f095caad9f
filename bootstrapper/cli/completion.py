"""`completion`: prints the script by which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bootstrapper.cli.output import print_data
from bootstrapper.errors import ExitCode

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print a script with which SHELL completes commands and options.

    For bash and zsh, write eval "$(bootstrapper completion bash)" into the start-up file of the shell; for fish, save
    the script as ~/.config/fish/completions/bootstrapper.fish.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    print_data(kind(root.command, {}, "bootstrapper", "_BOOTSTRAPPER_COMPLETE").source())
    return ExitCode.DONE
