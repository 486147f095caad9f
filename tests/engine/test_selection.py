"""Which steps a command goes through."""

from __future__ import annotations

import pytest

from bootstrapper.errors import (
    UsageError,
)
from tests.engine.notes import ONE_TABLE, TWO_TABLES
from tests.projects import TrialProject


def test_the_lock_cannot_be_skipped(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    with pytest.raises(UsageError, match="lock"):
        project.apply(skip=("lock",))


@pytest.mark.smoke
def test_step_and_skip_choose_steps_and_keep_what_is_around_them(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    assert [step.name for step in project.plan(steps=("two",)).steps] == ["wait", "lock", "two"]
    assert [step.name for step in project.plan(skip=("two",)).steps] == ["wait", "lock", "one"]


@pytest.mark.smoke
def test_a_step_name_that_is_not_in_the_file_is_refused_with_a_suggestion(project: TrialProject) -> None:
    project.write(TWO_TABLES)
    with pytest.raises(UsageError, match="no step 'tow'") as caught:
        project.plan(steps=("tow",))
    assert caught.value.hint == "Did you mean 'two'?"
