"""Tests of `validate`."""

from __future__ import annotations

import pytest

from tests.cli.project import Project

pytestmark = pytest.mark.smoke


def test_validate_does_not_connect(offline: Project) -> None:
    run = offline.run("validate")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "bootstrap.yaml is valid: 4 steps\n"
