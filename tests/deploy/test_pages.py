"""The pages about deploying agree with examples/deploy, and their commands are correct as far as can be checked."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.places import DEPLOY, ROOT, container, manifest
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
    made = {"examples/deploy/secrets"}  # by the commands themselves
    missing = [each for each in set(named) - made if not ((ROOT / each.rstrip("/*")).exists() or each in there)]
    assert missing == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_of_the_page_depends_on_that_of_the_database(tmp_path: Path) -> None:
    (shown,) = blocks("deploy-with-systemd.md", "ini")
    database = (DEPLOY / "systemd" / "app-database.service").read_text(encoding="utf-8")
    (tmp_path / "app-database.service").write_text(re.sub("ExecStart=.*", "ExecStart=/bin/true", database))
    (tmp_path / "app.service").write_text(f"{shown}[Service]\nExecStart=/bin/true\n")
    assert check("systemd-analyze", "verify", tmp_path / "app.service", tmp_path / "app-database.service") == ""
    required = re.findall(r"^Requires=(\S+)$", shown, re.MULTILINE)
    assert required == ["app-database.service"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Dockerfile", "dockerfile"),
        (".dockerignore", "text .dockerignore"),
        ("requirements.txt", "text requirements.txt"),
        ("bootstrap.yaml", "yaml manifest bootstrap"),
    ],
)
def test_the_page_shows_what_the_build_needs(name: str, kind: str) -> None:
    (shown,) = blocks("deploy-with-containers.md", kind)
    lines = (DEPLOY / name).read_text(encoding="utf-8").splitlines(keepends=True)
    assert shown == "".join(lines[2:] if name == "bootstrap.yaml" else lines)  # without its first comment


def test_only_the_job_has_the_direct_address() -> None:
    (shown,) = blocks("deploy-with-kubernetes.md", "yaml manifest direct-url")
    assert yaml.safe_load(shown)[0] in container("kubernetes/job.yaml")["env"]
    assert "env" not in container("kubernetes/deployment.yaml", "initContainers")


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


def test_the_init_container_of_the_page_is_a_patch_of_the_deployment(tmp_path: Path) -> None:
    (shown,) = blocks("deploy-with-kubernetes.md", "yaml manifest init-container")
    patch = yaml.safe_load(shown)["spec"]["template"]["spec"]
    deployment = manifest("kubernetes/deployment.yaml")
    pod, job = deployment["spec"]["template"]["spec"], manifest("kubernetes/job.yaml")["spec"]["template"]["spec"]
    for kind, items in patch.items():
        named = {item["name"]: item for item in pod[kind]}
        for item in items:
            named[item["name"]].update(item)
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(deployment), encoding="utf-8")
    check("kubernetes-validate", "--strict", tmp_path / "deployment.yaml")
    assert pod["initContainers"][0]["args"] == job["containers"][0]["args"]
    secrets = [
        volume["secret"]["secretName"] for spec in (pod, job) for volume in spec["volumes"] if "secret" in volume
    ]
    assert secrets == ["app-database", "app-database"]


def test_the_secrets_of_the_page_are_those_that_the_manifests_mount() -> None:
    made = re.findall(r"secret generic (\S+)", blocks("deploy-with-kubernetes.md", "sh")[1])
    pods = [manifest(f"kubernetes/{name}.yaml")["spec"]["template"]["spec"] for name in ("job", "deployment")]
    assert made == [volume["secret"]["secretName"] for pod in pods for volume in pod["volumes"] if "secret" in volume]


def test_the_secrets_of_the_page_are_those_of_the_compose_file(tmp_path: Path) -> None:
    script = blocks("deploy-with-containers.md", "sh")[1].partition("docker compose")[0]
    (tmp_path / "examples" / "deploy").mkdir(parents=True)
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True)
    made = {path.name: path for path in (tmp_path / "examples/deploy/secrets").iterdir()}
    assert {name: f"secrets/{name}" for name in made} == {
        name: given["file"] for name, given in manifest("compose.yaml")["secrets"].items()
    }
    assert made["postgres_password"].read_text().strip() in made["database_url"].read_text()
    assert made["postgres_password"].read_text() != made["admin_password"].read_text()
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o444}


def test_the_volumes_of_compose_belong_to_the_user_of_the_image() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"^USER (\d+):\d+$", dockerfile, re.MULTILINE)
    for volume in manifest("compose.yaml")["services"]["database"]["volumes"]:
        assert f"install -d -o {user} -g {user} {volume.partition(':')[2]}" in dockerfile


def test_the_names_of_the_page_are_those_of_the_manifests() -> None:
    typed = blocks("deploy-with-kubernetes.md", "sh")[0]
    job = manifest("kubernetes/job.yaml")["metadata"]["name"]
    assert f"delete job {job} " in typed
    assert f"job/{job}\n" in typed


def test_the_pods_wait_longer_than_the_job_may_take() -> None:
    deployment = manifest("kubernetes/deployment.yaml")["spec"]
    minutes = int(manifest("bootstrap.yaml")["limits"]["timeout"].removesuffix("m"))
    assert deployment["progressDeadlineSeconds"] > minutes * 60
