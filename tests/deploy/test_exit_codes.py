"""Each platform tries again what is retryable, and nothing else."""

from __future__ import annotations

import pytest

from bootstrapper.errors import ExitCode
from tests.deploy.places import Unit, manifest

RETRYABLE = {ExitCode.UNREACHABLE, ExitCode.LOCKED}
NEVER_OF_APPLY = {ExitCode.DONE, ExitCode.PENDING}
SIGNALS = {ExitCode.INTERRUPTED, ExitCode.TERMINATED}
FINAL = sorted(set(ExitCode) - RETRYABLE - NEVER_OF_APPLY - SIGNALS)


def test_a_job_fails_at_once_with_what_is_not_retryable() -> None:
    first, second = manifest("kubernetes/job.yaml")["spec"]["podFailurePolicy"]["rules"]
    assert (first["action"], first["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget"}])
    assert (second["action"], second["onExitCodes"]["values"]) == ("FailJob", FINAL)


def test_a_job_names_the_container_whose_exit_codes_it_asks_about() -> None:
    spec = manifest("kubernetes/job.yaml")["spec"]
    named = {
        rule["onExitCodes"]["containerName"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    }
    assert named == {container["name"] for container in spec["template"]["spec"]["containers"]}


@pytest.mark.parametrize("name", ["app-database.service", "app-database-backup.service"])
def test_a_unit_is_not_restarted_with_what_is_not_retryable(name: str) -> None:
    service = Unit(name)["Service"]
    assert service["Restart"] == "on-failure"
    assert [int(code) for code in service["RestartPreventExitStatus"].split()] == FINAL


def test_every_platform_waits_longer_than_a_run_takes_to_end() -> None:
    """docs/how-to/lock.md asks for at least 10 seconds."""
    pods = [manifest(f"kubernetes/{name}.yaml")["spec"]["template"]["spec"] for name in ("job", "deployment")]
    graces = [pod["terminationGracePeriodSeconds"] for pod in pods]
    graces.append(int(manifest("compose.yaml")["services"]["database"]["stop_grace_period"].removesuffix("s")))
    graces.append(int(Unit("app-database.service")["Service"]["TimeoutStopSec"].removesuffix("s")))
    assert min(graces) >= 10
