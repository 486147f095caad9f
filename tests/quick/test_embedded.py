"""The quick look at an embedded server: while it runs, as an ordinary run; else that one has to start it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import bootstrapper
from tests.quick.conftest import write_project
from tests.quick.looks import Looks


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looks]:
    """A project with an embedded server that runs; its tests leave it so."""
    made = Looks(tmp_path_factory.mktemp("embedded"), "embedded:server")
    write_project(made)
    made.apply()
    yield made
    made.run("dev", "stop", "-e", "here", "-f", str(made.folder / "bootstrap.yaml"))


def test_it_prints_what_an_ordinary_run_prints(running: Looks) -> None:
    quick = running.quick()
    assert (0, quick) == running.ordinary()
    assert quick is not None
    assert quick[0] == "apply · embedded PostgreSQL · database app · environment here"
    assert quick[-1].startswith("connect: bootstrapper dev psql -e here -f ")
    assert running.quick("--follow") == running.ordinary("--follow")[1]
    assert running.is_quick("plan")
    assert running.reads("plan") == (0, "", "")


def test_its_outcome_is_that_of_an_ordinary_run(running: Looks) -> None:
    given = {"file": running.folder / "bootstrap.yaml", "environment": "here"}
    quick = bootstrapper.apply(variables=running.variables(), **given)
    ordinary = bootstrapper.apply(variables=running.variables({"BOOTSTRAPPER_QUICK": "off"}), **given)
    assert replace(quick, seconds=0) == replace(ordinary, seconds=0)
    assert quick.embedded


def test_a_server_that_does_not_run_is_started_by_the_ordinary_run(running: Looks) -> None:
    file = ("-e", "here", "-f", str(running.folder / "bootstrap.yaml"))
    assert running.run("dev", "stop", *file).returncode == 0
    assert running.quick() is None
    running.apply()
    assert running.quick() is not None


@pytest.mark.parametrize("change", [{"lent": True}, {"sockets": None}, {"password": "another"}])
def test_a_server_that_is_lent_or_another_one_is_left_to_the_ordinary_run(
    running: Looks, change: dict[str, object]
) -> None:
    state: Path = running.folder / "server" / "server.json"
    text = state.read_text()
    try:
        state.write_text(json.dumps({**json.loads(text), **change}))
        assert running.quick() is None
    finally:
        state.write_text(text)


def test_another_process_of_the_same_number_is_not_taken_for_the_server(running: Looks) -> None:
    file = running.folder / "server" / "data" / "postmaster.pid"
    text = file.read_bytes()
    try:
        file.write_bytes(b"1" + text[text.index(b"\n") :])
        assert running.quick() is None
    finally:
        file.write_bytes(text)
