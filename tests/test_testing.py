"""Every built-in step, and the example plugin, keeps the contract; and a step that breaks it is told which sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bootstrapper.errors import PluginFailedError
from bootstrapper.testing import assert_step_contract
from tests.projects import TrialProject

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[1]

STEPS = {
    "sql": "{uses: sql, with: {statement: CREATE TABLE made ()}, check: {table: made}}",
    "command": "{uses: command, with: {run: [touch, made]}, check: {once: touched}}",
    "backup": "{uses: backup, with: {directory: backups}, check: {backup: {newer_than: 1h}}}",
    "migrate": "{uses: migrate, with: {script_location: migrations}}",
    "extension": "{uses: extension, with: {name: pg_trgm}}",
    "seed": "{uses: seed}",
}


@pytest.fixture
def sample(project: TrialProject) -> TrialProject:
    for name in ("migrations", "plugins"):
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return project


@pytest.mark.parametrize("step", STEPS)
def test_the_step_keeps_the_contract(sample: TrialProject, step: str) -> None:
    fixtures = ""
    if step == "seed":
        fixtures = "fixtures: {words: {key: [word], rows: [{word: one}, {word: two}]}}"
        sample.rows("CREATE TABLE words (word text PRIMARY KEY)")
    sample.write(f"plugins: [./plugins]\nsteps:\n  - uses: lock\n  - {STEPS[step]}\n{fixtures}\n")
    assert_step_contract(sample.request(), step)


def test_what_the_steps_above_leave_is_not_taken_for_the_steps_own(sample: TrialProject) -> None:
    above = "{uses: sql, name: above, with: {statement: CREATE TABLE other ()}, check: {table: other}}"
    sample.write(f"steps:\n  - uses: lock\n  - {above}\n  - {STEPS['sql']}\n")
    assert_step_contract(sample.request(), "sql")


BROKEN = """
from bootstrapper import Change, Step, hookimpl

class Broken(Step):
    uses = "broken"
    {attributes}
    def changes(self, context):
        {changes}
    def apply(self, context, changes):
        {apply}

@hookimpl
def bootstrapper_steps():
    return [Broken]
"""
MISSING = (
    'return [] if context.connection.execute("SELECT to_regclass(\'made\')").fetchone()[0] else [Change.create("made")]'
)
MAKE = 'context.connection.execute("CREATE TABLE made ()")'


@pytest.mark.parametrize(
    ("changes", "apply", "sentence"),
    [
        ("return []", "pass", "nothing to do"),
        (MISSING, f"{MAKE}; context.connection.execute('COMMIT')", r"Broken\.apply\(\) ended its transaction"),
    ],
)
def test_a_step_that_breaks_the_contract_fails_with_the_broken_sentence(
    sample: TrialProject, changes: str, apply: str, sentence: str
) -> None:
    sample.write(BROKEN.format(attributes="", changes=changes, apply=apply), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken}]\n")
    with pytest.raises((AssertionError, PluginFailedError), match=sentence):
        assert_step_contract(sample.request(), "broken")


def test_a_step_that_writes_its_own_rows_again_and_again_is_found(sample: TrialProject) -> None:
    always = 'return [Change.run("again")]'
    again = 'context.connection.execute("CREATE TABLE IF NOT EXISTS made ()")'
    sample.write(BROKEN.format(attributes="", changes=always, apply=again), "plugins/broken.py")
    sample.write("plugins: [./plugins]\nsteps: [{uses: lock}, {uses: broken, check: never}]\n")
    with pytest.raises(AssertionError, match=r"still has changes|wrote to the database"):
        assert_step_contract(sample.request(), "broken")
