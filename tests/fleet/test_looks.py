"""Tests of `fleet plan` and `fleet status` on real servers, and of the plan of a fleet in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence

import psycopg
import pytest

from bootstrapper.api import freezing
from bootstrapper.errors import GuardError
from bootstrapper.fleet import contract
from bootstrapper.fleet.targets import Target
from bootstrapper.fleet.work import Task
from tests.fleet.tenants import Fleet

SHARD = ("--shard", "0/1")

pytestmark = pytest.mark.usefixtures("in_process")
KEY = {"BOOTSTRAPPER_PLAN_KEY": "correct horse"}
NOWHERE = "postgresql://guest:hunter2hunter2@127.0.0.1:1/app"


@pytest.fixture
def mixed(fleet: Fleet) -> Fleet:
    """Six targets: 0 and 1 at head, 2 with a changed row, 3 and 4 empty, 5 unreachable."""
    fleet.declare("parallel: 1\nretry: 0\nbudget: 1", url="${target.url}", wait="1s")
    schemas = [{"name": f"tenant-{n}", "schema": f"t{n}", "url": fleet.url if n < 5 else NOWHERE} for n in range(6)]
    fleet.list(schemas[:3])
    assert fleet.run("fleet", "apply", *SHARD).returncode == 0
    fleet.list(schemas)
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        connection.execute("UPDATE t2.notes SET body = 'changed by hand'")
    return fleet


def task_of(fleet: Fleet, number: int) -> Task:
    variables = {"name": f"tenant-{number}", "schema": f"t{number}", "url": fleet.url}
    return Task(str(fleet.folder / "bootstrap.yaml"), None, variables["name"], Target("", variables).of_request)


def tables(fleet: Fleet) -> list[tuple[object, ...]]:
    query = "SELECT n.nspname, c.relname, c.xmin::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    with psycopg.connect(fleet.url) as connection:
        return connection.execute(f"{query} WHERE n.nspname LIKE 't%' ORDER BY 1, 2".encode()).fetchall()


def test_a_plan_is_shown_once_for_targets_that_are_alike(mixed: Fleet) -> None:
    before = tables(mixed)
    done = mixed.run("fleet", "plan", *SHARD)
    assert done.returncode == 1, "one target is unreachable"
    lines = done.stdout.splitlines()
    assert lines[0] == "fleet tenants: 2 alike (A), 1 alike (B), 2 with nothing to do, 1 unreachable"
    assert "A: 2 targets: tenant-3, tenant-4" in lines
    assert "B: 1 target: tenant-2" in lines
    assert lines[-1].startswith("tenant-5: exit code 5: ")
    assert tables(mixed) == before
    found = json.loads(mixed.run("fleet", "plan", *SHARD, "--format", "json", "--target", "*-[1234]").stdout)
    assert [group["targets"] for group in found["groups"]] == [2, 1, 1]
    assert found["groups"][0]["plan"]["steps"][2]["state"] == "pending"


def test_the_status_tells_how_each_target_stands(mixed: Fleet) -> None:
    with mixed.environment():
        for number in (0, 2, 3):
            freezing.freeze(task_of(mixed, number).request(), "incident")
    found = json.loads(mixed.run("fleet", "status", *SHARD, "--format", "json").stdout)
    states = [each["state"] for each in found["targets"]]
    assert states == ["head", "head", "drifted", "behind", "behind", "unreachable"]
    done = mixed.run("fleet", "status", *SHARD, "--exit-code")
    assert done.returncode == 4
    assert "tenant-0  head         frozen: incident" in done.stdout
    details = {each["target"]: each["detail"].partition(" (by ")[0] for each in found["targets"]}
    assert details["tenant-0"] == "frozen: incident"
    assert details["tenant-1"] == ""
    assert details["tenant-2"] == "fixtures notes; frozen: incident"
    assert details["tenant-3"] == "changes pending in schema, notes and seed; frozen: incident"
    assert "tenant-4  behind       changes pending in schema, notes and seed" in done.stdout.splitlines()
    markdown = mixed.run("fleet", "status", *SHARD, "--format", "markdown", "--target", "*-[0123]").stdout
    assert "| tenant-2 | drifted | fixtures notes; frozen: incident " in markdown
    page = mixed.run("fleet", "status", *SHARD, "--format", "html", "--target", "*-[0123]").stdout
    assert page.count('title="tenant-') == 4
    assert "hunter2" not in done.stdout + page


def test_no_plan_of_the_fleet_is_written_if_no_target_could_be_planned(unconnected: Fleet) -> None:
    unconnected.declare("parallel: 1\nretry: 0", wait="100ms")
    unconnected.list_schemas(2)
    done = unconnected.run("fleet", "plan", *SHARD, "--out", "fleet.plan")
    assert (done.returncode, (unconnected.folder / "fleet.plan").exists()) == (1, False)
    assert "fleet.plan was not written: no target could be planned" in done.stderr


def test_a_failed_run_is_told_by_the_status(fleet: Fleet) -> None:
    fleet.declare("parallel: 1")
    fleet.list_schemas(1)
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA t0; CREATE TYPE t0.notes AS ENUM ()")
    assert fleet.run("fleet", "apply", *SHARD).returncode == 1
    (target,) = json.loads(fleet.run("fleet", "status", *SHARD, "--format", "json").stdout)["targets"]
    assert target["state"] == "failed", target


def test_a_plan_of_the_fleet_is_applied_exactly_and_what_is_not_in_it_is_left_alone(mixed: Fleet) -> None:
    done = mixed.run("fleet", "plan", *SHARD, "--out", "fleet.plan", "--target", "*-[0-3]", **KEY)
    assert done.returncode == 0, done.stderr
    assert "saved to fleet.plan (signed, digest " in done.stderr
    with psycopg.connect(mixed.url, autocommit=True) as connection:
        connection.execute("UPDATE t0.notes SET body = 'changed after the plan'")
    done = mixed.run("fleet", "apply", *SHARD, "fleet.plan", "--report", "report.jsonl", **KEY)
    assert done.returncode == 1, done.stderr
    assert "fleet: 2 changed, 1 with nothing to do, 1 failed, 2 not in the plan in" in done.stderr
    assert {name: line["exit_code"] for name, line in mixed.results().items()} == {
        "tenant-0": 8,
        "tenant-1": 0,
        "tenant-2": 0,
        "tenant-3": 0,
    }
    assert mixed.notes("t3") == [(1, "note of tenant-3")]
    assert mixed.notes("t4") is None
    assert mixed.notes("t0") == [(1, "changed after the plan")]


def test_a_plan_of_the_fleet_that_was_changed_or_is_signed_by_another_key_is_refused(fleet: Fleet) -> None:
    fleet.declare("parallel: 1")
    fleet.list_schemas(2)
    assert fleet.run("fleet", "plan", *SHARD, "--out", "fleet.plan", **KEY).returncode == 0
    file = fleet.folder / "fleet.plan"
    refused = fleet.run("fleet", "apply", *SHARD, "fleet.plan", BOOTSTRAPPER_PLAN_KEY="another")
    assert (refused.returncode, "is not signed with the key" in refused.stderr) == (9, True)
    whole = file.read_text()
    for text in (whole.replace("tenant-1", "tenant-9"), whole.rpartition('{"digest"')[0], f"{whole}{whole}"):
        file.write_text(text)
        refused = fleet.run("fleet", "apply", *SHARD, "fleet.plan", **KEY)
        assert (refused.returncode, "was changed after it was made" in refused.stderr) == (9, True), refused.stderr
    refused = fleet.run("fleet", "apply", *SHARD, "targets.csv", **KEY)
    assert (refused.returncode, "is not a plan of a fleet" in refused.stderr) == (2, True)
    file.write_text(whole)
    planned = contract.read(file, KEY["BOOTSTRAPPER_PLAN_KEY"])
    file.write_text(whole.replace("tenant-0", "tenant-9"))
    with pytest.raises(GuardError, match="was changed during the run"):
        planned.saved("tenant-0")
    assert planned.saved("tenant-1")
    file.write_text(whole)
    declared = (fleet.folder / "bootstrap.yaml").read_text()
    for text, said in (
        (declared.replace("name: tenants", "name: others"), "it is of fleet tenants, and not of others"),
        (f"{declared}# changed", "bootstrap.yaml was changed since it was made"),
    ):
        (fleet.folder / "bootstrap.yaml").write_text(text)
        refused = fleet.run("fleet", "apply", *SHARD, "fleet.plan", **KEY)
        assert (refused.returncode, f"the saved plan is stale: {said}" in refused.stderr) == (8, True), refused.stderr
        assert "`bootstrapper fleet plan --out FILE`" in refused.stderr
    assert fleet.notes("t0") is None


def test_targets_of_a_plan_that_are_not_listed_any_more_are_counted_as_failures(fleet: Fleet) -> None:
    fleet.declare("parallel: 1")
    fleet.list_schemas(3)
    assert fleet.run("fleet", "plan", *SHARD, "--out", "fleet.plan").returncode == 0
    fleet.list_schemas(1)
    done = fleet.run("fleet", "apply", *SHARD, "fleet.plan")
    assert (done.returncode, fleet.notes("t0"), fleet.notes("t1")) == (1, [(1, "note of tenant-0")], None)
    assert "fleet: 1 changed, 2 of the plan not listed any more in" in done.stderr
    named = fleet.run("fleet", "apply", *SHARD, "fleet.plan", "--target", "tenant-0")
    assert named.returncode == 0, named.stderr


def test_any_command_runs_for_one_target(mixed: Fleet) -> None:
    done = mixed.run("fleet", "run", "tenant-2", "--", "plan", "--exit-code", "--format", "json")
    assert done.returncode == 4, done.stderr
    assert [step["state"] for step in json.loads(done.stdout)["steps"]][-1] == "pending"
    assert mixed.run("fleet", "run", "tenant-2", "--", "freeze", "incident").returncode == 0
    assert mixed.run("fleet", "run", "tenant-2", "apply").returncode == 9
    assert mixed.run("fleet", "run", "tenant-1", "apply").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tenant-9", "--", "plan"), "no target is named 'tenant-9'"),
        (("tenant-1", "--", "fleet", "plan"), "a command for one target cannot be one of the fleet"),
        (("tenant-5", "--", "stamp", "nowhere"), "has no step"),
    ],
)
def test_a_command_that_cannot_run_for_a_target_is_refused(mixed: Fleet, arguments: Sequence[str], said: str) -> None:
    done = mixed.run("fleet", "run", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
