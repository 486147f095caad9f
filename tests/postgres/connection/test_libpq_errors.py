"""What libpq says of a host that only IPv6 leads to, on a machine without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrapper.postgres.connection.attempt import Failure
from bootstrapper.postgres.connection.libpq_errors import judge
from tests.cli.project import ROOT, Project
from tests.waiting import at_most

ADVICE = "\n\tIs the server running on that host and accepting TCP/IP connections?"
CAUSE = "no route over IPv6, and the host has no IPv4 address"
WITHOUT_NETWORK = ["unshare", "--user", "--map-root-user", "--net"]


@pytest.mark.parametrize("place", ['"db.example.com" (2600:1f16::8)', '"2600:1f16::8"'])
@pytest.mark.parametrize("reason", ["Network is unreachable", "No route to host", "Cannot assign requested address"])
def test_a_host_without_ipv4_is_named_as_the_cause(place: str, reason: str) -> None:
    verdict = judge(Failure(f"connection to server at {place}, port 5432 failed: {reason}{ADVICE}"))
    assert (verdict.reason, verdict.transient) == (CAUSE, True)
    assert "an address with IPv4" in (verdict.hint or "")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ('"db.example.com" (203.0.113.9)', "Network is unreachable"),
        ('"203.0.113.9"', "No route to host"),
        ('"db.example.com" (2600:1f16::8)', "Connection refused"),
    ],
)
def test_another_cause_is_not_taken_for_it(place: str, reason: str) -> None:
    assert judge(Failure(f"connection to server at {place}, port 5432 failed: {reason}{ADVICE}")).reason != CAUSE


def test_the_page_about_supabase_shows_the_message() -> None:
    page = (ROOT / "docs" / "how-to" / "providers" / "supabase.md").read_text(encoding="utf-8")
    assert f"wait: attempt 1 failed: {CAUSE}; retrying" in page


def has_namespaces() -> bool:
    try:
        return subprocess.run([*WITHOUT_NETWORK, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not has_namespaces(), reason="needs a namespace of networks")
@pytest.mark.parametrize(
    ("hosts", "said"),
    [("[2001:db8::1]:5432", CAUSE), ("[2001:db8::1],203.0.113.9:5432", "Network is unreachable")],
)
def test_wait_names_it_unless_another_host_fails_in_another_way(hosts: str, said: str, tmp_path: Path) -> None:
    project = Project(tmp_path, f"postgresql://app@{hosts}/app")
    project.write()
    waited = subprocess.run(
        [*WITHOUT_NETWORK, sys.executable, "-m", "bootstrapper", "wait", "--timeout", "500ms"],
        cwd=project.folder,
        env=project.variables(),
        capture_output=True,
        encoding="utf-8",
        timeout=at_most(60),
        check=False,
    )
    assert waited.returncode == 5
    assert f"wait: attempt 1 failed: {said}; retrying" in waited.stderr
