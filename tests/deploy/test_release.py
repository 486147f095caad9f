"""The workflow that releases: its shell, its notes, its man pages. What it uploads to cannot be reached from a test."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrapper import __version__
from tests.deploy.places import ROOT
from tests.deploy.test_linted import LINTED, check

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]


def test_the_workflow_is_correct(tmp_path: Path) -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    check("yamllint", "--strict", "-c", LINTED, WORKFLOW)
    script = tmp_path / "script.sh"
    script.write_text("\n".join(["#!/bin/bash", *scripts()]), encoding="utf-8")
    check("shellcheck", script)


def scripts() -> list[str]:
    return [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]


def test_the_files_and_targets_of_the_workflow_exist() -> None:
    text = "\n".join(scripts())
    assert [name for name in re.findall(r"python (\S+\.py)", text) if not (ROOT / name).exists()] == []
    targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    (made,) = re.findall(r"^make (.*)$", text, re.MULTILINE)
    words = {word for word in made.split() if "=" not in word}  # the others are variables
    assert words <= set(targets)


def test_actions_of_others_are_pinned_by_commit_beside_their_tag() -> None:
    """A tag can be moved to other code."""
    text = WORKFLOW.read_text(encoding="utf-8") + (ROOT / "action.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (?!\./)(.*)$", text, re.MULTILINE)
    loose = [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", each)]
    assert [each.partition("@")[0] for each in loose] == ["pypa/gh-action-pypi-publish"], "its branch of releases"
    assert len(used) > len(loose)


def test_no_job_has_more_than_it_needs() -> None:
    """Only the job that publishes may do so, and only that which announces may write to the repository."""
    assert {name for name, job in JOBS.items() if job["permissions"].get("contents") == "write"} == {"announce"}
    assert (JOBS["publish"]["permissions"], JOBS["publish"]["environment"]) == ({"id-token": "write"}, "pypi")
    assert [job["needs"] for job in list(JOBS.values())[1:]] == list(JOBS)[:-1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the notes are made of, on the day of the release."""
    (tmp_path / ".github").mkdir()
    shutil.copy(ROOT / ".github" / "release_notes.py", tmp_path / ".github")
    (tmp_path / "bootstrapper").mkdir()
    shutil.copy(ROOT / "bootstrapper" / "__init__.py", tmp_path / "bootstrapper")
    changes = f"# Changelog\n\n## [{__version__}] - 2026-12-01\n\n### Added\n\n- It.\n\n## [0.0.1] - 2026-01-01\n"
    (tmp_path / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    return tmp_path


def notes(checkout: Path, tag: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ".github/release_notes.py", tag]
    return subprocess.run(command, cwd=checkout, capture_output=True, encoding="utf-8", check=False)


def test_the_notes_are_the_section_of_the_release(checkout: Path) -> None:
    assert notes(checkout, f"v{__version__}").stdout == "### Added\n\n- It.\n"


def test_a_tag_of_another_version_is_refused(checkout: Path) -> None:
    refused = notes(checkout, "v9.9.9")
    assert (refused.returncode, f"the version of the package is {__version__}" in refused.stderr) == (1, True)


def test_a_release_without_a_date_in_the_changelog_is_refused(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(f"## [{__version__}] - unreleased\n", encoding="utf-8")
    refused = notes(checkout, f"v{__version__}")
    assert (refused.returncode, "with its date" in refused.stderr) == (1, True)


def test_every_command_has_a_man_page_that_groff_accepts(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("docs_man", ROOT / "docs" / "man.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert {"bootstrapper.1", "bootstrapper-plan.1", "bootstrapper-lock-break.1"} <= written
    reference = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    headings = re.findall(r"^###? (.*)$", reference, re.MULTILINE)
    assert {f"bootstrapper-{heading.replace(' ', '-')}.1" for heading in headings} <= written
    assert "wrong usage or configuration" in (tmp_path / "bootstrapper.1").read_text(encoding="utf-8")
    if shutil.which("groff"):
        pages = [str(path) for path in sorted(tmp_path.iterdir())]
        done = subprocess.run(["groff", "-man", "-ww", "-z", *pages], capture_output=True, encoding="utf-8", check=True)
        assert done.stderr == ""
