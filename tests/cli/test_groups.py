"""Tests of the help of every command and group, at several widths."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from bootstrapper.cli import group
from tests.cli.project import Project

HEADINGS = ["Every day", "Database", "Fixtures", "Backups", "Many databases", "Guards", "Inspect", "Set up"]


def paths(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields every command and group as the words that name it."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from paths(child, (*words, name))


def help_of(project: Project, *words: str, columns: int) -> list[str]:
    run = project.run(*words, "--help", COLUMNS=str(columns))
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("words", [*paths(group)], ids=" ".join)
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_cuts_no_line_and_fits_the_terminal(offline: Project, words: tuple[str, ...], columns: int) -> None:
    usage, *lines = help_of(offline, *words, columns=columns)
    assert usage.startswith(f"Usage: {' '.join(('bootstrapper', *words))} ")
    body = lines[lines.index("") :]  # the usage of a command with a long path has a second line
    assert [line for line in body if line.endswith("...") or len(line) > columns] == []


def test_help_has_every_command_under_one_heading(offline: Project) -> None:
    lines = help_of(offline, columns=80)
    listed = lines[lines.index(f"{HEADINGS[0]}:") :]
    headings = [line.removesuffix(":") for line in listed if line.endswith(":") and not line.startswith(" ")]
    names = [line.split()[0] for line in listed if line.startswith("  ") and not line.startswith("   ")]
    commands = group.list_commands(click.Context(group))
    assert headings == HEADINGS
    assert names[: len(commands)] == commands
    assert len(commands) == len(set(commands))


@pytest.mark.parametrize("words", [words for words in paths(group) if words], ids=" ".join)
def test_a_summary_takes_one_line_of_80_columns(offline: Project, words: tuple[str, ...]) -> None:
    *parent, name = words
    lines = [line.split() for line in help_of(offline, *parent, columns=80)]
    summary = " ".join(next(line for line in lines if line[:1] == [name])[1:])
    assert summary.endswith((".", ")"))
