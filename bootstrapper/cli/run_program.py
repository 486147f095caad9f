"""`run`: applies as `apply` does, then becomes the program that follows `--`."""

from __future__ import annotations

import click

from bootstrapper.cli import options
from bootstrapper.cli.api_request import request
from bootstrapper.cli.apply import apply_asked, follow_asked
from bootstrapper.cli.groups import Misuse
from bootstrapper.cli.options import Invocation, takes
from bootstrapper.cli.output import give_back_stdout
from bootstrapper.cli.reporter import Reporter
from bootstrapper.programs.replacement import find_program, replace_process

_METAVAR = "-- PROGRAM [ARGUMENTS]"


class _BeforeProgram(click.Command):
    """A command whose options end at `--`, so that it never takes one of the program for its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        if "--" not in given and not {"-h", "--help"} & set(given):
            raise Misuse("`--` is missing", ctx, f"Write `{ctx.command_path} [OPTIONS] {_METAVAR}`.")
        rest = super().parse_args(ctx, args)
        program = tuple(given[given.index("--") + 1 :])
        taken = ctx.params["program"]
        if taken != program:
            raise Misuse(f"unexpected argument {taken[0]!r} before `--`", ctx, "Write the program after `--`.")
        if not program:
            raise Misuse("no program follows `--`", ctx, f"Write `{ctx.command_path} [OPTIONS] {_METAVAR}`.")
        return rest


@click.command(cls=_BeforeProgram)
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar=_METAVAR)
@takes(
    *options.SELECTION,
    *options.REPORTING,
    options.confirm,
    options.allow,
    *options.RUNNING,
    click.option("--follow", is_flag=True, help="Wait until other runs are done; takes no lock, writes nothing."),
)
def run(invocation: Invocation, *, follow: bool, program: tuple[str, ...]) -> int:
    """Apply as `apply` does, then become PROGRAM (exec).

    A database that a newer release has changed is left alone, with a warning, and PROGRAM is started.

    PROGRAM has the process id, environment, stdin and signals of bootstrapper; its exit code is the result. It is not
    started if the database does not get ready.
    """
    path = find_program(program[0], invocation.variables)
    with Reporter(invocation, "apply") as reporter:
        asked = request(invocation, reporter.emit, startup=True)
        if follow:
            follow_asked(invocation, reporter, asked)
        else:
            apply_asked(invocation, reporter, asked)
    give_back_stdout()
    replace_process(path, program, invocation.variables)
