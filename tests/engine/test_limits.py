"""Limits for what a run may delete and update: too much is shown by plan and refused by apply, before any change."""

from __future__ import annotations

import psycopg
import pytest

from bootstrapper.errors import GuardError, InvalidFileError
from tests.projects import TrialProject

FILE = """
steps:
  - uses: lock
  - uses: sql
    name: note
    with: {{statement: "CREATE TABLE note ()"}}
    check: {{table: note}}
  - uses: seed
    limits: {step}
fixtures:
  countries:
    key: [code]
    mode: sync
    where: all
    limits: {fixture}
    rows:
      - {{code: DE, name: Germany}}
      - {{code: FR, name: France}}
      - {{code: IT, name: Italy}}
      - {{code: ES, name: Spain}}
"""


@pytest.fixture
def countries(project: TrialProject) -> TrialProject:
    """Two rows to update, one to create and two to delete."""
    with psycopg.connect(project.database, autocommit=True) as connection:
        connection.execute("CREATE TABLE countries (code text PRIMARY KEY, name text)")
        connection.execute(
            "INSERT INTO countries VALUES ('DE', 'x'), ('FR', 'x'), ('IT', 'Italy'), ('A', ''), ('B', '')"
        )
    return project


def declare(project: TrialProject, *, step: str = "{}", fixture: str = "{}") -> None:
    project.write(FILE.format(step=step, fixture=fixture))


def excesses(project: TrialProject) -> list[tuple[str, str]]:
    return [(found.target, found.message) for step in project.plan().steps for found in step.findings]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"fixture": "{deletes: 1}"}, "fixture countries: 2 rows to delete, more than its limit of 1"),
        ({"fixture": "{updates: 25%}"}, "fixture countries: 2 rows to update, more than its limit of 1"),
        ({"fixture": "{updates: 49.9 %}"}, "fixture countries: 2 rows to update, more than its limit of 1"),
        ({"fixture": "{deletes: 0%}"}, "fixture countries: 2 rows to delete, more than its limit of 0"),
        ({"step": "{deletes: 1}"}, "step seed: 2 rows to delete, more than its limit of 1"),
        ({"step": "{updates: 0}"}, "step seed: 2 rows to update, more than its limit of 0"),
    ],
)
def test_more_than_the_limit_is_shown_and_refused_before_any_step(
    countries: TrialProject, limits: dict[str, str], said: str
) -> None:
    declare(countries, **limits)
    target, _, message = said.partition(": ")
    assert excesses(countries) == [(target, f"{message}: apply refuses")]
    with pytest.raises(GuardError, match=said) as caught:
        countries.apply()
    assert "limits: {" in (caught.value.hint or "")
    assert not countries.has("note")
    assert countries.rows("SELECT count(*) FROM countries WHERE name = 'x'") == [(2,)]


@pytest.mark.parametrize(
    "limits", [{"fixture": "{deletes: 2, updates: 50%}"}, {"step": "{deletes: 2, updates: 2}"}, {"fixture": "{}"}]
)
def test_as_much_as_the_limit_is_applied(countries: TrialProject, limits: dict[str, str]) -> None:
    declare(countries, **limits)
    assert excesses(countries) == []
    assert len(countries.apply().applied) == 2
    assert countries.rows("SELECT count(*) FROM countries") == [(4,)]


def test_rows_that_an_earlier_step_brings_count_at_the_turn(countries: TrialProject) -> None:
    declare(countries, fixture="{updates: 2}")
    text = (countries.folder / "bootstrap.yaml").read_text()
    countries.write(text.replace("CREATE TABLE note ()", "CREATE TABLE note (); UPDATE countries SET name = 'y'"))
    with pytest.raises(GuardError, match="fixture countries: 3 rows to update, more than its limit of 2"):
        countries.apply()
    assert countries.rows("SELECT count(*) FROM countries WHERE name = 'y'") == [(5,)]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"fixture": "{deletes: 101%}"}, "limits.deletes: this is not a limit; write a number"),
        ({"fixture": "{deletes: -1}"}, "limits.deletes: this is not a limit"),
        ({"fixture": "{updates: many}"}, "limits.updates: this is not a limit"),
        ({"step": "{updates: 10%}"}, "limits.updates"),
        ({"step": "{creates: 1}"}, "creates"),
    ],
)
def test_what_is_not_a_limit_is_refused(countries: TrialProject, limits: dict[str, str], said: str) -> None:
    declare(countries, **limits)
    with pytest.raises(InvalidFileError) as caught:
        countries.plan()
    assert said in str(caught.value)
