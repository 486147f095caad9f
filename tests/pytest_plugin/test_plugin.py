"""Real pytest sessions of an application: what its tests get, and what the server holds afterwards."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.pytest_plugin.sessions import NAMED, PLUGINS, STEPS, TestedApplication
from tests.servers import Server

ROOT = Path(__file__).parents[2]
HEAVY = ("psycopg", "pydantic", "yaml", "alembic", "sqlalchemy", "bootstrapper.engine", "bootstrapper.api")


def test_the_package_declares_the_plugin_to_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"bootstrapper": PLUGINS[-1]}


def test_a_session_that_uses_no_fixture_of_the_plugin_loads_nothing_heavy(application: TestedApplication) -> None:
    application.write(
        "test_words.py",
        f"import sys\ndef test_it():\n    assert not sys.modules.keys() & set({HEAVY!r})\n"
        f"    assert '{PLUGINS[-1]}' in sys.modules\n",
    )
    assert application.passes() == 1


def test_pytest_does_not_rewrite_the_package(application: TestedApplication) -> None:
    """It does so with all modules of an installed distribution that has a plugin, as the conftest.py here asks for."""
    application.write("conftest.py", "import pytest\npytest.register_assert_rewrite('bootstrapper')\n")
    application.write(
        "test_words.py",
        "import sys\ndef test_it(bootstrap_database):\n"
        "    engine = sys.modules['bootstrapper.engine.open']\n"
        "    assert type(engine.__loader__).__name__ == 'SourceFileLoader'\n",
    )
    assert application.passes("-W", "ignore") == 1


@pytest.mark.smoke
def test_each_test_has_a_bootstrapped_database_of_its_own(application: TestedApplication) -> None:
    assert application.passes() == 4
    assert application.databases("bootstrapper_test_") == set()


def test_the_projects_own_database_is_not_touched(application: TestedApplication) -> None:
    own = application.database.rpartition("/")[2]
    application.passes()
    facts = "SELECT count(*) FROM pg_class WHERE relnamespace NOT IN (11, 'information_schema'::regnamespace, 99)"
    assert application.server.execute(facts, own) == [(0,)]
    sessions = f"SELECT sessions FROM pg_stat_database WHERE datname = '{own}'"
    assert application.server.execute(sessions) == [(1,)]  # that of the line above


def test_a_second_session_takes_the_template_of_the_first(application: TestedApplication) -> None:
    application.write("test_words.py", NAMED)
    application.passes()
    application.passes()
    first, second = application.seen()
    assert (first.was_made, second.was_made) == (True, False)
    assert first.template == second.template
    assert first.database != second.database


def test_a_template_is_made_again_when_asked(application: TestedApplication) -> None:
    application.write("test_words.py", NAMED)
    application.passes()
    application.passes("--bootstrap-recreate", "-n", "2")
    first, second = application.seen()
    assert (first.template, first.was_made, second.was_made) == (second.template, True, True)
    assert application.templates() == {first.template}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("bootstrap.yaml", STEPS.replace("two", "three"), id="row"),
        pytest.param("pytest.ini", "[pytest]\nbootstrap_skip = seed\nbootstrap_inputs = *.txt\n", id="skipped step"),
        pytest.param("model.txt", "changed", id="further input"),
    ],
)
def test_changed_inputs_make_another_template_and_the_old_one_is_dropped(
    application: TestedApplication, name: str, text: str
) -> None:
    application.write("model.txt", "")
    application.configure(inputs="*.txt")
    application.write("test_words.py", NAMED)
    application.passes()
    application.write(name, text)
    application.passes()
    first, second = application.seen()
    assert second.was_made
    assert first.template != second.template
    assert application.templates() == {second.template}


@pytest.mark.parametrize("value", ["{$password: '${SECRET}'}", "{$env: {name: SECRET, secret: true}}", "{$file: it}"])
def test_a_changed_secret_makes_another_template(application: TestedApplication, value: str) -> None:
    application.write("bootstrap.yaml", STEPS.replace("{word: two}", f"{{word: two, note: {value}}}"))
    application.write("test_words.py", NAMED)
    for secret in ("first", "first", "second"):
        application.variables["SECRET"] = secret
        application.write("it", secret)
        application.passes()
    assert [seen.was_made for seen in application.seen()] == [True, False, True]


def test_patterns_of_inputs_that_find_no_file_are_refused(application: TestedApplication) -> None:
    application.configure(inputs="models/*.py")
    assert "bootstrap_inputs: 'models/*.py' matches no file in " in application.run()


def test_a_database_that_only_has_such_a_name_is_not_dropped(application: TestedApplication, server: Server) -> None:
    names = [f"bootstrapper_{kind}_0123456789abcdef" for kind in ("test", "draft", "template")]
    for name in names:
        server.create_database(name)
    application.passes()
    assert set(names) <= application.databases()
    for name in names:
        server.execute(f"DROP DATABASE {name}")


def test_tests_that_leave_connections_open_do_not_keep_their_databases(application: TestedApplication) -> None:
    application.write(
        "test_words.py",
        "import psycopg\nLEFT = []\ndef test_it(bootstrap_database):\n"
        "    LEFT.append(psycopg.connect(bootstrap_database))\n",
    )
    assert application.passes("-W", "ignore") == 1
    assert application.databases("bootstrapper_test_") == set()


@pytest.mark.parametrize(
    "condition", ["bootstrap_database == 'x'", "'x' == bootstrap_database", "not bootstrap_database"]
)
def test_a_failing_assertion_shows_no_password(application: TestedApplication, condition: str) -> None:
    application.write("test_words.py", f"def test_it(bootstrap_database):\n    assert {condition}\n")
    said = application.run("-vv")
    assert "1 failed" in said
    assert "<BootstrapDatabase bootstrapper_test_" in said
    assert "horse" not in said


def test_a_step_that_takes_a_backup_is_left_out(application: TestedApplication) -> None:
    backup = "  - {uses: backup, with: {directory: backups}, check: never}\n"
    application.write("bootstrap.yaml", STEPS.replace("  - uses: sql", f"{backup}  - uses: sql"))
    assert application.passes() == 4
    assert not (application.folder / "backups").exists()


def test_a_named_step_is_left_out(application: TestedApplication) -> None:
    application.configure(skip="seed")
    application.write(
        "test_words.py",
        "import psycopg\ndef test_it(bootstrap_database):\n"
        "    with psycopg.connect(bootstrap_database) as connection:\n"
        "        assert connection.execute('SELECT * FROM words').fetchall() == []\n",
    )
    assert application.passes() == 1


def test_a_program_of_the_file_gets_the_address_of_the_template(application: TestedApplication) -> None:
    step = "  - {uses: command, with: {run: [sh, -c, 'echo $DATABASE_URL $PGDATABASE > told']}, check: never}\n"
    application.write("bootstrap.yaml", STEPS.replace("  - uses: seed", f"{step}  - uses: seed"))
    application.passes()
    url, name = (application.folder / "told").read_text().split()
    assert url.endswith(f"/{name}")
    assert name.startswith("bootstrapper_draft_")


def test_an_embedded_server_is_started(application: TestedApplication) -> None:
    from bootstrapper.postgres.server.embedded import EmbeddedServer

    application.variables["DATABASE_URL"] = "embedded:here"
    embedded = EmbeddedServer(application.folder / "here")
    try:
        assert application.passes("-n", "2") == 4
        assert embedded.is_running
    finally:
        embedded.reset()
