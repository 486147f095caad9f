"""A suite says what it lacks, and puts a lock above what it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.api.run import plan
from bootstrapper.testing import GateSuite, StepSuite, Trial, ValueSuite

CREATE = "{{uses: sql, name: {0}, with: {{statement: CREATE TABLE {0} ()}}, check: {{table: {0}}}}}"


@pytest.fixture
def trial(tmp_path: Path, database: str) -> Trial:
    return Trial(tmp_path, database)


@pytest.fixture
def new_trial(trial: Trial) -> Callable[[], Trial]:
    return lambda: trial


def test_a_suite_without_what_it_tests_names_what_to_set(trial: Trial) -> None:
    class TestNothing(StepSuite):
        pass

    with pytest.raises(pytest.fail.Exception, match="set `step` in TestNothing"):
        TestNothing()._require_declared()


def test_a_suite_of_a_plugin_that_lists_none_names_plugins(new_trial: Callable[[], Trial]) -> None:
    class OfAStep(StepSuite):
        step = "uses: absent"

    class OfAGate(GateSuite):
        gate = "uses: absent"

    message = "set `plugins` to the folder or distribution that has 'absent'"
    with pytest.raises(pytest.fail.Exception, match=message):
        OfAStep().test_the_step_keeps_the_contract(new_trial)
    with pytest.raises(pytest.fail.Exception, match=message):
        OfAGate().test_the_gate_keeps_the_contract(new_trial)


def test_entries_above_a_step_have_a_lock_above_them(trial: Trial) -> None:
    class Plain(StepSuite):
        step = CREATE.format("made")
        above = (CREATE.format("first"),)

    class Locked(Plain):
        above = ("{uses: lock, name: ours}", CREATE.format("first"))

    for suite, lock in ((Plain(), "lock"), (Locked(), "ours")):
        assert [step.name for step in plan(suite._request(trial)).steps] == [lock, "first", "made"]


PRINTS = """
from bootstrapper import Value, hookimpl

class Prints(Value):
    key = "$prints"
    secret = True

    def resolve(self, context, argument):
        print("it is", argument + "-of-the-vault")
        return argument + "-of-the-vault"

@hookimpl
def bootstrapper_values():
    return [Prints]
"""


def test_a_secret_value_that_is_printed_is_found(trial: Trial, capfd: pytest.CaptureFixture[str]) -> None:
    class OfAValue(ValueSuite):
        value = "{$prints: token}"
        secret = True

    folder = trial.folder / "plugins"
    folder.mkdir()
    (folder / "prints.py").write_text(PRINTS, encoding="utf-8")
    trial.plugins = [str(folder)]
    with pytest.raises(AssertionError, match="is secret, and the plugin prints it"):
        OfAValue().test_the_value_keeps_the_contract(lambda: trial, capfd)
