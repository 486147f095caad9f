"""Tests of a Dask cluster that runs already: its scheduler and workers are processes of their own."""

from __future__ import annotations

from pathlib import Path

from bootstrapper.engine.request import Request
from bootstrapper.fleet import coordinator
from bootstrapper.fleet.coordinator import Asked
from bootstrapper.fleet.outcomes import Watcher
from tests.fleet import stubs
from tests.fleet.clusters import cluster
from tests.fleet.tenants import Fleet

NOWHERE = "postgresql://u@127.0.0.1:1/app"


def declared(folder: Path, number: int, fleet: str) -> Fleet:
    made = Fleet(folder, NOWHERE)
    made.declare(fleet)
    made.list_schemas(number)
    return made


def asked(fleet: Fleet, scheduler: str) -> Asked:
    request = Request(file=fleet.folder / "bootstrap.yaml", variables=fleet.variables())
    return Asked(request=request, scheduler=scheduler)


def test_a_target_whose_worker_dies_is_tried_as_often_as_the_file_says(tmp_path: Path) -> None:
    fleet = declared(tmp_path, 1, "retry: 1")
    with cluster(tmp_path, workers=3) as dask:
        done = coordinator.apply(asked(fleet, dask.address), Watcher(), stubs.dying, look=None)
    (failure,) = done.failures
    assert failure.exit_code == 5
    assert str(failure.message).startswith("its worker tcp://127.0.0.1:")
    assert stubs.noted(tmp_path) == ["began", "began"]
