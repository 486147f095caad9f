"""What the author of a renderer, or of a hook, is told of its mistakes."""

from __future__ import annotations

import json
import subprocess

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
        ("return (each for each in ())", "returned generator; it must return text, line"),
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


@pytest.mark.parametrize(
    ("what", "command"),
    [("outcome", ("apply",)), ("status", ("status",)), ("history", ("history",)), ("history", ("history", "1"))],
    ids=" ".join,
)
def test_a_format_that_a_command_lacks_is_refused_before_anything_is_done(
    author: Author, what: str, command: tuple[str, ...]
) -> None:
    renderer(author, "return 'x'")
    said = author.refused(*command, "--format", "count", code=2)
    assert said.startswith(f"error: format 'count' has no {what}\nhint: Choose one of these: ")
    assert "text" in said.splitlines()[1]
    assert author.run("history").stdout == "no runs: the database has no ledger\n"


def test_a_renderer_renders_whatever_it_has_a_method_for(author: Author) -> None:
    more = """
    def outcome(self, outcome):
        return f"{len(outcome.applied)} applied"

    def status(self, status):
        return f"{status.plan.name}, {status.last_run.outcome}"

    def history(self, runs):
        return ", ".join(f"{run.command} {len(run.steps)}" for run in runs) or "none"
"""
    renderer(author, "return 'x'", more.strip())
    assert author.run("history", "--format", "count").stdout == "none\n"
    assert author.run("apply", "--format", "count").stdout == "1 applied\n"
    assert author.run("status", "--format", "count").stdout == "authors, done\n"
    assert author.run("history", "--format", "count").stdout.startswith("apply ")
    assert author.run("history", "1", "--format", "count").stdout == "apply 1\n"
    assert author.run("history", "--verify", "--format", "count").returncode == 2


@pytest.mark.parametrize("command", ["plan", "apply", "status", "history"])
def test_an_unknown_format_is_refused(author: Author, command: str) -> None:
    renderer(author, "return 'x'")
    assert "unknown format 'counts'" in author.refused(command, "--format", "counts", code=2)


@pytest.mark.parametrize(("what", "command"), [("outcome", "apply"), ("status", "status"), ("history", "history")])
def test_a_fault_of_any_method_names_it(author: Author, what: str, command: str) -> None:
    renderer(author, "return 'x'", f"def {what}(self, found): return 7")
    said = author.refused(command, "--format", "count")
    assert f"plugin {author.plugin}: Count.{what}() returned int; it must return text, line" in said


PRINTS = "print('printed by a plugin')"
WRITES = "import os, subprocess; os.write(1, b'written by a plugin'); subprocess.run(['echo', 'said by a program'])"


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


WRITES = "import os, subprocess; os.write(1, b'written by a plugin'); subprocess.run(['echo', 'said by a program'])"


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_what_its_programs_write_to_descriptor_1_goes_to_stderr(author: Author, command: str) -> None:
    author.step(changes=f"{WRITES}\n{CHANGES}", apply=f"{WRITES}\n{APPLY}")
    author.plugin.write_text(f"{WRITES}\n{author.plugin.read_text()}")
    project = author.project
    done = subprocess.run(
        project.command(command, "--format", "json"),
        cwd=project.folder,
        env=project.variables(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines() if command == "apply" else [done.stdout]
    assert [json.loads(line) for line in lines]
    assert "written by a plugin" in done.stderr
    assert "said by a program" in done.stderr


def test_a_program_that_replaces_the_process_writes_to_stdout(author: Author) -> None:
    author.step(apply=f"{WRITES}\n{APPLY}")
    project = author.project
    done = subprocess.run(
        project.command("run", "--", "echo", "ready"),
        cwd=project.folder,
        env=project.variables(),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, "said by a program" in done.stderr) == ("ready\n", True)
