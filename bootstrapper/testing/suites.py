"""The contracts as classes that pytest collects: a subclass says what is tested, and inherits the tests.

Each test gets empty databases from the fixture `bootstrap_new_database`, which the package's pytest plugin provides:
on the server of `bootstrap_database_url`, or on an embedded one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from inspect import get_annotations
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from bootstrapper.api.run import plan
from bootstrapper.builtin import registry
from bootstrapper.engine.request import Request
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.testing.contracts import (
    assert_check_contract,
    assert_gate_contract,
    assert_renderer_contract,
    assert_value_contract,
)
from bootstrapper.testing.killing import assert_step_survives_kills
from bootstrapper.testing.steps import assert_drift_is_seen, assert_step_contract
from bootstrapper.testing.trial import NewTrial, Trial
from bootstrapper.text import listed


class Suite:
    """What all suites declare.

    Attributes:
        plugins: Folders and distributions, as the file lists them; a relative folder starts where pytest runs.
        variables: What `${NAME}` is looked up in.
        database: SQL for each new database.
        more: Further keys of the file, such as `fixtures`.
        refused: What must be refused when the file is read, in the place of what is tested.
    """

    plugins: ClassVar[Sequence[str]] = ()
    variables: ClassVar[Mapping[str, str]] = {}
    database: ClassVar[str] = ""
    more: ClassVar[str] = ""
    refused: ClassVar[Sequence[str]] = ()

    def prepare(self, trial: Trial) -> None:
        """Makes further files, or objects in the database, for each new trial."""

    @pytest.fixture
    def new_trial(self, tmp_path: Path, bootstrap_new_database: Callable[[], str]) -> NewTrial:
        """Returns what makes a folder and an empty database, both prepared."""
        self._require_declared()
        numbers = itertools.count(1)

        def make() -> Trial:
            folder = tmp_path / f"trial-{next(numbers)}"
            folder.mkdir()
            trial = Trial(folder, bootstrap_new_database(), self.plugins, self.variables)
            if self.database:
                trial.execute(self.database)
            self.prepare(trial)
            return trial

        return make

    def _require_declared(self) -> None:
        ours = [kind for kind in type(self).__mro__ if kind.__module__ == __name__]
        missing = [name for kind in ours for name in get_annotations(kind) if not hasattr(self, name)]
        if missing:
            pytest.fail(f"set {listed([f'`{name}`' for name in missing])} in {type(self).__name__}", pytrace=False)


def _require_plugins(trial: Trial, entry: str) -> None:
    """Fails a test whose unit is not built in if the suite lists no plugin that could have it."""
    uses = yaml.safe_load(entry).get("uses")
    if not trial.plugins and uses not in [kind.uses for kind in loaded(registry.bootstrapper_steps())]:
        pytest.fail(f"set `plugins` to the folder or distribution that has {uses!r}", pytrace=False)


class StepSuite(Suite):
    """The contract of a step; drift is seen; killed at any exchange with the server, it comes to the same end.

    Attributes:
        step: The entry of `steps:`, as YAML; the step must have something to do in a prepared database.
        above: Entries above it; a `lock` precedes them if none of them is one.
        drifted: SQL that undoes or changes what the step did; overwrite `drift` where SQL does not.
        kill_every: 1 kills a run at each exchange, 3 at each third one.
    """

    step: ClassVar[str]
    above: ClassVar[Sequence[str]] = ()
    drifted: ClassVar[str] = ""
    kill_every: ClassVar[int] = 1

    def drift(self, trial: Trial) -> None:
        assert self.drifted, "set `drifted` to SQL that undoes what the step did, or overwrite `drift`"
        trial.execute(self.drifted)

    def test_the_step_keeps_the_contract(self, new_trial: NewTrial) -> None:
        request = self._request(new_trial())
        assert_step_contract(request, _last_step(request))

    def test_drift_is_seen(self, new_trial: NewTrial) -> None:
        trial = new_trial()
        request = self._request(trial)
        assert_drift_is_seen(request, _last_step(request), lambda: self.drift(trial))

    def test_killed_anywhere_the_step_comes_to_the_same_end(self, new_trial: NewTrial) -> None:
        step = _last_step(self._request(new_trial()))
        assert_step_survives_kills(lambda: self._request(new_trial()), step, every=self.kill_every)

    def test_wrong_options_are_refused_with_their_place(self, new_trial: NewTrial) -> None:
        trial = new_trial()
        assert plan(self._request(trial)).steps, "the file with the step itself is valid"
        for entry in (*self.refused, _with_unknown_option(self.step)):
            trial.require_refused(*self._above(), entry, more=self.more)

    def _request(self, trial: Trial) -> Request:
        _require_plugins(trial, self.step)
        return trial.request(*self._above(), self.step, more=self.more)

    def _above(self) -> Sequence[str]:
        has_lock = any(dict(yaml.safe_load(entry)).get("uses") == "lock" for entry in self.above)
        return self.above if has_lock else ("uses: lock", *self.above)


def _last_step(request: Request) -> str:
    return plan(request).steps[-1].name


def _with_unknown_option(entry: str) -> str:
    """Returns an entry with an option that no unit has."""
    found = dict(yaml.safe_load(entry))
    options = found.get("with") or {}
    return json.dumps({**found, "with": {**options, "no_such_option": 1}})


class CheckSuite(Suite):
    """The contract of a check.

    Attributes:
        check: As `when` and `check` take it: `{role: reader}`.
        yes: SQL after which the answer is yes; empty if it does not depend on the database.
        entries: Further entries of `steps:`, which the check is about.
        refused: Checks whose argument must be refused.
    """

    check: ClassVar[str]
    yes: ClassVar[str] = ""
    entries: ClassVar[Sequence[str]] = ()

    def test_the_check_keeps_the_contract(self, new_trial: NewTrial) -> None:
        assert_check_contract(new_trial(), self.check, self.yes, entries=self.entries, more=self.more)

    def test_wrong_arguments_are_refused_with_their_place(self, new_trial: NewTrial) -> None:
        trial = new_trial()
        assert self.refused, "set `refused` to checks with an argument that is wrong"
        for check in self.refused:
            entry = f"{{uses: sql, with: {{statement: SELECT 1}}, check: never, when: {check}}}"
            trial.require_refused("uses: lock", entry, *self.entries, more=self.more)


class ValueSuite(Suite):
    """The contract of a value function.

    Attributes:
        value: As a row takes it: `{$vault: name}`.
        expected: The text that it stands for in a row; None if that is another each time.
        secret: Whether its result must not be shown anywhere, nor printed.
        refused: Values whose argument must be refused.
    """

    value: ClassVar[str]
    expected: ClassVar[str | None] = None
    secret: ClassVar[bool] = False

    def test_the_value_keeps_the_contract(self, new_trial: NewTrial, capfd: pytest.CaptureFixture[str]) -> None:
        text = assert_value_contract(new_trial(), self.value, is_secret=self.secret)
        if self.secret:
            assert text not in "".join(capfd.readouterr()), f"{self.value} is secret, and the plugin prints it"
        assert self.expected in (None, text), f"{self.value} stands for another text"

    def test_wrong_arguments_are_refused_with_their_place(self, new_trial: NewTrial) -> None:
        trial = new_trial()
        assert self.refused, "set `refused` to values with an argument that is wrong"
        for value in self.refused:
            rows = f"fixtures: {{trial_rows: {{key: [label], rows: [{{label: one, value: {value}}}]}}}}"
            trial.require_refused("uses: lock", "uses: seed", more=rows)


class RendererSuite(Suite):
    """The contract of a renderer.

    Attributes:
        format: As `--format` takes it.
    """

    format: ClassVar[str]

    def test_the_renderer_keeps_the_contract(self, new_trial: NewTrial) -> None:
        assert_renderer_contract(new_trial(), self.format)


class GateSuite(Suite):
    """The contract of a gate.

    Attributes:
        gate: The entry of `steps:`, with a short timeout.
        refused: Entries whose options must be refused.
    """

    gate: ClassVar[str]

    def test_the_gate_keeps_the_contract(self, new_trial: NewTrial) -> None:
        trial = new_trial()
        _require_plugins(trial, self.gate)
        assert_gate_contract(trial, self.gate)

    def test_wrong_options_are_refused_with_their_place(self, new_trial: NewTrial) -> None:
        trial = new_trial()
        for entry in (*self.refused, _with_unknown_option(self.gate)):
            trial.require_refused(entry)
