"""A step that exceeds its time says so, in plans too, and its run has an end."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.plugin.authors import APPLY, CHANGES, Author

STEPS = "- uses: mark\n  timeout: 500ms"
ASKS = "context.connection.execute('SELECT pg_sleep(20)')"
SLEEPS = "import time; time.sleep({})"


def outcomes(author: Author) -> list[str | None]:
    with psycopg.connect(author.project.url) as connection:
        return [row[0] for row in connection.execute("SELECT outcome FROM bootstrapper.runs")]


@pytest.mark.parametrize("command", ["plan", "apply"])
@pytest.mark.parametrize("body", [ASKS, SLEEPS.format(0.7)], ids=["asks", "sleeps"])
def test_changes_are_limited_by_the_timeout_of_the_step(author: Author, body: str, command: str) -> None:
    author.step(changes=f"{body}\n{CHANGES}", steps=STEPS)
    began = time.monotonic()
    assert "bootstrap.yaml:8:5: step 'mark' exceeded its deadline" in author.refused(command)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "code",
    [
        {"apply": f"{ASKS}\n{APPLY}"},
        {"apply": f"{SLEEPS.format(3)}\n{APPLY}"},
        {"more": f"def prepare(self, context, changes): {SLEEPS.format(3)}"},
        {"more": f"def prepare(self, context, changes): {ASKS}"},
    ],
    ids=["apply asks", "apply sleeps", "prepare sleeps", "prepare asks"],
)
def test_a_run_that_outlasts_the_time_of_a_step_has_failed_and_left_nothing(
    author: Author, code: dict[str, str]
) -> None:
    author.step(**code, steps=STEPS)
    assert "bootstrap.yaml:8:5: step 'mark' exceeded its deadline" in author.refused("apply")
    assert (outcomes(author), author.tables()) == (["failed"], [])


def test_a_step_in_its_time_is_applied(author: Author) -> None:
    author.step(steps="- uses: mark\n  timeout: 30s")
    assert author.run("apply").returncode == 0
    assert outcomes(author) == ["done"]
