"""Scopes of plugins: when they are entered and left, and what stays of them."""

from __future__ import annotations

import signal
import subprocess

import psycopg
import pytest

from tests.plugin.authors import Author
from tests.waiting import at_most, eventually

SCOPE = """
import os, signal
from contextlib import contextmanager

class Around(Scope):
    uses = "around"

    @contextmanager
    def around(self, context):
        connection = context.connection
        connection.execute("CREATE TABLE IF NOT EXISTS public.log (id int GENERATED ALWAYS AS IDENTITY, said text)")
        connection.execute("INSERT INTO public.log (said) VALUES (%s)", (f"{self.name} entered",))
        try:
            yield
        except BaseException as error:
            said = type(error).__name__
            raise
        else:
            said = "nothing"
        finally:
            connection.execute("INSERT INTO public.log (said) VALUES (%s)", (f"{self.name} left by {said}",))

class Kill(Step):
    uses = "kill"

    def changes(self, context):
        return [Change.run("kill")]

    def apply(self, context, changes):
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def bootstrapper_steps():
    return [Around, Kill]
"""
STEPS = """
- uses: sql
  name: log
  with: {{statement: "CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, said text)"}}
  check: {{table: log}}
- uses: around
  name: outer
- uses: sql
  name: first
  with: {{statement: "CREATE TABLE first (); INSERT INTO log (said) VALUES ('first')"}}
  check: {{table: first}}
- uses: around
  name: inner
- uses: sql
  name: second
  with: {{statement: "{second}"}}
  check: {{table: second}}
"""
SECOND = "CREATE TABLE second (); INSERT INTO log (said) VALUES ('second')"


def write(author: Author, second: str = SECOND) -> None:
    author.write(SCOPE, STEPS.format(second=second))


def log(author: Author) -> list[str]:
    with psycopg.connect(author.project.url) as connection:
        return [said for (said,) in connection.execute("SELECT said FROM log ORDER BY id")]


def test_scopes_are_entered_before_the_first_step_below_them_and_left_in_reverse_order(author: Author) -> None:
    write(author)
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    middle = ["outer entered", "first", "inner entered", "second"]
    assert log(author) == [*middle, "inner left by nothing", "outer left by nothing"]


def test_a_scope_is_entered_only_if_a_step_below_it_is_applied(author: Author) -> None:
    write(author)
    author.run("apply")
    before = log(author)
    assert author.run("apply").returncode == 0
    assert log(author) == before
    with psycopg.connect(author.project.url) as connection:
        connection.execute("DROP TABLE log; DROP TABLE second")
    assert author.run("apply").returncode == 0
    middle = ["outer entered", "inner entered", "second"]
    assert log(author) == [*middle, "inner left by nothing", "outer left by nothing"]


def test_a_plan_shows_a_scope_and_enters_nothing(author: Author) -> None:
    write(author)
    assert author.run("plan").stdout.count("will be entered") == 2
    assert author.tables() == []
    author.run("apply")
    assert author.run("plan").stdout.count("will be entered") == 0


def test_scopes_are_left_when_a_step_fails_and_get_its_error(author: Author) -> None:
    write(author, "SELECT 1/0")
    assert "division by zero" in author.refused("apply")
    middle = ["outer entered", "first", "inner entered"]
    assert log(author) == [*middle, "inner left by StepFailedError", "outer left by StepFailedError"]


@pytest.mark.parametrize("statement", ["SELECT pg_terminate_backend(pg_backend_pid())"])
def test_without_a_connection_a_scope_cannot_write_and_the_next_run_enters_it_again(
    author: Author, statement: str
) -> None:
    write(author, statement)
    assert author.run("apply").returncode != 0
    assert "inner left by" not in " ".join(log(author))
    write(author)
    assert author.run("apply").returncode == 0
    assert log(author)[-5:] == [
        *("outer entered", "inner entered", "second"),
        *("inner left by nothing", "outer left by nothing"),
    ]


def test_a_killed_process_leaves_the_scope_entered_and_the_next_run_enters_it_again(author: Author) -> None:
    author.write(SCOPE, "- uses: around\n- uses: kill")
    assert author.project.spawn("apply").returncode == -signal.SIGKILL
    assert log(author) == ["around entered"]
    author.plugin.write_text(author.plugin.read_text().replace("os.kill(os.getpid(), signal.SIGKILL)", "1/0"))
    assert author.run("apply").returncode == 1
    assert log(author)[1:] == ["around entered", "around left by PluginFailedError"]


def test_a_command_for_steps_of_one_type_enters_the_scopes_around_them(author: Author) -> None:
    write(author)
    assert author.run("apply", "--step", "log", "--step", "first").returncode == 0
    assert log(author) == ["outer entered", "first", "outer left by nothing"]
    assert author.run("apply", "--skip", "inner").returncode == 0
    assert log(author)[3:] == ["outer entered", "second", "outer left by nothing"]


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, "Terminated"), (signal.SIGINT, "KeyboardInterrupt")])
def test_scopes_are_left_when_the_run_is_interrupted(author: Author, number: int, error: str) -> None:
    write(author, "SELECT pg_sleep(600)")
    command = author.project.command("apply")
    environment = author.project.variables()
    with subprocess.Popen(command, cwd=author.project.folder, env=environment, stderr=subprocess.DEVNULL) as process:
        asleep = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        with psycopg.connect(author.project.url, autocommit=True) as connection:
            assert eventually(lambda: connection.execute(asleep).fetchone() is not None, 30)
        process.send_signal(number)
        assert process.wait(at_most(30)) == 128 + number
    assert log(author)[-2:] == [f"inner left by {error}", f"outer left by {error}"]


@pytest.mark.parametrize(
    ("entering", "leaving"),
    [("SELECT pg_sleep(60)", "SELECT"), ("SELECT", "SELECT pg_sleep(60)")],
    ids=["entered", "left"],
)
def test_a_scope_that_takes_too_long_exceeds_the_deadline(author: Author, entering: str, leaving: str) -> None:
    slow = SCOPE.replace("        try:\n", f"        connection.execute({entering!r})\n        try:\n")
    slow = slow.replace("        finally:\n", f"        finally:\n            connection.execute({leaving!r})\n")
    author.write(slow, "- uses: around\n- uses: sql\n  with: {statement: CREATE TABLE it ()}\n  check: {table: it}")
    assert "step 'around' exceeded its deadline" in author.refused("apply", "--timeout", "3s")
