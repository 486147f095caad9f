"""The plugins of the page for authors keep the contracts, as their readers will copy them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.api.run import plan
from bootstrapper.testing import CheckSuite, RendererSuite, StepSuite, Trial

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-plugin.md"
BOOKS = "CREATE TABLE books (id int); INSERT INTO books VALUES (7)"


@pytest.fixture
def bootstrap_new_database(new_database: Callable[[], str]) -> Callable[[], str]:
    """On the server that all tests share."""
    return new_database


class OfThePage:
    """Takes the plugin from the page."""

    plugins = ("./example",)
    shown: str

    def prepare(self, trial: Trial) -> None:
        code = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        (example,) = [each for each in code if f"class {self.shown}(" in each]
        folder = trial.folder / "example"
        folder.mkdir()
        (folder / "plugin.py").write_text(example, encoding="utf-8")
        trial.plugins = [str(folder)]


class TestGrant(OfThePage, StepSuite):
    shown = "Grant"
    step = "{uses: grant, with: {table: books, role: pg_monitor}}"
    database = BOOKS
    drifted = "REVOKE ALL ON books FROM pg_monitor"
    kill_every = 4


class TestIndex(OfThePage, StepSuite):
    shown = "Index"
    step = "uses: index"
    database = BOOKS
    drifted = "INSERT INTO books VALUES (8)"
    test_drift_is_seen = None  # a row that was added stays: nothing brings back what was there before
    test_killed_anywhere_the_step_comes_to_the_same_end = None  # each kill waits for the lease, as for `backup`


class TestRole(OfThePage, CheckSuite):
    shown = "RoleCheck"
    check = "{role: pg_monitor}"
    refused = ("{role: [pg_monitor]}",)


class TestSummary(OfThePage, RendererSuite):
    shown = "Summary"
    format = "summary"


def test_the_step_of_the_page_waits_for_a_missing_table_and_a_missing_role(trial: Trial) -> None:
    for table, role in (("books", "pg_monitor"), ("pg_class", "nobody_of_this_name")):
        step = f"{{uses: grant, with: {{table: {table}, role: {role}}}}}"
        [planned] = [each for each in plan(trial.request("uses: lock", step)).steps if each.uses == "grant"]
        assert [each.needs for each in planned.deferred] == [f"table {table} and role {role}"]


@pytest.fixture
def trial(tmp_path: Path, database: str) -> Trial:
    made = Trial(tmp_path, database)
    TestGrant().prepare(made)
    return made
