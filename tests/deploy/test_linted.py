"""The tools of each ecosystem find nothing to say about examples/deploy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.places import DEPLOY
from tests.waiting import at_most

LINTED = Path(__file__).parent / ".yamllint.yaml"
UNITS = sorted(path.name for path in (DEPLOY / "systemd").iterdir())
MOST_EXPOSED = 15  # tenths, of 100; what systemd calls OK ends at 40


def check(tool: str, *arguments: str | Path) -> str:
    """Runs a tool of this environment, else of the machine."""
    installed = Path(sys.executable).with_name(tool)
    command = [installed if installed.exists() else tool, *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=at_most(60), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_dockerfile() -> None:
    assert check("hadolint", DEPLOY / "Dockerfile") == ""


def test_the_compose_file() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_the_manifests_of_kubernetes() -> None:
    manifests = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    said = check("kubernetes-validate", "--strict", *manifests)
    assert said.count(" passed ") == len(manifests) > 0


def test_the_yaml() -> None:
    check("yamllint", "--strict", "-c", LINTED, DEPLOY)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with a program that is there on each machine."""
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/bootstrapper/bin/bootstrapper", "/bin/true"), encoding="utf-8")
    return [tmp_path / name for name in UNITS]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_of_systemd(units: list[Path]) -> None:
    assert check("systemd-analyze", "verify", *units) == ""
    services = [unit for unit in units if unit.suffix == ".service"]
    check("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", *services)
