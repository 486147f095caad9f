"""Tests of what workers compare with the coordinator: all that a run reads, so that an older checkout does nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.engine.request import Request
from bootstrapper.errors import FleetError
from bootstrapper.fleet import checkout
from bootstrapper.fleet.checkout import DISTRIBUTION, Checkout
from bootstrapper.fleet.inputs import checkout_of
from bootstrapper.fleet.looks import plan_one, save_one, status_one
from bootstrapper.fleet.targets import Target
from bootstrapper.fleet.work import Task, apply_one, look_at
from tests.fleet.tenants import Fleet

FILES = {
    "bootstrap.yaml": """\
version: 1
name: tenants
database: {url: "postgresql://u@h/${target.name}"}
fleet: {targets: []}
env_files: [.env, ".env.own?"]
environments: {live: {file: deploy/live.yaml}}
plugins: [./plugins]
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
  - uses: sql
    name: view
    with: {file: view.sql}
    check: {table: view}
  - uses: seed
fixtures:
  plans: {table: plans, key: [id], file: plans.csv}
  regions: {table: regions, key: [id], file: "regions/${target.region}.csv"}
""",
    "deploy/live.yaml": "limits: {timeout: 5m}\n",
    ".env": "COLOUR=red\n",
    "plugins/own.py": "from bootstrapper import hookimpl\n@hookimpl\ndef bootstrapper_steps(): return []\n",
    "plugins/_beside.py": "",
    "migrations/env.py": "",
    "migrations/script.py.mako": "",
    "migrations/versions/0001_first.py": "revision = '1'\ndown_revision = None\n",
    "view.sql": "CREATE VIEW view AS SELECT 1",
    "plans.csv": "id\n1\n",
    "regions/eu.csv": "id\n1\n",
    "regions/us.csv": "id\n1\n",
}
NEW = [".env.own", "plugins/other.py", "plugins/deep/x.py", "migrations/versions/0002_second.py"]
EU, US = Target("a", {"name": "a", "region": "eu"}), Target("b", {"name": "b", "region": "us"})


FOLDERS = ("plugins", "migrations/versions")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        write(tmp_path / name, content)
    return tmp_path


def write(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)


def told(folder: Path, environment: str | None = "live") -> Checkout:
    return checkout_of(Request(file=folder / "bootstrap.yaml", environment=environment), [EU, US])


def refusal(read: Checkout, target: Target) -> str | None:
    """Returns why a worker refuses a target; None if it does not."""
    try:
        read.require_here(target.of_request)
    except FleetError as error:
        return error.message
    return None


def test_a_worker_where_any_input_differs_refuses_its_target_and_names_it(folder: Path) -> None:
    read = told(folder)
    of = {target.name: read.of_target(target.of_request) for target in (EU, US)}
    assert read.of_target(EU.of_request) == read
    for name in (*FILES, *NEW):
        assert [refusal(of["a"], EU), refusal(of["b"], US)] == [None, None]
        write(folder / name, f"{FILES.get(name, '')}\n")
        whole = next((each for each in FOLDERS if name.startswith(f"{each}/")), name)
        said = None if name == "migrations/script.py.mako" else f"{whole} is not what this wave began with"
        assert refusal(of["b"], US) == said
        assert refusal(of["a"], EU) == (None if name == "regions/us.csv" else said), "no run of it reads that file"
        if name in FILES:
            write(folder / name, FILES[name])
        else:
            (folder / name).unlink()


def test_a_worker_with_another_version_refuses_its_target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = told(folder)
    plugin = replace(read, parts={(DISTRIBUTION, "no-such-plugin"): "1.2"})
    said = "the worker has no-such-plugin not installed, and the coordinator 1.2"
    assert refusal(plugin, EU) == said
    monkeypatch.setattr(checkout, "__version__", "0.0.1")
    assert str(refusal(read, EU)).startswith("the worker has bootstrapper 0.0.1, and the coordinator ")


def test_the_first_valid_target_tells_what_is_read_and_else_the_files_that_are_read_first(folder: Path) -> None:
    request = Request(file=folder / "bootstrap.yaml", environment="live")
    lacking = Target("c", {"name": "c"})
    assert checkout_of(request, [lacking, EU, US]).parts == told(folder).parts
    assert [name for _, name in checkout_of(request, [lacking]).parts] == [
        "bootstrapper",
        "bootstrap.yaml",
        "deploy/live.yaml",
        ".env",
        ".env.own",
    ]


def test_a_refused_target_is_not_touched_and_what_is_wrong_with_one_is_its_own_failure(fleet: Fleet) -> None:
    file = str(fleet.folder / "bootstrap.yaml")
    variables = Target("", {"name": "tenant-0", "schema": "t0"}).of_request
    with fleet.environment():
        read = checkout_of(Request(file=Path(file)), [Target("", {"name": "tenant-0", "schema": "t0"})])
        task = Task(file, None, "tenant-0", variables, checkout=read)
        with (fleet.folder / "bootstrap.yaml").open("a") as older:
            older.write("# of an older deployment\n")
        for work in (apply_one, plan_one, save_one, status_one):
            refused = work(task)
            assert (refused.outcome, refused.exit_code) == ("failed", 2)
            assert str(refused.message).startswith("bootstrap.yaml is not what this wave began with\nhint: ")
        assert fleet.notes("t0") is None
        same = replace(task, checkout=None)
        broken = replace(same, timeout_seconds=-1.0, variables={**variables, "target.schema": "\0"})
        missing = replace(same, variables={})
        for work in (apply_one, plan_one, save_one, status_one):
            assert work(missing).exit_code == 2
            assert work(broken).outcome == "failed"
        assert apply_one(same).outcome == "done"
        assert [found is not None for found in look_at([same, task, broken, missing])] == [True, False, False, False]
