"""Tests of the commands that run steps of one type."""

from __future__ import annotations

import pytest

from tests.cli.project import BOOTSTRAP, Project

pytestmark = pytest.mark.smoke


def test_a_command_for_one_type_prints_why_its_step_is_skipped(project: Project) -> None:
    fixtures = "fixtures: {notes: {key: [id], rows: {one: {id: 1}}}}\nenvironments: {staging: {}}\n"
    project.write(BOOTSTRAP + "  - {uses: seed, when: {environment: [development]}}\n" + fixtures)
    said = project.run("seed", "-e", "staging").stderr.splitlines()[-1]
    why = "seed is not needed: the environment is staging, not development"
    assert said == f"nothing to do: no step of type seed has changes; {why}"


def test_a_command_for_one_type_lists_its_steps_if_none_was_chosen(project: Project) -> None:
    project.write(BOOTSTRAP + "  - uses: backup\n  - {uses: backup, name: second, with: {directory: second}}\n")
    for arguments in (["backup"], ["backup", "now.dump"]):
        run = project.run(*arguments, "--step", "notes")
        assert run.returncode == 2
        assert run.stderr.splitlines() == [
            "error: none of the chosen steps uses 'backup'",
            "hint: Of this type: backup, second. [BOOT-204]",
        ]


def test_a_backup_to_a_file_uses_the_chosen_step(project: Project) -> None:
    project.write(BOOTSTRAP + "  - uses: backup\n  - {uses: backup, name: second}\n")
    for arguments in (["--step", "second"], ["--skip", "backup"]):
        assert "> second (backup)" in project.run("backup", "now.dump", *arguments, "--dry-run").stdout


def test_a_command_for_a_type_missing_in_the_file_is_refused(project: Project) -> None:
    run = project.run("migrate")
    assert run.returncode == 2
    assert "no step that uses 'migrate'" in run.stderr
