"""Options, markers and scopes."""

from __future__ import annotations

import pytest

from tests.faults.pgbouncer import PgBouncer
from tests.pytest_plugin.sessions import STEPS, TestedApplication

pytestmark = pytest.mark.long

WORDS = """
import psycopg, pytest

def words(database):
    with psycopg.connect(database) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY 1")]
"""
ENVIRONMENTS = """
environments:
  test: {}
  other: {file: other.yaml}
  live: {protected: true}
"""
OTHER = "fixtures: {words: {rows: [{word: other}]}}\n"
SHARED = """
class TestOne:
    def test_first(self, bootstrap_database): NAMES.append(bootstrap_database.name)
    def test_second(self, bootstrap_database): NAMES.append(bootstrap_database.name)

class TestTwo:
    def test_first(self, bootstrap_database): NAMES.append(bootstrap_database.name)

def test_alone(bootstrap_database): NAMES.append(bootstrap_database.name)

def test_names():
    assert "".join("abcd"[list(dict.fromkeys(NAMES)).index(name)] for name in NAMES) == EXPECTED
"""


@pytest.fixture
def with_environments(application: TestedApplication) -> TestedApplication:
    application.write("bootstrap.yaml", ENVIRONMENTS + STEPS)
    application.write("other.yaml", OTHER)
    return application


def test_the_marker_names_environment_and_file(with_environments: TestedApplication) -> None:
    with_environments.configure(environment="test")
    with_environments.write("second/bootstrap.yaml", STEPS.replace("two", "three"))
    with_environments.write("second/bootstrap.yaml", (with_environments.folder / "second/bootstrap.yaml").read_text())
    with_environments.write(
        "test_words.py",
        WORDS
        + "def test_configured(bootstrap_database):\n    assert words(bootstrap_database) == ['one', 'two']\n"
        + "@pytest.mark.bootstrap(environment='other')\n"
        + "def test_environment(bootstrap_database):\n    assert words(bootstrap_database) == ['other']\n"
        + "@pytest.mark.bootstrap(file='second.yaml', environment=None)\n"
        + "def test_file(bootstrap_database):\n    assert words(bootstrap_database) == ['one', 'three']\n",
    )
    text = (with_environments.folder / "bootstrap.yaml").read_text()
    with_environments.write("second.yaml", text.replace(ENVIRONMENTS, "").replace("two", "three"))
    assert with_environments.passes("--strict-markers") == 3


@pytest.mark.parametrize(
    ("options", "variable", "expected"),
    [
        pytest.param((), "other", "other", id="variable"),
        pytest.param(("--bootstrap-environment", "other"), "test", "other", id="option over variable"),
    ],
)
def test_the_environment_comes_from_the_command_line_or_a_variable(
    with_environments: TestedApplication, options: tuple[str, ...], variable: str, expected: str
) -> None:
    with_environments.variables["BOOTSTRAPPER_ENVIRONMENT"] = variable
    with_environments.write(
        "test_words.py",
        WORDS + f"def test_it(bootstrap_database):\n    assert words(bootstrap_database) == ['{expected}']\n",
    )
    assert with_environments.passes(*options) == 1


def test_the_configuration_of_pytest_wins_over_the_variable(with_environments: TestedApplication) -> None:
    with_environments.variables["BOOTSTRAPPER_ENVIRONMENT"] = "live"
    with_environments.configure(environment="test")
    assert with_environments.passes() == 4


def test_a_protected_environment_is_refused_before_anything_is_connected_to(
    with_environments: TestedApplication,
) -> None:
    with_environments.database = "postgresql://nobody@127.0.0.1:1/x"
    said = with_environments.run("--bootstrap-environment", "live")
    assert said.count("environment 'live' is protected: databases for tests are not made for it") == 1
    assert "4 errors" in said


def test_a_protected_environment_without_its_address_is_refused_as_protected(
    with_environments: TestedApplication,
) -> None:
    with_environments.database = ""
    said = with_environments.run("--bootstrap-environment", "live")
    assert "environment 'live' is protected" in said
    assert "DATABASE_URL" not in said


def test_a_missing_environment_is_reported_with_a_hint_about_pytest(with_environments: TestedApplication) -> None:
    said = with_environments.run()
    assert "no environment chosen; the file declares: test, other, live" in said
    assert "hint: Set bootstrap_environment in pytest's configuration" in said


@pytest.mark.parametrize(
    ("scope", "expected"), [("function", "abcd"), ("class", "aabc"), ("module", "aaaa"), ("session", "aaaa")]
)
@pytest.mark.parametrize("how", ["configuration", "marker"])
def test_the_scope_decides_which_tests_share_a_database(
    application: TestedApplication, how: str, scope: str, expected: str
) -> None:
    mark = f"pytestmark = pytest.mark.bootstrap(scope={scope!r})\n" if how == "marker" else ""
    application.write("test_words.py", f"import pytest\n{mark}NAMES, EXPECTED = [], {expected!r}\n{SHARED}")
    if how == "configuration":
        application.configure(scope=scope)
    assert application.passes() == 5
    assert application.databases("bootstrapper_test_") == set()


def test_a_fixture_of_a_wider_scope_uses_the_database_of_that_scope(application: TestedApplication) -> None:
    application.configure(scope="session")
    application.write(
        "test_words.py",
        WORDS
        + "@pytest.fixture(scope='session')\n"
        + "def engine(bootstrap_database):\n    return bootstrap_database\n"
        + "def test_it(engine):\n    assert words(engine) == ['one', 'two']\n",
    )
    assert application.passes() == 1


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("fil='x'", "takes file, environment, scope as keywords, not fil"),
        ("'x.yaml'", "takes file, environment, scope as keywords, not 'x.yaml'"),
        ("scope='tests'", "scope: 'tests' is not one of function, class, module, package, session"),
    ],
)
def test_a_wrong_marker_is_an_error(application: TestedApplication, marker: str, message: str) -> None:
    application.write(
        "test_words.py",
        f"import pytest\n@pytest.mark.bootstrap({marker})\ndef test_it(bootstrap_database):\n    pass\n",
    )
    assert message in application.run()


def test_an_unknown_scope_is_a_usage_error(application: TestedApplication) -> None:
    application.configure(scope="tests")
    assert "bootstrap_scope: 'tests' is not one of" in application.run()


def test_the_server_may_be_another_than_that_of_the_file(application: TestedApplication) -> None:
    application.variables["TEST_SERVER"] = application.database
    application.database = "postgresql://nobody@127.0.0.1:1/x"
    application.configure(database_url="${TEST_SERVER}")
    assert application.passes() == 4
    assert "bootstrap_database_url: " in application.run("--bootstrap-database-url", "${UNSET}")
    assert "a database URL must begin with" in application.run("--bootstrap-database-url", "mysql://x")


def test_a_pooler_is_refused_and_the_direct_address_taken(application: TestedApplication) -> None:
    direct = application.database
    with PgBouncer(application.server, "transaction") as pooler:
        application.database = pooler.url(direct)
        said = application.run()
        assert said.count("a database for tests needs a direct connection") == 1
        assert "hint: Give the server's own address as `direct_url`" in said
        application.configure(database_url=direct)
        assert application.passes() == 4


def test_a_missing_file_is_named(application: TestedApplication) -> None:
    application.configure(file="missing.yaml")
    assert f"file {application.folder / 'missing.yaml'} does not exist" in application.run()


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("--bootstrap-scope", "session")])
def test_a_bootstrap_that_fails_shows_its_reason_once(application: TestedApplication, options: tuple[str, ...]) -> None:
    application.write("bootstrap.yaml", STEPS.replace("note text)", "note text) SYNTAX"))
    said = application.run(*options)
    assert said.count("syntax error at or near") == 1, said
    assert said.count("the database cannot be bootstrapped; the reason is in another error of this session") == 3
    assert "Traceback" not in said
    assert "4 errors" in said


def test_an_invalid_file_is_reported_with_its_place_and_without_secrets(application: TestedApplication) -> None:
    application.database = "postgresql://u:verysecret@127.0.0.1:1/x"
    application.write("bootstrap.yaml", STEPS.replace("uses: lock", "uses: lok"))
    said = application.run()
    assert f"{application.folder / 'bootstrap.yaml'}:7:" in said
    assert "verysecret" not in said


def test_a_server_that_does_not_answer_is_reported_once(application: TestedApplication) -> None:
    application.database = "postgresql://u:verysecret@127.0.0.1:1/x"
    said = application.run("-n", "2")
    assert said.count("cannot be reached") == 1
    assert "verysecret" not in said
