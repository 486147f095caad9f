"""Observers of events break nothing, and a plugin emits events only."""

from __future__ import annotations

import logging

import pytest

from bootstrapper.api import run
from bootstrapper.engine.request import Request
from bootstrapper.events import Event, RunFinished
from tests.plugin.authors import APPLY, Author


@pytest.mark.parametrize("kind", [Event, RunFinished])
def test_an_observer_that_raises_is_logged_and_breaks_nothing(
    author: Author, kind: type[Event], caplog: pytest.LogCaptureFixture
) -> None:
    def emit(event: Event) -> None:
        if isinstance(event, kind):
            raise KeyError("no luck")

    author.step()
    request = Request(
        file=author.project.folder / "bootstrap.yaml", variables={"DATABASE_URL": author.project.url}, emit=emit
    )
    with caplog.at_level(logging.WARNING, logger="bootstrapper"):
        assert [step.name for step in run.apply(request).applied] == ["mark"]
    assert author.tables() == ["marks"]
    assert "an observer of events failed at RunFinished: KeyError: 'no luck'" in caplog.text


def test_a_plugin_that_emits_something_else_is_told_so(author: Author) -> None:
    author.step(apply=f"{APPLY}\ncontext.emit('hello')")
    said = "Mark.apply() raised TypeError: emit takes an event of bootstrapper.events, not str, line"
    assert said in author.refused("apply")
    assert author.tables() == []
