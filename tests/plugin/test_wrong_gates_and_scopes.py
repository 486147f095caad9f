"""What the author of a gate or a scope is told of its mistakes."""

from __future__ import annotations

import pytest

from tests.plugin.authors import Author

GATE = """
class Door(Gate):
    uses = "door"

    def open(self, context):
        {open}

@hookimpl
def bootstrapper_steps():
    return [Door]
"""
SCOPE = """
from contextlib import contextmanager
from bootstrapper.builtin.steps.lock import Lock

class Around(Lock):
    uses = "around"

    def enter(self, context, pending):
        {enter}

    @contextmanager
    def around(self, manager):
        {around}

@hookimpl
def bootstrapper_steps():
    return [Around]
"""
ENTER = "return self.around(super().enter(context, pending))"
FAULTS = [
    ("raise KeyError('no luck')", "raised KeyError: 'no luck', line"),
    ("sys.exit(0)", "called sys.exit(0), line"),
    ("yield", "returned generator"),
]


def gate(author: Author, body: str) -> None:
    author.write(GATE.format(open=body), "- uses: door\n- uses: sql\n  with: {statement: SELECT 1}\n  check: never")


def scope(author: Author, enter: str = ENTER, around: str = "with manager as hold: yield hold") -> None:
    sql = "- uses: sql\n  with: {statement: SELECT 1/0}\n  check: never"
    author.write(SCOPE.format(enter=enter, around=around), sql)
    file = author.project.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("uses: lock", "uses: around"))


@pytest.mark.parametrize(("fault", "said"), FAULTS)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_fault_of_a_gate_is_a_failure(author: Author, command: str, fault: str, said: str) -> None:
    gate(author, fault)
    assert f"bootstrap.yaml:8:5: plugin {author.plugin}: Door.open() {said}" in author.refused(command)


def test_what_the_server_refuses_a_gate_is_an_error_of_it(author: Author) -> None:
    gate(author, "context.connection.execute('SELECT * FROM nowhere')")
    assert "bootstrap.yaml:8:5: step 'door': relation \"nowhere\" does not exist" in author.refused("plan")


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_fault_of_a_scope_is_a_failure(author: Author, fault: str, said: str) -> None:
    scope(author, fault)
    assert f"Around.enter() {said}" in author.refused("apply")


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ("raise KeyError('no luck'); yield", "__enter__() raised KeyError: 'no luck', line"),
        ("yield None", "__enter__() returned None; it must return a Hold"),
    ],
)
def test_a_fault_while_a_scope_is_entered_is_a_failure(author: Author, around: str, said: str) -> None:
    scope(author, around=around)
    assert said in author.refused("apply")


@pytest.mark.parametrize("error", ["Exception", "BaseException"])
def test_a_scope_cannot_swallow_the_error_of_a_step(author: Author, error: str) -> None:
    scope(author, around=f"with manager as hold:\n            try: yield hold\n            except {error}: pass")
    assert "division by zero" in author.refused("apply")


def test_a_fault_at_the_end_of_a_scope_does_not_hide_the_error_of_a_step(author: Author) -> None:
    scope(
        author,
        around="with manager as hold:\n            try: yield hold\n            finally: raise KeyError('no luck')",
    )
    assert "division by zero" in author.refused("apply")


def test_a_fault_at_the_end_of_a_scope_fails_a_run_that_went_well(author: Author) -> None:
    scope(author, around="with manager as hold:\n            yield hold\n        raise KeyError('no luck')")
    file = author.project.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("1/0", "1"))
    assert "__exit__() raised KeyError: 'no luck', line" in author.refused("apply")
