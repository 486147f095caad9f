"""Tests of the options that commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.project import BOOTSTRAP, Project

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_variables_set_the_file_and_the_environment(project: Project, command: str) -> None:
    project.write(BOOTSTRAP + "environments: {staging: {}}\n", "other/place.yaml")
    named = {"BOOTSTRAPPER_FILE": str(Path("other") / "place.yaml"), "BOOTSTRAPPER_ENVIRONMENT": "staging"}
    run = project.run(command, **named)
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines()[0].endswith("environment staging")
