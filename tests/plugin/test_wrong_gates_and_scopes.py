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

class Around(Scope):
    uses = "around"

    @contextmanager
    def around(self, context):
        {around}

@hookimpl
def bootstrapper_steps():
    return [Around]
"""
FAULTS = [
    ("raise KeyError('no luck')", "raised KeyError: 'no luck', line"),
    ("sys.exit(0)", "called sys.exit(0), line"),
    ("return (each for each in ())", "returned generator"),
]


def gate(author: Author, body: str) -> None:
    author.write(GATE.format(open=body), "- uses: door\n- uses: sql\n  with: {statement: SELECT 1}\n  check: never")


def scope(author: Author, around: str, statement: str = "SELECT 1/0") -> None:
    author.write(
        SCOPE.format(around=around),
        f"""
    - uses: around
    - uses: sql
      with: {{statement: {statement}}}
      check: never
    """,
    )


@pytest.mark.parametrize(("fault", "said"), FAULTS)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_fault_of_a_gate_is_a_failure(author: Author, command: str, fault: str, said: str) -> None:
    gate(author, fault)
    assert f"bootstrap.yaml:8:5: plugin {author.plugin}: Door.open() {said}" in author.refused(command)


def test_what_the_server_refuses_a_gate_is_an_error_of_it(author: Author) -> None:
    gate(author, "context.connection.execute('SELECT * FROM nowhere')")
    assert "bootstrap.yaml:8:5: step 'door': relation \"nowhere\" does not exist" in author.refused("plan")


@pytest.mark.parametrize(
    ("fault", "said"),
    [*FAULTS[:2], ("return 7", "returned int; it must return an AbstractContextManager")],
)
def test_a_fault_of_a_scope_is_a_failure(author: Author, fault: str, said: str) -> None:
    scope(author, "yield")
    author.plugin.write_text(author.plugin.read_text().replace("    @contextmanager\n", "").replace("yield", fault))
    assert f"bootstrap.yaml:8:5: plugin {author.plugin}: Around.around() {said}" in author.refused("apply")


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ("raise KeyError('no luck'); yield", "Around.around() raised KeyError: 'no luck', line"),
        ("context.connection.commit(); yield", "Around.around() used commit() of the connection"),
        ("context.connection.execute('SELECT * FROM nowhere'); yield", 'relation "nowhere" does not exist'),
        ("return; yield", "Around.around() does not yield, line"),
        ("pass", "Around.around() does not yield, line"),
        ("import json; json.dumps({1}); yield", "is not JSON serializable, line 17 [BOOT-110]\n"),
    ],
)
def test_a_fault_while_a_scope_is_entered_is_a_failure_before_any_step(author: Author, around: str, said: str) -> None:
    scope(author, around, "CREATE TABLE marks ()")
    assert said in author.refused("apply")
    assert author.tables() == []


@pytest.mark.parametrize("error", ["Exception", "BaseException"])
def test_a_scope_cannot_swallow_the_error_of_a_step(author: Author, error: str) -> None:
    scope(author, f"try: yield\n        except {error}: pass")
    assert "division by zero" in author.refused("apply")


def test_a_fault_at_the_end_of_a_scope_does_not_hide_the_error_of_a_step(author: Author) -> None:
    scope(author, "try: yield\n        finally: raise KeyError('no luck')")
    said = author.refused("apply")
    assert "error: bootstrap.yaml:9:5: the statement: division by zero" in said
    assert "scope 'around' could not be left" in said
    assert f"Around.around() raised KeyError: 'no luck', line {author.line_of('no luck')}\n" in said


def test_a_fault_at_the_end_of_a_scope_fails_a_run_that_went_well(author: Author) -> None:
    scope(author, "yield; raise KeyError('no luck')", "SELECT 1")
    assert "Around.around() raised KeyError: 'no luck', line" in author.refused("apply")


def test_a_scope_above_the_lock_is_refused(author: Author) -> None:
    scope(author, "yield")
    file = author.project.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("- uses: wait", "- uses: around\n    name: above"))
    assert "scope 'above' writes, but no lock precedes it" in author.refused("validate", code=2)


def test_an_asynchronous_scope_is_refused_when_it_is_loaded(author: Author) -> None:
    scope(author, "yield")
    text = (
        author.plugin.read_text()
        .replace("contextmanager", "asynccontextmanager")
        .replace("    def around", "    async def around")
    )
    author.plugin.write_text(text)
    assert "Around.around is asynchronous; it must be `def`, not `async def`" in author.refused("validate", code=2)


def test_a_plugin_cannot_take_the_lock_itself(author: Author) -> None:
    scope(author, "yield")
    text = author.plugin.read_text().replace("(Scope)", "(Lock)")
    author.plugin.write_text("from bootstrapper.builtin.steps.lock import Lock\n" + text)
    assert "is not a subclass of Gate or Scope or Step" in author.refused("validate", code=2)
