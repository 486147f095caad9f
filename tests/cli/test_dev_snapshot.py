"""Tests of `dev snapshot`, with one embedded server for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.project import BOOTSTRAP, Project
from tests.cli.pseudoterminal import on_terminal

EMBEDDED = BOOTSTRAP.replace("${DATABASE_URL}", "embedded:server")
COUNT = ("dev", "psql", "--", "-Atc", "SELECT count(*) FROM notes")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("snapshots"), "")
    project.write(EMBEDDED)
    try:
        yield project
    finally:
        project.run("dev", "stop")


@pytest.fixture
def saved(embedded: Project) -> Project:
    """A project that was applied and saved as `fresh`, with a row that was added afterwards."""
    assert embedded.run("apply").returncode == 0
    assert embedded.run("dev", "snapshot", "save", "fresh", "--replace").returncode == 0
    added = embedded.spawn("dev", "psql", "--", "-qc", "INSERT INTO notes VALUES (2, 'later')")
    assert added.returncode == 0, added.stderr
    yield embedded
    embedded.run("dev", "snapshot", "load", "fresh", "--yes")


def test_a_loaded_snapshot_has_the_data_and_the_ledger_of_its_moment(saved: Project) -> None:
    done = saved.run("dev", "snapshot", "load", "fresh", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "loaded snapshot fresh\n")
    assert saved.spawn(*COUNT).stdout == "1\n"
    assert saved.run("plan", "--exit-code").returncode == 0


def test_load_without_a_terminal_and_without_yes_is_refused(saved: Project) -> None:
    done = saved.spawn("dev", "snapshot", "load", "fresh")
    assert done.returncode == 9
    assert "not confirmed: nothing was changed" in done.stderr
    assert saved.spawn(*COUNT).stdout == "2\n"


@pytest.mark.parametrize(("answer", "code", "rows"), [(b"n\n", 9, "2\n"), (b"y\n", 0, "1\n")])
def test_load_asks_for_confirmation(saved: Project, answer: bytes, code: int, rows: str) -> None:
    shown, ended = on_terminal(saved, ["dev", "snapshot", "load", "fresh"], answer)
    assert "Replace the database by snapshot fresh? Its present data is lost. [y/N]" in shown
    assert ended == code
    assert saved.spawn(*COUNT).stdout == rows


def test_list_shows_names_times_and_sizes(saved: Project) -> None:
    (line,) = saved.run("dev", "snapshot", "list").stdout.splitlines()
    name, *moment, size, unit = line.split()
    assert (name, moment[-1], unit) == ("fresh", "UTC", "MB")
    assert float(size) > 1
    (found,) = json.loads(saved.run("dev", "snapshot", "list", "--format", "json").stdout)
    assert found["name"] == "fresh"


def test_a_stopped_server_is_stopped_afterwards(saved: Project) -> None:
    saved.run("dev", "stop")
    assert saved.run("dev", "snapshot", "list").stdout.startswith("fresh")
    assert saved.run("dev", "snapshot", "load", "fresh", "--yes").returncode == 0
    assert saved.run("dev", "stop").stderr == "server was not running\n"
    saved.run("dev", "start")


def test_removed_snapshots_are_gone(saved: Project) -> None:
    assert saved.run("dev", "snapshot", "save", "other").stderr == "saved snapshot other\n"
    assert saved.run("dev", "snapshot", "remove", "other").stderr == "removed snapshot other\n"
    again = saved.run("dev", "snapshot", "remove", "other")
    assert again.returncode == 2
    assert "error: snapshot 'other' does not exist" in again.stderr


def test_an_existing_name_and_a_wrong_one_are_errors(saved: Project) -> None:
    for name, said in (("fresh", "already exists"), ("../x", "is not a valid name of a snapshot")):
        done = saved.run("dev", "snapshot", "save", name)
        assert done.returncode == 2
        assert said in done.stderr


def test_without_a_server_nothing_is_made(tmp_path_factory: pytest.TempPathFactory) -> None:
    project = Project(tmp_path_factory.mktemp("none"), "")
    project.write(EMBEDDED)
    assert project.run("dev", "snapshot", "list").stdout == "no snapshots\n"
    done = project.run("dev", "snapshot", "save", "a")
    assert done.returncode == 2
    assert "does not exist yet" in done.stderr
    assert not (project.folder / "server").exists()


def test_a_database_that_is_not_embedded_is_refused(offline: Project) -> None:
    for command in (("save", "a"), ("load", "a", "--yes"), ("list",), ("remove", "a")):
        done = offline.run("dev", "snapshot", *command)
        assert done.returncode == 2
        assert "not embedded" in done.stderr
