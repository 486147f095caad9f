"""Observers of events break nothing, and a plugin emits events only."""

from __future__ import annotations

import logging
import time

import pytest

from bootstrapper.api import run
from bootstrapper.engine.request import Request
from bootstrapper.events import Event, RunFinished
from tests.plugin.authors import APPLY, IMPORTS, Author
from tests.waiting import at_most


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


OBSERVER = """
@hookimpl
def bootstrapper_events(event):
    {body}
"""
NOTE = "print('seen', type(event).__name__, event)"


def observed(author: Author, *bodies: str) -> None:
    """A plugin that makes a change, and one observer per body."""
    author.step()
    for number, body in enumerate(bodies):
        code = IMPORTS + OBSERVER.format(body=body.replace("\n", "\n    "))
        (author.plugin.parent / f"observer_{number}.py").write_text(code)


def seen(said: str) -> list[str]:
    return [line.split()[1] for line in said.splitlines() if line.startswith("seen ")]


def test_an_observer_sees_every_event_of_a_run_in_its_order(author: Author) -> None:
    observed(author, NOTE)
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert seen(done.stderr) == [
        *("RunStarted", "GateOpened", "ScopeEntered", "StepStarted", "StepApplied", "ScopeLeft", "RunFinished"),
    ]


def test_a_run_with_nothing_to_do_and_a_run_that_fails_are_observed(author: Author) -> None:
    observed(author, NOTE)
    author.run("apply")
    assert seen(author.run("apply").stderr)[-1] == "RunFinished"
    observed(author, "if type(event).__name__ == 'RunFinished': print('seen', event.outcome)")
    author.step(apply="raise KeyError('no luck')", changes="return [Change.run('x')]")
    assert seen(author.refused("apply")) == ["failed"]


@pytest.mark.parametrize("command", [("plan",), ("status",), ("validate",), ("apply", "--dry-run")], ids=" ".join)
def test_what_only_looks_is_not_observed(author: Author, command: tuple[str, ...]) -> None:
    observed(author, NOTE)
    assert seen(author.run(*command).stderr) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('no luck')", "raised KeyError: 'no luck', line "),
        ("sys.exit(7)", "called sys.exit(7), line "),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt, line "),
        ("class Mute(Exception):\n    __str__ = None\nraise Mute", "raised Mute, line "),
        (
            "import json\njson.dumps(event)",
            "raised TypeError: Object of type RunStarted is not JSON serializable, line 13\n",
        ),
        ("yield event", "returned generator, so nothing of it ran; it must not yield"),
    ],
)
def test_an_observer_that_fails_is_one_warning_and_not_called_again(author: Author, fault: str, said: str) -> None:
    observed(author, fault, NOTE)
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("observer_0.py") == 1
    assert f"warning: plugin {author.plugin.with_name('observer_0.py')}: bootstrapper_events {said}" in done.stderr
    assert "It is not called again in this run." in done.stderr
    assert seen(done.stderr)[-1] == "RunFinished"
    assert author.tables() == ["marks"]


def test_an_observer_that_hangs_delays_the_end_of_a_run_for_five_seconds_at_most(author: Author) -> None:
    observed(author, "import time\ntime.sleep(600)", NOTE)
    started = time.monotonic()
    done = author.run("apply")
    assert (done.returncode, time.monotonic() - started < at_most(15)) == (0, True)
    assert "bootstrapper_events did not return within 5 s after the run" in done.stderr
    assert seen(done.stderr)[-1] == "RunFinished"


def test_events_and_errors_of_an_observer_show_no_secret(author: Author) -> None:
    observed(author, NOTE, "import os\nraise KeyError(os.environ['API_TOKEN'])")
    author.step(apply=f"{APPLY}\nimport os\ncontext.report(os.environ['API_TOKEN'])")
    done = author.run("apply", API_TOKEN="correct-horse-battery")
    assert "seen StepReported" in done.stderr
    assert "raised KeyError: '***'" in done.stderr
    assert "correct-horse" not in done.stderr


CONFIGURED = """
@hookimpl
def bootstrapper_configured(project):
    {body}
"""


def configured(author: Author, body: str) -> None:
    author.step()
    author.plugin.write_text(author.plugin.read_text() + CONFIGURED.format(body=body))


def test_a_plugin_may_look_at_the_whole_project_before_anything_is_connected(author: Author) -> None:
    configured(author, "print('seen', project.name, project.command, sorted(project.steps))")
    assert "seen authors apply ['lock', 'mark', 'wait']" in author.run("apply").stderr
    assert author.tables() == ["marks"]


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "status"])
def test_its_problems_are_errors_of_the_file(author: Author, command: str) -> None:
    configured(author, "return [Problem('needs a step backup', project.document.source(('steps',)), 'Add one.')]")
    said = author.refused(command, code=2)
    assert "bootstrap.yaml:6:3: needs a step backup" in said
    assert "Add one." in said
    assert author.tables() == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('no luck')", "raised KeyError: 'no luck', line "),
        ("sys.exit(0)", "called sys.exit(0), line "),
        ("return 'no'", "returned str; it must return a list of Problem"),
    ],
)
def test_what_it_raises_is_an_error_of_the_configuration(author: Author, fault: str, said: str) -> None:
    configured(author, fault)
    assert f"plugin {author.plugin}: bootstrapper_configured {said}" in author.refused("apply", code=2)


def test_problems_of_a_plugins_step_are_asked_before_its_changes(author: Author) -> None:
    problems = "def problems(self, project):\n    return [Problem('text must not be mark', self.source)]"
    author.step(changes="raise KeyError('asked')", more=problems)
    for command in ("validate", "plan", "apply"):
        assert "bootstrap.yaml:8:5: text must not be mark" in author.refused(command, code=2)


def test_plugins_list_shows_that_a_plugin_observes(author: Author) -> None:
    observed(author, NOTE)
    assert "    hooks      events\n" in author.run("plugins", "list").stdout
