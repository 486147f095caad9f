"""What is said of a project that fails: where, and no more of its data than helps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bootstrapper.errors import MigrationError
from tests.cli.project import Project
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision

CREATE = "op.execute('CREATE TABLE a (id text UNIQUE NOT NULL CHECK (id <> \\'forbidden\\'))')"
INSERT = 'op.get_bind().execute(sa.text("INSERT INTO a VALUES (:v)"), {{"v": {value!r}}})'
MIGRATES = """\
version: 1
name: sample
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
"""


def failure(migrate: Trial) -> MigrationError:
    with pytest.raises(MigrationError) as caught:
        migrate.apply()
    return caught.value


def inserting(*values: str | None) -> str:
    return "\n".join([CREATE, *(INSERT.format(value=value) for value in values)])


def test_a_conflicting_key_is_shown(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=inserting("twice", "twice"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        error = failure(migrate)
    assert error.sqlstate == "23505"
    assert error.place == "migrations/versions/first_.py:18"
    assert error.lines[1] == "  at migrations/versions/first_.py:18"
    assert error.detail == "Key (id)=(twice) already exists."
    assert "\n  detail: Key (id)=(twice) already exists.\n" in str(error)


def test_a_missing_key_is_shown(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    refer = "op.execute('CREATE TABLE b (a text REFERENCES a (id))')\nop.execute(\"INSERT INTO b VALUES ('nobody')\")"
    write_revision(tmp_path, "first", upgrade=f"{CREATE}\n{refer}")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        error = failure(migrate)
    assert (error.sqlstate, error.detail) == ("23503", 'Key (a)=(nobody) is not present in table "a".')


def test_a_key_with_a_secret_in_it_is_not_shown(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=inserting("token hunter22", "token hunter22"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.context.masker.learn("hunter22")
        error = failure(migrate)
    assert (error.sqlstate, error.detail) == ("23505", None)
    assert "token" not in str(error)


@pytest.mark.parametrize(("value", "sqlstate"), [(None, "23502"), ("forbidden", "23514")])
def test_a_row_quoted_by_the_server_is_not_shown(
    tmp_path: Path, database: str, value: str | None, sqlstate: str
) -> None:
    write_env(tmp_path)
    create = CREATE.replace("(id text", "(secret text DEFAULT \\'private words\\', id text")
    insert = INSERT.format(value=value).replace("INTO a VALUES", "INTO a (id) VALUES")
    write_revision(tmp_path, "first", upgrade=f"{create}\n{insert}")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        error = failure(migrate)
        assert error.sqlstate == sqlstate
        assert "private words" not in f"{error}{error.traceback}{migrate.lines}"


def test_parameters_of_a_statement_that_could_not_be_sent_are_not_shown(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    bad = "class Odd(sa.types.TypeDecorator):\n    impl = sa.Text\n"
    bad += "    cache_ok = True\n    def process_bind_param(self, value, dialect):\n        raise ValueError('odd')\n"
    insert = (
        "op.get_bind().execute(sa.text('SELECT :v').bindparams(sa.bindparam('v', 'private' + ' words', type_=Odd())))"
    )
    write_revision(tmp_path, "first", upgrade=bad + insert)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        error = failure(migrate)
    assert error.reason.startswith("ValueError: odd (migrations/versions/first_.py:")
    assert "private words" not in f"{error}{error.traceback}"


def write_installed(tmp_path: Path, upgrade: str) -> dict[str, str]:
    """A package where pip would put it; gives the variables under which it is found."""
    packages = tmp_path / "lib" / "site-packages"
    write_env(packages / "library")
    (packages / "library" / "__init__.py").touch()
    (packages / "library" / "tools.py").write_text("def first_of(items):\n    first, *_ = items\n    return first\n")
    write_revision(packages / "library", "first", upgrade=upgrade)
    return {"PYTHONPATH": str(packages)}


def test_the_place_of_an_error_in_installed_code_is_shown(tmp_path: Path, database: str) -> None:
    variables = write_installed(tmp_path, "from library.tools import first_of\nfirst_of(None)")
    with trial(tmp_path, database, variables=variables, script_location="library:migrations") as migrate:
        error = failure(migrate)
    assert error.reason.startswith("TypeError: ")
    assert error.reason.endswith(" (library/tools.py:2)")


def test_the_place_is_in_the_project_if_sqlalchemy_or_python_raised(tmp_path: Path, database: str) -> None:
    for name, upgrade in (("by SQLAlchemy", "sa.Column(sa.Integer, sa.Integer)"), ("by Python", "sa.inspect(None)")):
        folder = tmp_path / name
        variables = write_installed(folder, f"pass\n{upgrade}")
        with trial(folder, database, variables=variables, script_location="library:migrations") as migrate:
            error = failure(migrate)
        assert re.search(r" \(library/migrations/versions/first_\.py:\d+\)$", error.reason), error.reason


def test_a_file_of_the_project_comes_before_the_libraries_that_it_called(tmp_path: Path, database: str) -> None:
    variables = write_installed(tmp_path, "pass")
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade="from library.tools import first_of\nfirst_of(None)")
    with trial(tmp_path, database, variables=variables, script_location="migrations") as migrate:
        error = failure(migrate)
    assert re.search(r" \(migrations/versions/first_\.py:\d+\)$", error.reason), error.reason


def test_the_traceback_shows_the_project_and_the_causes_of_the_error(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    raising = "try:\n    {}['missing']\nexcept KeyError as error:\n    raise RuntimeError('no luck') from error"
    write_revision(tmp_path, "first", upgrade=raising)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        error = failure(migrate)
    assert error.traceback is not None
    cause, last = error.traceback.split("\n\n")
    assert cause.endswith("KeyError: 'missing'")
    assert last.endswith("RuntimeError: no luck")
    assert "migrations/env.py" in last
    assert "bootstrapper/migrations/worker/" not in error.traceback


def test_the_traceback_is_printed_on_request(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, "import os\n" + ENV)
    write_revision(tmp_path, "first", upgrade="raise RuntimeError('no luck with ' + os.environ['DATABASE_URL'])")
    file = tmp_path / "migrations/versions/first_.py"
    file.write_text(file.read_text().replace("import sqlalchemy", "import os\nimport sqlalchemy"))
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    plain = project.run("apply")
    assert plain.returncode == 1
    assert "Traceback" not in plain.stderr
    asked = project.run("apply", "--traceback")
    assert asked.returncode == 1
    assert "Traceback (most recent call last):" in asked.stderr
    assert f'File "{file}", line' in asked.stderr
    assert "correct" not in asked.stderr
    as_json = project.run("apply", "--traceback", "--log-format", "json")
    assert f'File "{file}", line' in json.loads(as_json.stderr.splitlines()[-1])["traceback"]
    report = tmp_path / "report.json"
    project.run("apply", "--traceback", "--report", str(report))
    assert "no luck" in json.loads(report.read_text())["error"]["traceback"]


def test_a_traceback_is_in_a_report_on_request_only(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=f"{create_table('a')}\nraise RuntimeError('no luck')")
    project = Project(tmp_path, database)
    project.write(MIGRATES)
    report = tmp_path / "report.json"
    assert project.run("apply", "--report", str(report)).returncode == 1
    assert "traceback" not in json.loads(report.read_text())["error"]
