"""Tests of the choice between live view, plain lines and JSON."""

from __future__ import annotations

import io

import pytest

from bootstrapper.cli.jsonlog import JsonLog
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.plainlog import PlainLog
from bootstrapper.cli.reporter import event_printer
from bootstrapper.cli.terminal import Terminal
from bootstrapper.events import Warned


class FakeTerminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "invocation", "expected"),
    [
        ({"TERM": "xterm"}, {}, Terminal),
        ({"TERM": "dumb"}, {}, PlainLog),
        ({"TERM": "xterm", "CI": "true"}, {}, PlainLog),
        ({"TERM": "xterm"}, {"quiet": True}, PlainLog),
        ({"TERM": "xterm"}, {"log_format": "json"}, JsonLog),
    ],
)
def test_the_live_view_is_only_for_a_person_at_a_terminal(
    variables: dict[str, str], invocation: dict[str, object], expected: type
) -> None:
    asked = Invocation(variables=variables, **invocation)  # type: ignore[arg-type]
    assert isinstance(event_printer(asked, FakeTerminal()), expected)
    assert isinstance(event_printer(Invocation(variables={}), io.StringIO()), PlainLog)


@pytest.mark.parametrize(("variables", "no_color"), [({"NO_COLOR": "1"}, False), ({}, True)])
def test_colours_can_be_disabled(variables: dict[str, str], no_color: bool) -> None:
    stream = FakeTerminal()
    said = event_printer(Invocation(variables={"TERM": "xterm", **variables}, no_color=no_color), stream)
    said.emit(Warned("careful"))
    assert stream.getvalue() == "warning: careful\n"
