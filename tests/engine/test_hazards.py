"""Hazards that only become known while a run waits for the lock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.api import run
from bootstrapper.errors import BootstrapperError, HazardError
from bootstrapper.events import Event, LockAwaited, ScopeEntered
from tests.engine.releases import USERS, Releases, folders, seed
from tests.projects import TrialProject
from tests.waiting import at_most


@pytest.fixture
def releases(tmp_path: Path, database: str) -> Releases:
    return folders(tmp_path, database)


def protect(project: TrialProject) -> TrialProject:
    text = (project.folder / "bootstrap.yaml").read_text()
    project.write(f"{text}environments: {{live: {{protected: true}}}}\n")
    return project


def start_both(old: TrialProject, new: TrialProject, allow: Sequence[str] = ()) -> list[BootstrapperError]:
    """Starts the older release, which creates rows, and the newer one while the older has the lock."""
    waits, errors = threading.Event(), []

    def of_new(event: Event) -> None:
        if isinstance(event, LockAwaited):
            waits.set()

    def start_new() -> None:
        asked = new.request(startup=True, environment="live", allow=tuple(allow))
        try:
            run.apply(replace(asked, emit=of_new))
        except BootstrapperError as error:
            errors.append(error)

    replica = threading.Thread(target=start_new)

    def of_old(event: Event) -> None:
        if isinstance(event, ScopeEntered):
            replica.start()
            assert waits.wait(at_most(30))

    run.apply(replace(old.request(startup=True, environment="live"), emit=of_old))
    replica.join(at_most(60))
    return errors


def test_a_start_that_waited_for_another_run_deletes_nothing_without_permission(releases: Releases) -> None:
    old = protect(seed(releases("old"), "sync", ada="user", bob="user"))
    new = protect(seed(releases("new"), "sync", ada="admin"))
    [error] = start_both(old, new)
    assert isinstance(error, HazardError)
    assert (error.exit_code, error.hazards) == (9, ("delete-rows",))
    assert old.rows(USERS) == [("ada", "user"), ("bob", "user")]


def test_a_start_that_waited_for_another_run_deletes_what_is_allowed(releases: Releases) -> None:
    old = protect(seed(releases("old"), "sync", ada="user", bob="user"))
    new = protect(seed(releases("new"), "sync", ada="admin"))
    assert start_both(old, new, ["delete-rows"]) == []
    assert old.rows(USERS) == [("ada", "admin")]
