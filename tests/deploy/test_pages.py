"""The pages about deploying agree with examples/deploy, and their commands are correct as far as can be checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.places import DEPLOY, ROOT, manifest
from tests.deploy.test_linted import check

HOW_TO = ROOT / "docs" / "how-to"
PAGES = sorted(path.name for path in HOW_TO.glob("deploy-with-*.md"))
FILES = re.compile(r"(?<![\w/])(?:examples/\S+?|[\w.-]+\.(?:yaml|service|timer))(?=[\s*]|$)")


def blocks(name: str, kind: str) -> list[str]:
    text = (HOW_TO / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_are_correct_shell_and_name_files_that_exist(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\n" + "\n".join(blocks(name, "sh")), encoding="utf-8")
    check("shellcheck", script)
    named = FILES.findall(script.read_text(encoding="utf-8"))
    assert named
    there = {path.name for path in DEPLOY.rglob("*")}
    missing = [each for each in named if not ((ROOT / each.rstrip("/*")).exists() or each in there)]
    assert missing == []


def test_the_policy_of_the_page_is_that_of_the_job() -> None:
    (shown,) = blocks("deploy-with-kubernetes.md", "yaml manifest")
    assert yaml.safe_load(shown)["podFailurePolicy"] == manifest("kubernetes/job.yaml")["spec"]["podFailurePolicy"]


@pytest.mark.parametrize("platform", ["argo-cd", "helm"])
def test_the_job_takes_the_annotations_of_the_platform(platform: str, tmp_path: Path) -> None:
    (shown,) = blocks("deploy-with-kubernetes.md", f"yaml manifest {platform}")
    job: dict[str, Any] = manifest("kubernetes/job.yaml")
    annotations = yaml.safe_load(shown)["metadata"]["annotations"]
    job["metadata"]["annotations"] = annotations
    assert all(isinstance(value, str) for value in annotations.values())
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    check("kubernetes-validate", "--strict", tmp_path / "job.yaml")


def test_the_names_of_the_page_are_those_of_the_manifests() -> None:
    (typed,) = blocks("deploy-with-kubernetes.md", "sh")
    job = manifest("kubernetes/job.yaml")["metadata"]["name"]
    assert f"delete job {job} " in typed
    assert f"job/{job}\n" in typed


def test_the_pods_wait_longer_than_the_job_may_take() -> None:
    deployment = manifest("kubernetes/deployment.yaml")["spec"]
    minutes = int(manifest("bootstrap.yaml")["limits"]["timeout"].removesuffix("m"))
    assert deployment["progressDeadlineSeconds"] > minutes * 60
