"""The value function `$command`, which runs real programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrapper.api import project
from bootstrapper.deadline import Deadline
from bootstrapper.engine.request import Request
from bootstrapper.errors import InvalidFileError
from bootstrapper.plugin.evaluate import evaluate
from bootstrapper.plugin.inspect import needs
from tests.fixtures.contexts import Bench
from tests.waiting import eventually


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench("postgresql://nowhere/nothing", tmp_path, variables={"REGION": "eu-north-1", "TOKEN": "t0k3n-of-app"})
    bench.write("")
    return bench


def value(bench: Bench, argument: object) -> Any:
    return evaluate({"$command": argument}, bench.context()).value


def script(bench: Bench, text: str) -> str:
    path = bench.folder / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return "./script"


@pytest.mark.parametrize(
    ("printed", "text"), [("a\\n", "a"), ("a\\r\\n", "a"), ("a\\n\\n", "a\n"), (" a b", " a b"), ("", "")]
)
def test_the_value_is_what_the_program_prints_without_the_last_line_break(
    bench: Bench, printed: str, text: str
) -> None:
    assert value(bench, ["printf", printed]) == text


def test_the_program_gets_its_words_as_they_are_and_the_variables_of_the_project(bench: Bench) -> None:
    assert value(bench, ["printf", "%s|", "$(id)", "a b", "*", "${REGION}", 7]) == "$(id)|a b|*|eu-north-1|7|"
    assert value(bench, ["sh", "-c", "echo $REGION; pwd"]) == f"eu-north-1\n{bench.folder}"
    assert value(bench, [script(bench, "cat; echo $#"), ""]) == "1"


def test_the_result_is_a_secret_and_its_arguments_are_not(bench: Bench) -> None:
    bench.default_secrets = False
    context = bench.context()
    found = evaluate({"$command": ["printf", "${REGION:-eu-south-1}-s3cret"]}, context)
    assert found.secret
    assert context.masker.mask("eu-north-1-s3cret in eu-north-1") == "*** in eu-north-1"
    assert evaluate({"$command": ["printf", "${PLACE:-eu-south-1}"]}, context).value == "eu-south-1"  # no default of it
    nested = {"$password": {"$command": ["printf", "${PLACE:-eu-south-1}"]}}
    assert needs(nested, context) == ()
    assert evaluate(nested, context).secret


def test_a_failed_program_is_named_with_its_exit_code_and_last_lines_without_secrets(bench: Bench) -> None:
    name = script(bench, "echo printed-secret; for i in 1 2 3 4; do echo line $i of $TOKEN >&2; done; exit 3")
    context = bench.context()
    context.masker.learn("t0k3n-of-app")
    with pytest.raises(ValueError, match="script ended with exit code 3") as caught:
        evaluate({"$command": [name]}, context)
    assert str(caught.value) == (
        "$command: script ended with exit code 3: line 2 of *** / line 3 of *** / line 4 of ***"
    )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (["no-such-program"], "program no-such-program not found on PATH"),
        (["./none"], "program ./none not found in "),
        (["sh", "-c", "kill -9 $$"], r"sh was killed by signal 9"),
        (["printf", "\\377"], "not UTF-8"),
        (["printf", "a\\0b"], "NUL"),
        (["head", "-c", "2000000", "/dev/zero"], "more than 1 MB"),
        ("printf a", r"takes \[program, argument"),
        ([], r"takes \[program, argument"),
        ([""], r"takes \[program, argument"),
        ([["a"]], r"takes \[program, argument"),
        ({"run": ["true"], "shell": True}, r"takes \[program, argument"),
        ({"run": ["true"], "timeout": "soon"}, "soon"),
        ({"run": ["true"], "timeout": 0}, "timeout"),
    ],
)
def test_what_is_wrong_is_named(bench: Bench, argument: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value(bench, argument)


def test_a_program_that_takes_too_long_is_killed_with_what_it_started(bench: Bench) -> None:
    name = script(bench, "sleep 300 & echo $! > pid; wait")
    with pytest.raises(ValueError, match="script did not finish in time"):
        value(bench, {"run": [name], "timeout": "1s"})
    pid = (bench.folder / "pid").read_text().strip()
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_the_deadline_of_the_run_holds_as_well(bench: Bench) -> None:
    with pytest.raises(ValueError, match="sleep did not finish in time"):
        evaluate({"$command": ["sleep", "300"]}, replace(bench.context(), deadline=Deadline.after(0.5)))


FILE = """
version: 1
name: trial
database: {host: 127.0.0.1, user: app, password: {$command: %s}}
steps:
  - uses: lock
  - uses: command
    with: {run: ["true"], env: {TOKEN: {$command: [touch, "ran too"]}}}
    check: never
"""


def request(folder: Path, command: str) -> Request:
    (folder / "bootstrap.yaml").write_text(FILE % command)
    return Request(file=folder / "bootstrap.yaml")


def test_validate_runs_no_program_and_finds_wrong_arguments(tmp_path: Path) -> None:
    project.validate(request(tmp_path, "[touch, ran]"))
    assert [path.name for path in tmp_path.iterdir()] == ["bootstrap.yaml"]
    with pytest.raises(InvalidFileError) as caught:
        project.validate(request(tmp_path, "touch ran"))
    (problem,) = caught.value.problems
    assert (problem.source and problem.source.line, "takes [program" in problem.message) == (4, True)


@pytest.mark.parametrize("url", ["{url: {$command: [touch, ran]}}", "{host: h, port: x, password: {$command: [a]}}"])
def test_validate_checks_what_else_the_address_says(tmp_path: Path, url: str) -> None:
    asked = request(tmp_path, "[true]")
    text = asked.file.read_text()
    asked.file.write_text(text.replace("{host: 127.0.0.1, user: app, password: {$command: [true]}}", url))
    if "port" in url:
        with pytest.raises(InvalidFileError, match="port"):
            project.validate(asked)
    else:
        project.validate(asked)
    assert not (tmp_path / "ran").exists()
