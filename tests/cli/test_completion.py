"""Tests of `completion`, in a real shell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.waiting import at_most

TYPE = """
COMP_WORDS=(bootstrapper {words}); COMP_CWORD={position}
_bootstrapper_completion bootstrapper
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def shell(offline: Project, tmp_path: Path) -> Project:
    """A project in whose shell `bootstrapper` is this program."""
    path = tmp_path / "bin" / "bootstrapper"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m bootstrapper "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return offline


def bash(project: Project, script: str) -> subprocess.CompletedProcess[str]:
    variables = project.variables()
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", f'eval "$(bootstrapper completion bash)"\n{script}'],
        cwd=project.folder,
        env={**variables, "PATH": f"{project.folder / 'bin'}:{variables['PATH']}"},
        capture_output=True,
        encoding="utf-8",
        timeout=at_most(60),
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("pl", 1, ["plan", "plugins"]),
        ("plan --ex", 2, ["--exit-code"]),
        ("lock ''", 2, ["show", "break"]),
        ("completion z", 2, ["zsh"]),
    ],
)
def test_bash_completes_commands_and_options(shell: Project, words: str, position: int, expected: list[str]) -> None:
    done = bash(shell, TYPE.format(words=words, position=position))
    assert (done.stdout.split(), done.stderr) == (expected, "")


@pytest.mark.parametrize(("name", "line"), [("zsh", "compdef _bootstrapper_completion"), ("fish", "complete ")])
def test_other_shells_get_a_script_of_their_own(name: str, line: str, offline: Project) -> None:
    printed = offline.run("completion", name)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert line in printed.stdout
    assert "_BOOTSTRAPPER_COMPLETE=" in printed.stdout
    if shutil.which(name):
        done = subprocess.run([name, "-n"], input=printed.stdout, capture_output=True, encoding="utf-8", check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_wrong_usage(offline: Project) -> None:
    assert offline.run("completion", "tcsh").returncode == 2
