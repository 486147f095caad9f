"""The contracts of checks, value functions, renderers and gates, each asked of one on a real database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bootstrapper.api import inspection
from bootstrapper.api.project import renderer
from bootstrapper.api.run import apply, plan
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import RefusedError, UnreachableError
from bootstrapper.plans import Answer
from bootstrapper.testing.looking import assert_looking_changes_nothing
from bootstrapper.testing.sample_plans import PLANS
from bootstrapper.testing.snapshots import difference, look
from bootstrapper.testing.trial import Trial

_NOWHERE = "postgresql://trial@127.0.0.1:1/trial"
_ROWS = "CREATE TABLE trial_rows (label text PRIMARY KEY, value text)"
_VALUE = "SELECT value FROM trial_rows"
_LONGEST_SECONDS = 30.0


def assert_check_contract(trial: Trial, check: str, yes: str, *, entries: Sequence[str] = (), more: str = "") -> None:
    """Asks a check before and after its answer becomes yes.

    In the database as it is, it answers no or unknown, and says why: what is missing is never an error. It answers the
    same when it is asked again, writes nothing and leaves no setting of the session changed. Once `yes` was run, it
    answers yes.

    Args:
        check: As `when` and `check` take it: `{role: reader}`.
        yes: SQL after which the answer is yes; empty for a check whose answer does not depend on the database.
        entries: Further entries of `steps:`, which the check is about.
        more: Further keys of the file, such as `fixtures`.

    Raises AssertionError, naming the sentence that is not true.
    """
    request = trial.request(*_asking(check), *entries, more=more)
    first = _answer(request)
    if yes:
        assert not first.is_yes, f"{check} answers yes before it can be true: {first.reason}"
    assert first.reason, f"{check} answers {first.verdict} without a reason"
    second = _answer(request)
    assert second == first, f"{check} answers {first}, and asked again {second}"
    assert_looking_changes_nothing(request, check)
    if yes:
        trial.execute(yes)
        last = _answer(request)
        assert last.is_yes, f"{check} does not answer yes: {last.verdict}, {last.reason}"
        assert_looking_changes_nothing(request, check)


def assert_value_contract(trial: Trial, value: str, *, is_secret: bool) -> str:
    """Puts a value function into a row of a fixture, and applies that; returns the text that it stood for.

    Planning writes nothing and leaves no setting of the session changed; the result is stored as text, and a second
    `apply` writes nothing. A secret stands neither in the plan, nor in what the run tells, nor in the ledger.

    Args:
        value: As a row takes it: `{$vault: name}`.

    Raises AssertionError, naming the sentence that is not true.
    """
    trial.execute(_ROWS)
    request = trial.request(
        "uses: lock",
        "uses: seed",
        more=f"fixtures: {{trial_rows: {{key: [label], rows: [{{label: one, value: {value}}}]}}}}",
    )
    assert_looking_changes_nothing(request, value)
    shown = plan(request).to_json()
    apply(request)
    [(text,)] = trial.execute(_VALUE)
    assert isinstance(text, str), f"{value} stood for nothing"
    before = look(request)
    assert not apply(request).applied, f"{value} was applied again"
    assert not difference(before, look(request)), f"{value} was written again"
    if is_secret:
        ledger = trial.execute("SELECT string_agg(t::text, ' ') FROM bootstrapper.steps AS t")
        told = {"the plan": shown, "the events": repr(trial.events), "the ledger": repr(ledger)}
        shows = [place for place, said in told.items() if text in said]
        assert not shows, f"{value} is secret, and {' and '.join(shows)} shows it"
    return text


def assert_renderer_contract(trial: Trial, name: str) -> None:
    """Renders plans of all kinds: of a new database, with nothing to do, with many rows, with hostile names.

    Each is text without a line break at its end, the same when it is rendered again, and the plan is as it was; wide
    and narrow, in full and not. So are the result of `apply`, the status and the history of a real run, as far as the
    format has them.

    Raises AssertionError, naming what is rendered and the sentence that is not true.
    """
    request = trial.request("uses: lock", "{uses: sql, with: {statement: CREATE TABLE made ()}, check: {table: made}}")
    for title, found in {**PLANS, "of this database": plan(request)}.items():
        before = found.to_json()
        for width, is_full in ((80, False), (20, False), (200, True)):
            made = renderer(request, name, width, is_full=is_full)
            _require_text(f"{name} renders the plan {title!r} at a width of {width}", made.plan, found)
        assert found.to_json() == before, f"{name} changed the plan {title!r}"
    made, outcome = renderer(request, name), apply(request)
    if made.has("outcome"):
        _require_text(f"{name} renders the result of apply", made.outcome, outcome)
    if made.has("status"):
        _require_text(f"{name} renders the status", made.status, inspection.status(request))
    if made.has("history"):
        _require_text(f"{name} renders the history", made.history, inspection.history(request, 20) or [])


def _require_text(where: str, render: Callable[[Any], object], found: object) -> None:
    text = render(found)
    assert isinstance(text, str), f"{where} as {type(text).__name__}, not as text"
    assert not text.endswith("\n"), f"{where} with a line break at the end"
    assert render(found) == text, f"{where} differently when it is asked again"


def assert_gate_contract(trial: Trial, gate: str) -> None:
    """Opens a gate of a server that can be reached, and tries it on one that cannot.

    It opens again and again, writes nothing and leaves no setting of the session changed. Without a server, it raises
    an error of that kind before its time is up, with exit code 5 or 6.

    Args:
        gate: An entry of `steps:` with a short timeout.

    Raises AssertionError, naming the sentence that is not true.
    """
    request = trial.request(gate)
    assert_looking_changes_nothing(request, gate)
    started = time.monotonic()
    try:
        with opened(replace(request, url=_NOWHERE, timeout_seconds=_LONGEST_SECONDS), "test", writes=True) as run:
            run.executor.open_gates()
    except (UnreachableError, RefusedError):
        seconds = time.monotonic() - started
        assert seconds < _LONGEST_SECONDS, f"{gate} waits {seconds:.0f} s for a server that is not there"
    else:
        raise AssertionError(f"{gate} opens without a server")


def _asking(check: str) -> tuple[str, str]:
    return "uses: lock", f"{{uses: sql, name: asked, with: {{statement: SELECT 1}}, check: never, when: {check}}}"


def _answer(request: Request) -> Answer:
    found = next(step.when for step in plan(request).steps if step.name == "asked")
    assert found is not None
    return found
