"""What the author of a renderer, or of a hook, is told of its mistakes."""

from __future__ import annotations

import json

import pytest

from tests.plugin.authors import APPLY, CHANGES, Author

RENDERER = """
class Count(Renderer):
    format = "count"

    def plan(self, plan):
        {plan}

    {more}

@hookimpl
def bootstrapper_renderers():
    return [Count]
"""
STEPS = "- uses: sql\n  with: {statement: SELECT 1}\n  check: never"


def renderer(author: Author, plan: str, more: str = "") -> None:
    author.write(RENDERER.format(plan=plan, more=more), STEPS)


def test_a_correct_renderer_prints_the_plan(author: Author) -> None:
    renderer(author, "return str(len(plan.steps))")
    assert author.run("plan", "--format", "count").stdout == "3\n"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('no luck')", "raised KeyError: 'no luck', line"),
        ("sys.exit(0)", "called sys.exit(0), line"),
        ("return 7", "returned int; it must return text, line"),
        ("return None", "returned None; it must return text, line"),
        ("yield 'x'", "returned generator; it must return text, line"),
    ],
)
def test_a_fault_of_a_renderer_names_method_and_line(author: Author, fault: str, said: str) -> None:
    renderer(author, fault)
    assert f"plugin {author.plugin}: Count.plan() {said}" in author.refused("plan", "--format", "count")


@pytest.mark.parametrize("fault", ["raise KeyError('no luck')", "sys.exit(0)", "self.wide = 80"])
def test_a_fault_of_the_constructor_is_an_error_of_the_configuration(author: Author, fault: str) -> None:
    renderer(author, "return 'x'", f"def __init__(self, width=80): {fault}")
    assert "Count.__init__() " in author.refused("plan", "--format", "count", code=2)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('no luck')", "bootstrapper_steps raised KeyError: 'no luck', line"),
        ("sys.exit(0)", "bootstrapper_steps called sys.exit(0), line"),
        ("return None", "bootstrapper_steps must return a list of classes, not NoneType"),
    ],
)
def test_a_fault_of_a_hook_is_an_error_of_the_configuration(author: Author, fault: str, said: str) -> None:
    author.write(f"@hookimpl\ndef bootstrapper_steps():\n    {fault}\n", STEPS)
    assert f"plugin {author.plugin}: {said}" in author.refused("plan", code=2)


PRINTS = "print('printed by a plugin')"


@pytest.mark.parametrize("command", [("plan",), ("apply",), ("validate",), ("plugins", "list")], ids=" ".join)
def test_what_a_plugin_prints_goes_to_stderr(author: Author, command: tuple[str, ...]) -> None:
    made = f"def __init__(self, *given):\n    super().__init__(*given)\n    {PRINTS}"
    author.step(changes=f"{PRINTS}\n{CHANGES}", apply=f"{PRINTS}\n{APPLY}", more=made)
    author.plugin.write_text(f"{PRINTS}\n{author.plugin.read_text()}")
    done = author.run(*command, "--format", "json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines() if command == ("apply",) else [done.stdout]
    assert [json.loads(line) for line in lines]
    assert "printed by a plugin" in done.stderr
    assert "printed by a plugin" not in done.stdout
