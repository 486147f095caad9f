"""Secrets inside the events of a run."""

from __future__ import annotations

import logging

import pytest

import bootstrapper
from bootstrapper.engine.masked_events import masked_event
from bootstrapper.events import Event, StepApplied, StepUnchanged
from bootstrapper.masking import Masker
from bootstrapper.plans import Answer, Change, Deferred, Finding, PlannedStep, State
from tests.cli.project import Project
from tests.projects import TrialProject

SECRET = "s3cr3t-Zebra-9917"
KEYED = """
steps:
  - uses: lock
  - uses: seed
fixtures:
  users: {key: [name], rows: [{name: "${ADMIN_PASSWORD}"}]}
"""


@pytest.fixture
def keyed(project: TrialProject) -> TrialProject:
    """A project whose only row has a secret as its key."""
    project.rows("CREATE TABLE users (name text PRIMARY KEY)")
    project.variables["ADMIN_PASSWORD"] = SECRET
    project.write(KEYED)
    return project


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_run_prints_no_secret_that_is_the_key_of_a_row(keyed: TrialProject, log_format: str) -> None:
    program = Project(keyed.folder, keyed.database)
    ended = program.run("apply", "--log-format", log_format, ADMIN_PASSWORD=SECRET)
    assert ended.returncode == 0, ended.stderr
    assert "name=***" in ended.stdout + ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


def test_the_log_and_the_callback_get_no_secret_that_is_the_key_of_a_row(
    keyed: TrialProject, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    variables = {"DATABASE_URL": keyed.database, **keyed.variables}
    with caplog.at_level(logging.INFO, logger="bootstrapper"):
        bootstrapper.apply(keyed.folder / "bootstrap.yaml", variables=variables, on_event=events.append)
    assert keyed.rows("SELECT name FROM users") == [(SECRET,)]
    assert "name=***" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in repr(events)


def test_every_text_of_a_step_is_masked() -> None:
    step = PlannedStep(
        "one",
        "sql",
        State.PENDING,
        SECRET,
        Answer.yes(SECRET),
        Answer.no(f"not {SECRET}"),
        (Change.create(f"row {SECRET}", reason=SECRET, after={"name": SECRET, "none": None}), Change.run("plain")),
        (Deferred(SECRET, targets=(SECRET,)),),
        (Finding(SECRET, SECRET, SECRET),),
    )
    masked = masked_event(StepUnchanged("one", step), Masker([SECRET]))
    assert SECRET not in repr(masked)
    assert isinstance(masked, StepUnchanged)
    assert masked.result.state is State.PENDING
    assert masked.result.changes[0].target == "row ***"
    assert masked.result.changes[1] is step.changes[1]


def test_changes_without_a_secret_stay_the_same_objects() -> None:
    changes = tuple(Change.create(f"row {number}", after={"id": str(number)}) for number in range(1000))
    step = PlannedStep("one", "seed", State.PENDING, check=Answer.no(SECRET), changes=changes)
    masked = masked_event(StepApplied("one", step, 1.0), Masker([SECRET]))
    assert isinstance(masked, StepApplied)
    assert masked.result.changes is changes
    assert masked.result.check == Answer.no("***")
