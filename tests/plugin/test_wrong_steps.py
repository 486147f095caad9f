"""What the author of a step is told of its mistakes: the method and the line, and never that bootstrapper has a bug."""

from __future__ import annotations

import re

import pytest

from tests.plugin.authors import APPLY, CHANGES, Author

RAISES = "raise KeyError('no luck')"
METHODS = {
    "findings": "def findings(self, context, changes): {}",
    "hazards": "def hazards(self, context, changes): {}",
    "bounds": "def bounds(self, context, changes): {}",
    "with_sql": "def with_sql(self, context, changes): {}",
    "done_reason": "def done_reason(self, context): {}",
    "limits": "def limits(self, context): {}",
}
AT_APPLY = {
    "prepare": "def prepare(self, context, changes): {}",
    "parts": "def parts(self, context, changes): {}",
    "remarks": "def remarks(self, changes): {}",
}
AT_LOADING = {
    "problems": "def problems(self, project): {}",
    "inputs": "def inputs(self, project): {}",
    "seeds": "def seeds(self, declared): {}",
    "__init__": "def __init__(self, *arguments): {}",
}


def test_a_correct_step_is_planned_applied_and_done(author: Author) -> None:
    author.step()
    assert author.run("plan", "--exit-code").returncode == 4
    assert author.run("apply").returncode == 0
    assert author.tables() == ["marks"]
    assert author.run("plan", "--exit-code").returncode == 0


@pytest.mark.parametrize("command", ["plan", "apply", "status"])
def test_an_error_in_changes_names_plugin_method_and_line(author: Author, command: str) -> None:
    path = author.step(changes=f"x = 1\n{RAISES}")
    said = author.refused(command)
    line = author.line_of("no luck")
    wanted = f"bootstrap.yaml:8:5: plugin {path}: Mark.changes() raised KeyError: 'no luck', line {line} [BOOT-110]\n"
    assert wanted in said


def test_an_error_deeper_in_other_code_names_the_line_of_the_method(author: Author) -> None:
    author.step(changes="import json\njson.loads('{')")
    said = author.refused("plan")
    assert "Mark.changes() raised JSONDecodeError: Expecting property name" in said
    assert f", line {author.line_of('json.loads')} [BOOT-110]\n" in said


def test_an_error_in_a_file_beside_the_plugin_and_the_standard_library_names_the_line_of_that_file(
    author: Author,
) -> None:
    author.step()
    beside = author.plugin.with_name("_beside.py")
    beside.write_text("import json\n\nclass Base:\n    def changes(self, context):\n        return json.dumps({1})\n")
    text = author.plugin.read_text().replace("class Mark(Step", "from ._beside import Base\nclass Mark(Base, Step")
    author.plugin.write_text(text.replace("def changes", "def unused"))
    assert f"is not JSON serializable, line 5 of {beside} [BOOT-110]\n" in author.refused("plan")


@pytest.mark.parametrize("failing", ["changes", "apply"])
def test_an_error_whose_text_fails_is_named_by_its_type(author: Author, failing: str) -> None:
    author.step(**{failing: "class Mute(Exception):\n    __str__ = None\nraise Mute"})
    said = author.refused("apply")
    assert f"Mark.{failing}() raised Mute, line {author.line_of('raise Mute')} [BOOT-110]\n" in said


def test_an_error_in_apply_is_a_failed_step_that_leaves_nothing(author: Author) -> None:
    author.step(apply=f"{APPLY}\n{RAISES}")
    said = author.refused("apply")
    assert f"Mark.apply() raised KeyError: 'no luck', line {author.line_of('no luck')} [BOOT-110]\n" in said
    assert author.tables() == []


@pytest.mark.parametrize("exits", ["sys.exit(0)", "argparse.ArgumentParser().parse_args(['--help'])"])
@pytest.mark.parametrize("method", ["changes", "apply"])
def test_an_exit_is_an_error_and_later_steps_do_not_run(author: Author, method: str, exits: str) -> None:
    code = {"changes": {"changes": exits}, "apply": {"apply": exits}}[method]
    author.step(**code, steps="- uses: mark\n- uses: sql\n  with: {statement: SELECT 1}\n  check: never")
    assert f"Mark.{method}() called sys.exit(0), line {author.line_of(exits)}" in author.refused("apply")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", [RAISES, "sys.exit(0)", "return 7"])
def test_faults_while_planning_are_failures_of_the_step(author: Author, method: str, fault: str) -> None:
    first = "- uses: sql\n  with: {statement: SELECT 1}\n  check: never\n" if method == "bounds" else ""
    done = "return []" if method == "done_reason" else CHANGES
    author.step(changes=done, more=METHODS[method].format(fault), steps=f"{first}- uses: mark")
    said = author.refused("plan", *(["--sql"] if method == "with_sql" else []))
    assert re.search(rf"Mark\.{method}\(\) (raised KeyError|called sys.exit\(0\)|returned int; it must)", said), said


@pytest.mark.parametrize("method", AT_APPLY)
@pytest.mark.parametrize("fault", [RAISES, "sys.exit(0)", "return (each for each in (7,))"])
def test_faults_around_apply_leave_nothing(author: Author, method: str, fault: str) -> None:
    author.step(more=AT_APPLY[method].format(fault))
    said = author.refused("apply")
    assert re.search(rf"Mark\.{method}\(\) (raised KeyError|called sys.exit\(0\)|returned )", said), said
    assert author.tables() == []


@pytest.mark.parametrize("method", AT_LOADING)
@pytest.mark.parametrize("fault", [RAISES, "sys.exit(0)", "return 7"])
def test_faults_of_the_configuration_are_errors_of_it(author: Author, method: str, fault: str) -> None:
    author.step(more=AT_LOADING[method].format(fault))
    said = author.refused("validate", code=2)
    said_of = r"raised KeyError|called sys.exit\(0\)|returned int|does not call super|raised TypeError"
    assert re.search(rf"Mark\.{method}\(\) ({said_of})", said), said


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("'ab'", "returned str; it must return a list of Change and Deferred"),
        ("None", "returned None; it must return a list of Change and Deferred"),
        ("{'a': 1}", "returned dict; it must return a list of Change and Deferred"),
        ("['x']", "returned a list whose item 1 is str; it must return a list of Change and Deferred"),
        ("[None]", "returned a list whose item 1 is None; it must return a list of Change and Deferred"),
        ("[[Change.run('x')]]", "returned a list whose item 1 is list; it must return"),
        ("[Change.create(None)]", "returned a Change (item 1) whose target is None; it must be text that is not empty"),
        ("[Change.create('')]", "returned a Change (item 1) whose target is empty"),
        ("[Change.create('x', after={'n': 5})]", "whose after is a mapping with int under 'n'; it must be a mapping"),
        ("[Change.create('x', reason=None)]", "whose reason is None; it must be text"),
        ("[Change('create', 'x')]", "whose action is str; it must be an Action"),
        ("[Deferred(None)]", "returned a Deferred (item 1) whose needs is None"),
        ("[Deferred('x', may={Action.RUN})]", "whose may is set; it must be a frozenset of actions"),
        ("[Deferred('x', unset='A')]", "whose unset is str; it must be a tuple of texts"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_changes_of_another_type_are_refused_before_anything_is_applied(
    author: Author, command: str, returned: str, said: str
) -> None:
    author.step(changes=f"return {returned}")
    assert said in author.refused(command)
    assert author.tables() == []


def test_asynchronous_methods_are_refused(author: Author) -> None:
    author.step()
    text = author.plugin.read_text()
    for method in ("changes", "apply"):
        author.plugin.write_text(text.replace(f"def {method}", f"async def {method}"))
        said = author.refused("validate", code=2)
        assert f"plugin {author.plugin}: Mark.{method} is asynchronous; it must be `def`, not `async def`" in said


def test_a_method_that_turns_out_to_be_asynchronous_is_refused(author: Author) -> None:
    author.step(apply="async def later(): ...\nreturn later()")
    assert "Mark.apply() is asynchronous, so nothing of it ran" in author.refused("apply")


def test_apply_as_a_generator_is_refused(author: Author) -> None:
    author.step(apply="yield")
    assert "Mark.apply yields; nothing of it would run" in author.refused("validate", code=2)


def test_a_generator_that_apply_returns_is_refused(author: Author) -> None:
    author.step(apply="return (change for change in changes)")
    assert "Mark.apply() returned generator, so nothing of it ran" in author.refused("apply")


def test_changes_may_be_a_generator(author: Author) -> None:
    author.step(changes=f"if {'True'}:\n    yield from ({CHANGES.removeprefix('return ')})")
    assert author.run("plan", "--exit-code").returncode == 4
    assert author.run("apply").returncode == 0
    assert author.run("plan", "--exit-code").returncode == 0


def test_a_signature_that_the_engine_cannot_call_is_refused_when_it_is_loaded(author: Author) -> None:
    author.step()
    author.plugin.write_text(
        author.plugin.read_text().replace("def apply(self, context, changes)", "def apply(self, context)")
    )
    said = author.refused("plan", code=2)
    assert "Mark.apply must take (self, context, changes)" in said


def test_options_that_would_take_unknown_keys_are_refused(author: Author) -> None:
    author.step()
    text = "from pydantic import BaseModel\n" + author.plugin.read_text()
    author.plugin.write_text(text.replace("MarkOptions(StepModel)", "MarkOptions(BaseModel)"))
    assert "Mark: the type in Step[...] must be a subclass of StepModel" in author.refused("validate", code=2)


def test_an_error_in_a_validator_of_the_options_is_reported_at_its_place(author: Author) -> None:
    author.step(steps="- uses: mark\n  with: {text: x}")
    text = "from pydantic import field_validator\n" + author.plugin.read_text()
    validator = "text: str = 'mark'\n    @field_validator('text')\n    def check(cls, text): raise KeyError(text)\n"
    author.plugin.write_text(text.replace('text: str = "mark"', validator))
    said = author.refused("validate", code=2)
    assert f"bootstrap.yaml:9:11: plugin {author.plugin}: MarkOptions raised KeyError: 'x', line" in said


def test_an_own_error_gets_the_place_of_its_step(author: Author) -> None:
    author.step(apply="raise StepFailedError('the sky is not blue')")
    assert "bootstrap.yaml:8:5: the sky is not blue" in author.refused("apply")


def test_what_psycopg_itself_refuses_names_the_line(author: Author) -> None:
    author.step(changes="context.connection.execute('SELECT %s', (1, 2))\nreturn []")
    said = author.refused("plan")
    assert "Mark.changes() raised ProgrammingError: the query has 1 placeholder" in said


def test_what_the_server_refuses_is_an_error_of_the_step(author: Author) -> None:
    author.step(changes="context.connection.execute('SELECT * FROM nowhere')\nreturn []")
    line = author.line_of("nowhere")
    assert (
        "step 'mark': relation \"nowhere\" does not exist (SQLSTATE 42P01) [BOOT-101]\n"
        f"  in plugin {author.plugin}: Mark.changes(), line {line}\n"
    ) in author.refused("plan")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_what_writes_where_it_may_only_read_gets_a_hint(author: Author, command: str) -> None:
    author.step(changes="context.connection.execute('CREATE TABLE marks ()')\nreturn []")
    said = author.refused(command)
    assert f"(SQLSTATE 25006)\n  in plugin {author.plugin}: Mark.changes(), line " in said
    assert "Only `apply` and `prepare` may write; `changes` and checks read." in said


@pytest.mark.parametrize("method", ["apply", "prepare"])
def test_a_refused_statement_of_a_method_that_writes_is_named(author: Author, method: str) -> None:
    more = (
        "def prepare(self, context, changes): context.connection.execute('SELECT 2/0')" if method == "prepare" else ""
    )
    author.step(apply="context.connection.execute('SELECT 1/0')", more=more)
    said = author.refused("apply")
    line = author.line_of("2/0" if method == "prepare" else "1/0")
    assert f"Mark.{method}(), line {line}\n" in said


def test_a_word_of_the_plugin_is_shown_where_the_syntax_is_wrong_and_a_value_is_not(author: Author) -> None:
    author.step(changes="context.connection.execute('SELEC 1')\nreturn []")
    said = author.refused("plan")
    assert 'syntax error at or near "SELEC" (SQLSTATE 42601)' in said
    assert f"Mark.changes(), line {author.line_of('SELEC 1')}\n" in said
    author.step(changes="import os\ncontext.connection.execute(f\"SELECT '{os.environ['PIN']}'\")\nreturn []")
    for pin in ("a' y hunter ", "a' y 7 ", "a' y (hunter"):
        done = author.run("plan", PIN=pin)
        assert 'syntax error at or near "***" (SQLSTATE 42601)' in done.stderr
        assert "hunter" not in done.stderr


def test_a_step_may_catch_what_its_own_methods_raise(author: Author) -> None:
    more = f"def seeds(self, declared):\n    if declared is None: {RAISES}\n    return ()"
    author.step(apply=f"try:\n    self.seeds(None)\nexcept KeyError:\n    {APPLY}", more=more)
    assert author.run("apply").returncode == 0
