"""`apply --record`: a run with nothing to do takes the lock to record itself, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.quick.looks import ENVIRONMENT, Looks

pytestmark = pytest.mark.long

Change = Callable[[Looks], object]


def comment(looks: Looks) -> None:
    file = looks.folder / "bootstrap.yaml"
    file.write_text(f"# ours\n{file.read_text()}")


CHANGES: dict[str, Change] = {
    "a comment": comment,
    "another release of the tool": lambda looks: looks.execute(
        "UPDATE bootstrapper.meta SET key = 'quick:' || md5(key) WHERE key LIKE 'quick:%'"
    ),
    "another declaration of what is there": lambda looks: looks.write("code,price\n7,7.50\n", "prices.csv"),
    "a record that cannot be read": lambda looks: looks.execute(
        "UPDATE bootstrapper.meta SET value = 'none' WHERE key LIKE 'quick:%'"
    ),
}


def ledger(looks: Looks) -> list[tuple[object, ...]]:
    with psycopg.connect(looks.url) as connection:
        runs = connection.execute("SELECT run_id, outcome FROM bootstrapper.runs ORDER BY serial").fetchall()
        steps = connection.execute("SELECT id, hash FROM bootstrapper.steps ORDER BY id").fetchall()
        return [*runs, *steps]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_records_with_nothing_to_do_and_leaves_no_run(looks: Looks, change: Change) -> None:
    looks.apply()
    before = ledger(looks)
    if change is CHANGES["another declaration of what is there"]:
        looks.execute("DELETE FROM prices WHERE code <> 7")
    change(looks)
    looks.apply()
    assert looks.quick() is None
    done = looks.run("apply", *ENVIRONMENT, "--record")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        0,
        "nothing to do: the database matches bootstrap.yaml",
    )
    assert ledger(looks) == before
    assert (0, looks.quick()) == looks.ordinary()
    assert looks.is_quick("plan")


def test_once_recorded_the_quick_look_answers_for_it(looks: Looks) -> None:
    looks.apply()
    assert looks.quick("--record") is not None
    assert looks.quick("--record", "--follow") is None


def test_with_changes_it_applies_and_records(looks: Looks) -> None:
    assert looks.run("apply", *ENVIRONMENT, "--record").returncode == 0
    assert looks.quick() is not None


SECRET = ('name: "Default of ${PLACE:-nowhere}"', "name: {$env: {name: A, secret: true}}")
URL = ('{url: "${DATABASE_URL}"}', '{url: "${DATABASE_URL}", direct_url: {$env: DATABASE_URL}}')
UNANSWERED = {
    "a secret": (SECRET, "nothing was recorded for the quick look: $env at bootstrap.yaml:31:23 depends on more than"),
    "an address": (URL, "nothing was recorded for the quick look: database.direct_url is not a text"),
}


@pytest.mark.parametrize(("edit", "said"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_project_that_the_quick_look_cannot_answer_for_is_told_why(
    looks: Looks, edit: tuple[str, str], said: str
) -> None:
    file = looks.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace(*edit))
    done = looks.run("apply", *ENVIRONMENT, "--record", A="token-of-ours")
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert "token-of-ours" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        r"${DATABASE_URL:?set it to the address (with a $, a { or a \})}",
        "${UNSET:-}${DATABASE_URL}",
        r"${DATABASE_URL}${OPTIONS:-?application_name=a\}b$c}",
    ],
)
def test_an_address_with_any_form_of_a_variable_is_answered_for(looks: Looks, url: str) -> None:
    file = looks.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace('"${DATABASE_URL}"', f"'{url}'"))
    looks.apply()
    assert (0, looks.quick()) == looks.ordinary()
    assert looks.quick(DATABASE_URL="") is None


def test_a_frozen_database_is_left_alone(looks: Looks) -> None:
    looks.apply()
    comment(looks)
    looks.run("freeze", *ENVIRONMENT, "a sale")
    done = looks.run("apply", *ENVIRONMENT, "--record")
    assert done.returncode == 0
    assert "is frozen: a sale" in done.stderr
    assert looks.quick() is None


def test_a_database_of_another_environment_is_left_alone(looks: Looks) -> None:
    looks.apply()
    comment(looks)
    assert looks.run("environment", "set", "there").returncode == 0
    assert looks.run("apply", *ENVIRONMENT, "--record").returncode == 9
    assert looks.quick() is None


@pytest.mark.parametrize("option", ["--follow", "--dry-run", "--force", "--step=seed", "--skip=seed", "plan.json"])
def test_it_is_refused_beside_options_that_change_what_runs(looks: Looks, option: str) -> None:
    looks.apply()
    done = looks.spawn("apply", *ENVIRONMENT, "--record", option)
    assert done.returncode == 2
    assert "--record cannot be combined with" in done.stderr


def test_run_does_not_take_it(looks: Looks) -> None:
    looks.apply()
    assert looks.spawn("run", *ENVIRONMENT, "--record", "--", "true").returncode == 2
