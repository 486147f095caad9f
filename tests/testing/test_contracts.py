"""Plugins that break a contract of the kit are told which sentence, and suites say what an author left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.errors import PluginFailedError
from bootstrapper.testing import (
    StepSuite,
    Trial,
    assert_check_contract,
    assert_drift_is_seen,
    assert_gate_contract,
    assert_renderer_contract,
    assert_step_survives_kills,
    assert_value_contract,
)

BROKEN = """
import itertools
import psycopg
from bootstrapper import Answer, Change, Check, Gate, Renderer, Step, StepModel, Value, hookimpl

NUMBERS = itertools.count()
FOUND = "SELECT to_regclass('made') IS NOT NULL"

def own(context, statement):
    with psycopg.connect(context._run.project.target.url(), autocommit=True) as connection:
        connection.execute(statement)

class Half(Step):
    uses = "half"
    def changes(self, context):
        return [] if context.connection.execute(FOUND).fetchone()[0] else [Change.create("made")]
    def apply(self, context, changes):
        own(context, "CREATE TABLE made (n int)")
        context.connection.execute("INSERT INTO made VALUES (1)")

class Fickle(Check):
    key = "fickle"
    def ask(self, context): return Answer.no(f"asked {next(NUMBERS)} times")

class Silent(Check):
    key = "silent"
    def ask(self, context): return Answer.no("")

class Stubborn(Check):
    key = "stubborn"
    def ask(self, context): return Answer.no("never")

class Eager(Check):
    key = "eager"
    def ask(self, context): return Answer.yes("always")

class Writing(Check):
    key = "writing"
    def ask(self, context):
        own(context, "CREATE TABLE IF NOT EXISTS asked (n int); INSERT INTO asked VALUES (1)")
        return Answer.no("not yet")

class Raising(Check):
    key = "raising"
    def ask(self, context): raise KeyError("nothing")

class Open(Value):
    key = "$open"
    def resolve(self, context, argument): return "hunter2 in the open"

class Ended(Renderer):
    format = "ended"
    def plan(self, plan): return "text\\n"

class Changing(Renderer):
    format = "changing"
    def plan(self, plan): return str(next(NUMBERS))

class Ajar(Gate):
    uses = "ajar"
    def open(self, context): pass

@hookimpl
def bootstrapper_steps(): return [Half, Ajar]

@hookimpl
def bootstrapper_checks(): return [Fickle, Silent, Stubborn, Eager, Writing, Raising]

@hookimpl
def bootstrapper_values(): return [Open]

@hookimpl
def bootstrapper_renderers(): return [Ended, Changing]
"""


@pytest.fixture
def new_trial(tmp_path: Path, new_database: Callable[[], str]) -> Callable[[], Trial]:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "plugin.py").write_text(BROKEN)

    def make() -> Trial:
        folder = tmp_path / f"trial-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return Trial(folder, new_database(), [f"{tmp_path}/broken"])

    return make


def test_a_step_that_is_half_done_when_it_is_killed_is_found(new_trial: Callable[[], Trial]) -> None:
    with pytest.raises(
        AssertionError, match=r"half was killed .* exchange .*, and this differs: \['rows of public.made'\]"
    ):
        assert_step_survives_kills(lambda: new_trial().request("uses: lock", "uses: half"), "half")


def test_a_step_that_does_not_see_drift_is_found(new_trial: Callable[[], Trial]) -> None:
    trial = new_trial()
    once = "{uses: sql, with: {statement: CREATE TABLE IF NOT EXISTS made ()}, check: {once: made}}"
    request = trial.request("uses: lock", once)
    with pytest.raises(AssertionError, match="sql does not see what was changed"):
        assert_drift_is_seen(request, "sql", lambda: trial.execute("DROP TABLE made"))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("fickle", "asked again"),
        ("silent", "without a reason"),
        ("stubborn", "does not answer yes"),
        ("eager", "answers yes before it can be true"),
        ("writing", "wrote to the database"),
        ("raising", r"Raising\.ask\(\) raised KeyError"),
    ],
)
def test_a_check_that_breaks_the_contract_is_found(new_trial: Callable[[], Trial], check: str, said: str) -> None:
    with pytest.raises((AssertionError, PluginFailedError), match=said):
        assert_check_contract(new_trial(), check, "CREATE TABLE made ()")


def test_a_secret_that_is_shown_is_found(new_trial: Callable[[], Trial]) -> None:
    with pytest.raises(AssertionError, match=r"is secret, and .*the plan.* it"):
        assert_value_contract(new_trial(), "{$open: x}", is_secret=True)


@pytest.mark.parametrize(("name", "said"), [("ended", "line break at the end"), ("changing", "differently")])
def test_a_renderer_that_breaks_the_contract_is_found(new_trial: Callable[[], Trial], name: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert_renderer_contract(new_trial(), name)


def test_a_gate_that_opens_without_a_server_is_found(new_trial: Callable[[], Trial]) -> None:
    with pytest.raises(AssertionError, match="opens without a server"):
        assert_gate_contract(new_trial(), "uses: ajar")


def test_what_is_not_refused_is_found(new_trial: Callable[[], Trial]) -> None:
    with pytest.raises(AssertionError, match="is not refused"):
        new_trial().require_refused("uses: lock")


def test_a_suite_asks_for_the_drift_that_it_lacks(new_trial: Callable[[], Trial]) -> None:
    class Incomplete(StepSuite):
        step = "uses: half"

    with pytest.raises(AssertionError, match="set `drifted` to SQL"):
        Incomplete().drift(new_trial())
