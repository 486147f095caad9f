"""Tests of the names that are known before a built-in class is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bootstrapper.builtin import registry
from bootstrapper.plugin.on_demand import OnDemand

IMPORTED = "import sys, bootstrapper.builtin.registry; print(*(name for name in sys.modules if name.startswith({!r})))"


@pytest.mark.parametrize("step", registry.bootstrapper_steps(), ids=lambda step: step.name)
def test_a_step_is_registered_under_its_own_name(step: OnDemand) -> None:
    assert step.load().uses == step.name


@pytest.mark.parametrize("check", registry.bootstrapper_checks(), ids=lambda check: check.name)
def test_a_check_is_registered_under_its_own_key(check: OnDemand) -> None:
    assert check.load().key == check.name


@pytest.mark.parametrize("package", ["bootstrapper.builtin.steps", "bootstrapper.builtin.checks"])
def test_no_step_and_no_check_is_imported_before_a_file_names_it(package: str) -> None:
    found = subprocess.run([sys.executable, "-c", IMPORTED.format(package)], capture_output=True, text=True, check=True)
    assert found.stdout == "\n"
