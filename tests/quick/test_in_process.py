"""The functions of the package look quickly first; outcome and events are those of an ordinary run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import bootstrapper
from bootstrapper import Event, Stop
from bootstrapper.api import quick_start
from bootstrapper.api.functions import request_of
from bootstrapper.quick import inputs
from tests.quick.looks import Looks

pytestmark = pytest.mark.long

OFF = {"BOOTSTRAPPER_QUICK": "off"}


def arguments(looks: Looks, **variables: str) -> dict[str, Any]:
    return {
        "file": looks.folder / "bootstrap.yaml",
        "environment": "here",
        "variables": looks.variables(variables),
    }


def without_times(event: Event) -> Event:
    return replace(event, seconds=0.0) if hasattr(event, "seconds") else event


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "apply": bootstrapper.apply,
    "follow": bootstrapper.follow,
    "once": lambda **given: bootstrapper.follow(once=True, **given),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_outcome_and_events_are_those_of_an_ordinary_run(looks: Looks, function: Callable[..., Any]) -> None:
    looks.apply()
    quick: list[Event] = []
    ordinary: list[Event] = []
    found = function(on_event=quick.append, **arguments(looks))
    expected = function(on_event=ordinary.append, **arguments(looks, **OFF))
    assert replace(found, seconds=0) == replace(expected, seconds=0)
    assert [without_times(event) for event in quick] == [without_times(event) for event in ordinary]


def test_a_start_with_nothing_to_do_loads_no_engine(looks: Looks) -> None:
    looks.apply()
    code = (
        "import sys\nfrom bootstrapper.integrations.asgi import lifespan\nimport bootstrapper\n"
        "bootstrapper.apply(startup=True)\n"
        "print(*(name for name in ('psycopg', 'pydantic', 'pluggy', 'click', 'sqlalchemy') if name in sys.modules))"
    )
    variables = looks.variables({"BOOTSTRAPPER_ENVIRONMENT": "here"})
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=looks.folder, env=variables, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_stop_ends_the_look(looks: Looks) -> None:
    looks.apply()
    stop = Stop()
    asked = request_of(**arguments(looks), stop=stop)
    assert quick_start.apply(asked) is not None
    stop.set()
    with pytest.raises(bootstrapper.BootstrapperError):
        bootstrapper.apply(stop=stop, **arguments(looks))


def test_a_file_that_changes_during_a_run_is_not_recorded(looks: Looks) -> None:
    """The run did what the file said before, so that the file as it is now would pass for done."""
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text()

    def edit(event: Event) -> None:
        if type(event).__name__ == "ScopeEntered":
            file.write_text(text.replace("code < 1000", "code < 2000"))

    bootstrapper.apply(on_event=edit, **arguments(looks))
    assert looks.quick() is None
    file.write_text(text)
    assert looks.quick() is None


def test_compiled_modules_do_not_count(looks: Looks) -> None:
    def compile_one(event: Event) -> None:
        if type(event).__name__ == "ScopeEntered":
            looks.write("", "migrations/versions/__pycache__/first_.pyc")

    bootstrapper.apply(on_event=compile_one, **arguments(looks))
    assert looks.quick() is not None


def test_a_revision_that_changes_and_changes_back_during_a_run_is_not_recorded(looks: Looks) -> None:
    revision = next((looks.folder / "migrations" / "versions").glob("*.py"))

    def edit(event: Event) -> None:
        if type(event).__name__ == "ScopeEntered":
            text = revision.read_text()
            revision.write_text(f"{text}# other\n")
            revision.write_text(text)

    bootstrapper.apply(on_event=edit, **arguments(looks))
    assert looks.quick() is None


def test_a_run_reads_a_revision_only_once_to_record_it(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def content_of(path: str) -> str:
        read.append(path)
        return original(path)

    original = inputs.content_of
    monkeypatch.setattr(inputs, "content_of", content_of)
    bootstrapper.apply(**arguments(looks))
    assert looks.quick() is not None
    revision = str(next((looks.folder / "migrations" / "versions").glob("*.py")))
    assert read.count(revision) == 2, "once to record it, once for the quick look"


def test_a_file_that_is_renamed_during_a_run_is_not_recorded(looks: Looks) -> None:
    def edit(event: Event) -> None:
        if type(event).__name__ == "ScopeEntered":
            (looks.folder / "notes.sql").rename(looks.folder / "notes.txt")

    with pytest.raises(bootstrapper.BootstrapperError):
        bootstrapper.apply(on_event=edit, **arguments(looks))
    assert looks.quick() is None


@pytest.mark.parametrize("plan", ['"plan":null', '"plan":{"steps":[]}', '"plan":{"steps":[{}]}'])
def test_a_record_without_a_plan_is_left_to_an_ordinary_run(looks: Looks, plan: str) -> None:
    looks.apply()
    looks.execute(
        "UPDATE bootstrapper.meta SET value = (value::jsonb - 'plan')::text WHERE key LIKE 'quick:%';"
        f"UPDATE bootstrapper.meta SET value = overlay(value PLACING '{{{plan},' FROM 1 FOR 1) WHERE key LIKE 'quick:%'"
    )
    assert looks.quick() is not None
    assert not bootstrapper.apply(**arguments(looks)).plan.pending
