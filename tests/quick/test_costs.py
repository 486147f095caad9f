"""What the quick look costs: one login, two round trips, few modules; and that it asks all that a run asks."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.cli.pseudoterminal import on_terminal
from tests.quick.looks import ENVIRONMENT, TIME, Looks
from tests.round_trips import CountingProxy
from tests.servers import Server

pytestmark = pytest.mark.long

MODULES = {
    "bootstrapper",
    "bootstrapper.__main__",
    "bootstrapper.config",
    "bootstrapper.config.content_digest",
    "bootstrapper.config.env_lines",
    "bootstrapper.postgres",
    "bootstrapper.postgres.connection",
    "bootstrapper.postgres.connection.session_texts",
    "bootstrapper.postgres.ledger",
    "bootstrapper.postgres.ledger.ownership_questions",
    "bootstrapper.postgres.ledger.table_names",
    "bootstrapper.quick",
    "bootstrapper.quick.answer",
    "bootstrapper.quick.command_line",
    "bootstrapper.quick.crowd",
    "bootstrapper.quick.declared",
    "bootstrapper.quick.embedded",
    "bootstrapper.quick.inputs",
    "bootstrapper.quick.libpq",
    "bootstrapper.quick.look",
    "bootstrapper.quick.record",
}
OTHERS = (
    "_yaml",
    "yaml",
    "_sysconfigdata",
    "_cython",
    "cython_runtime",
    "__main__",
    "sitecustomize",
    "_distutils_hack",
    "__editable__",
)
SHOW = """
import sys
from bootstrapper.__main__ import answer
found = answer(sys.argv[1:], __import__("os").environ, sys.stderr)
assert found is not None
print(*sorted(sys.modules))
"""


ORDINARY = """
import sys
from bootstrapper.cli import main
assert main(sys.argv[1:]) == 0
print(*sorted(sys.modules))
"""
NEEDED = {"annotated_types", "click", "pluggy", "psycopg", "psycopg_binary", "pydantic", "pydantic_core"}
NEEDED |= {"typing_extensions", "typing_inspection"}
WORKS = {
    "bootstrapper.api.plan_files",
    "bootstrapper.api.project",
    "bootstrapper.backups.restore",
    "bootstrapper.cli.formats",
    "bootstrapper.cli.live",
    "bootstrapper.cli.plan",
    "bootstrapper.engine.json_schema",
    "bootstrapper.fleet",
    "bootstrapper.migrations.linting",
    "bootstrapper.scaffold",
    "multiprocessing",
}
"""What makes changes, or shows what most runs do not show: loaded by those alone that need it."""


@pytest.fixture
def proxy(server: Server) -> Iterator[CountingProxy]:
    with CountingProxy(server.port) as counting:
        yield counting


def test_a_quick_look_takes_one_login_and_two_round_trips(looks: Looks, proxy: CountingProxy) -> None:
    looks.apply()
    address = f"{proxy.url(looks.url)}?sslmode=disable&gssencmode=disable"
    assert looks.quick(DATABASE_URL=address) is not None
    assert (proxy.logins, proxy.round_trips) == (1, 2), proxy.statements
    assert looks.is_quick("plan", DATABASE_URL=address)
    assert (proxy.logins, proxy.round_trips) == (2, 4), proxy.statements


@pytest.mark.parametrize("asked", [["apply"], ["plan", "--exit-code"]], ids=" ".join)
def test_a_quick_look_loads_nothing_but_what_is_listed_here(looks: Looks, asked: list[str]) -> None:
    looks.apply()
    command = [sys.executable, "-c", SHOW, *asked, *ENVIRONMENT, "-q"]
    done = subprocess.run(
        command, cwd=looks.folder, env=looks.variables(), capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.partition(".")[0] == "bootstrapper"} == MODULES
    others = {name for name in loaded if not name.startswith(("bootstrapper", *OTHERS))}
    assert {name for name in others if name.partition(".")[0] not in sys.stdlib_module_names} == set()


def test_an_ordinary_run_with_nothing_to_do_loads_nothing_that_works(looks: Looks) -> None:
    """Neither SQLAlchemy nor Alembic, nor rich: the libraries below are all that it needs."""
    looks.apply()
    done = subprocess.run(
        [sys.executable, "-c", ORDINARY, "apply", *ENVIRONMENT, "-q"],
        cwd=looks.folder,
        env=looks.variables(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(done.stdout.split())
    packages = {name.partition(".")[0] for name in loaded if not name.startswith(("bootstrapper", *OTHERS))}
    assert packages - sys.stdlib_module_names == NEEDED
    assert loaded & WORKS == set()


def test_the_program_prints_what_the_ordinary_run_prints(looks: Looks) -> None:
    looks.apply()
    quick = looks.spawn("apply", *ENVIRONMENT)
    ordinary = looks.spawn("apply", *ENVIRONMENT, BOOTSTRAPPER_QUICK="off")
    assert (quick.returncode, quick.stdout) == (ordinary.returncode, ordinary.stdout) == (0, "")
    assert [line.split("(")[0] for line in quick.stderr.splitlines()] == [
        line.split("(")[0] for line in ordinary.stderr.splitlines()
    ]


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "1"}], ids=str)
def test_it_prints_the_same_on_a_terminal(looks: Looks, variables: dict[str, str]) -> None:
    looks.apply()
    shown = [
        on_terminal(looks, ["apply", *ENVIRONMENT], **variables, **more) for more in ({}, {"BOOTSTRAPPER_QUICK": "off"})
    ]
    quick, ordinary = (TIME.sub("(- ms)", text) for text, _ in shown)
    assert quick == ordinary
    assert [code for _, code in shown] == [0, 0]
    assert "ready" in quick
    assert looks.answers_on_terminal()


def recorded(looks: Looks) -> list[str]:
    with psycopg.connect(looks.url) as connection:
        (text,) = connection.execute("SELECT value FROM bootstrapper.meta WHERE key LIKE 'quick:%'").fetchone() or ("",)
    return [b64decode(query).decode() for query, *_ in json.loads(text)["statements"]]


def is_question(statement: str) -> bool:
    """Returns whether it is none of the frame; locks are waited for longer by a run that has work to do."""
    is_frame = statement.startswith(("BEGIN", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET LOCAL"))
    return not is_frame and "'lock_timeout'" not in statement


LARGE = "code,price\n" + "".join(f"{code},{code}.50\n" for code in range(12_000))
FILES: dict[str, Callable[[Looks], object]] = {
    "few rows": lambda looks: None,
    "many rows": lambda looks: (
        looks.write(LARGE, "prices.csv"),
        looks.write((looks.folder / "bootstrap.yaml").read_text().replace("code < 1000", "all"), "bootstrap.yaml"),
    ),
}


@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_the_record_holds_all_that_a_new_run_asks(
    looks: Looks, proxy: CountingProxy, write: Callable[[Looks], object]
) -> None:
    """What the run that recorded knew from before would be missing, and never be asked again."""
    write(looks)
    looks.apply()
    address = f"{proxy.url(looks.url)}?sslmode=disable&gssencmode=disable"
    assert looks.quick() is not None
    ordinary = looks.ordinary(DATABASE_URL=address)
    assert ordinary[0] == 0
    said = [text for each in proxy.conversations[-1].statements[1:] for text in each if is_question(text)]
    assert said == [text for text in recorded(looks) if is_question(text)]


def test_a_secret_is_never_recorded(looks: Looks) -> None:
    file = looks.folder / "bootstrap.yaml"
    old, new = 'name: "Default of ${PLACE:-nowhere}"', "name: {$env: {name: TOKEN, secret: true}}"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    looks.apply(TOKEN="token-of-ours")
    assert looks.quick(TOKEN="token-of-ours") is None
    with psycopg.connect(looks.url) as connection:
        assert connection.execute("SELECT FROM bootstrapper.meta WHERE key LIKE 'quick:%'").fetchall() == []


PLUGIN = """
import time
from bootstrapper import Change, Step, hookimpl


class Timely(Step):
    uses = "timely"
    {pure}

    def changes(self, context):
        return [] if context.connection.execute("SELECT to_regclass('timely')").fetchone()[0] else [Change.create("it")]

    def apply(self, context, changes):
        context.connection.execute("CREATE TABLE timely ()")


@hookimpl
def bootstrapper_steps():
    return [Timely]
"""


@pytest.mark.parametrize(("pure", "is_answered"), [("", False), ("pure = True", True)])
def test_a_step_of_a_plugin_is_answered_for_only_if_it_says_that_it_is_pure(
    looks: Looks, pure: str, is_answered: bool
) -> None:
    looks.write("from . import _beside\n" + PLUGIN.replace("{pure}", pure), "plugins/timely.py")
    looks.write("", "plugins/_beside.py")
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text().replace("name: trial\n", "name: trial\nplugins: [./plugins]\n")
    file.write_text(text.replace("fixtures:\n  tenants", "  - uses: timely\nfixtures:\n  tenants"))
    looks.apply()
    assert (looks.quick() is not None) == is_answered
    if is_answered:
        looks.write("ANOTHER = 1\n", "plugins/_beside.py")
        assert looks.quick() is None


@pytest.mark.parametrize("hook", ["bootstrapper_events(event)", "bootstrapper_configured(project)"])
def test_a_file_whose_plugins_are_called_at_each_run_is_not_answered_for(looks: Looks, hook: str) -> None:
    looks.write(f"from bootstrapper import hookimpl\n\n\n@hookimpl\ndef {hook}:\n    pass\n", "plugins/called.py")
    file = looks.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("name: trial\n", "name: trial\nplugins: [./plugins]\n"))
    looks.apply()
    assert looks.quick() is None


REMEMBERS = """
from bootstrapper import Change, Step, hookimpl


class Remembers(Step):
    uses = "timely"
    pure = True

    def changes(self, context):
        return [] if context.state.read() == 7 else [Change.run("it")]

    def apply(self, context, changes):
        context.state.write(7)


@hookimpl
def bootstrapper_steps():
    return [Remembers]
"""


SCOPE = """
from contextlib import contextmanager
from bootstrapper import Scope, hookimpl


class Around(Scope):
    uses = "around"

    @contextmanager
    def around(self, context):
        context.connection.execute("CREATE TABLE IF NOT EXISTS entered ()")
        yield


@hookimpl
def bootstrapper_steps():
    return [Around]
"""


def test_a_scope_that_is_not_entered_costs_nothing(looks: Looks) -> None:
    looks.write(SCOPE, "plugins/around.py")
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text().replace("name: trial\n", "name: trial\nplugins: [./plugins]\n")
    file.write_text(text.replace("  - uses: lock\n", "  - uses: lock\n  - uses: around\n"))
    looks.apply()
    with psycopg.connect(looks.url) as connection:
        connection.execute("DROP TABLE entered")
    assert looks.quick() is not None
    assert looks.ordinary()[0] == 0
    with psycopg.connect(looks.url) as connection:
        assert connection.execute("SELECT to_regclass('entered')").fetchone() == (None,)


def test_what_a_step_remembers_is_asked_again(looks: Looks) -> None:
    looks.write(REMEMBERS, "plugins/timely.py")
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text().replace("name: trial\n", "name: trial\nplugins: [./plugins]\n")
    file.write_text(text.replace("fixtures:\n  tenants", "  - uses: timely\nfixtures:\n  tenants"))
    looks.apply()
    assert looks.quick() is not None
    with psycopg.connect(looks.url) as connection:
        connection.execute("UPDATE bootstrapper.meta SET value = value || '0' WHERE key = 'state:timely'")
    assert looks.quick() is None
    looks.apply()
    assert looks.quick() is not None


def test_run_becomes_the_program_after_a_quick_look(looks: Looks) -> None:
    looks.apply()
    show = "import os, sys; print(sys.argv[1:], 'DATABASE_URL' in os.environ); sys.exit(7)"
    program = [sys.executable, "-c", show, "-q", "--", "--step"]
    done = looks.spawn("run", *ENVIRONMENT, "--", *program)
    assert (done.returncode, done.stdout) == (7, "['-q', '--', '--step'] True\n")
    assert done.stderr.splitlines()[-1] == "nothing to do: the database matches bootstrap.yaml"
    assert looks.quick_run(*program) is not None


@pytest.mark.parametrize("program", [["no-such-program"], []])
def test_a_program_that_cannot_be_started_is_left_to_the_ordinary_run(looks: Looks, program: list[str]) -> None:
    looks.apply()
    assert looks.quick_run(*program) is None
    assert looks.spawn("run", *ENVIRONMENT, "--", *program).returncode == 2


def test_an_interrupt_ends_a_quick_look_as_it_ends_a_run(looks: Looks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        process = subprocess.Popen(
            looks.command("apply", *ENVIRONMENT),
            cwd=looks.folder,
            env=looks.variables({"DATABASE_URL": f"postgresql://someone@127.0.0.1:{port}/any"}),
            stderr=subprocess.PIPE,
            text=True,
        )
        client, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        client.close()
    assert (process.returncode, "Traceback" in said) == (130, False), said


def test_a_program_that_the_system_refuses_is_told_without_a_traceback(looks: Looks) -> None:
    looks.apply()
    program = looks.folder / "foreign"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    done = looks.spawn("run", *ENVIRONMENT, "--", str(program))
    assert done.returncode == 2
    assert "the database is ready, but" in done.stderr
    assert "Traceback" not in done.stderr
