"""Main options of alembic.ini and attributes that the step gives, and what they are refused for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision

MIGRATES = """\
version: 1
name: sample
database: {{url: "${{DATABASE_URL}}"}}
steps:
  - uses: lock
  - uses: migrate
    with: {{script_location: migrations, {more}}}
"""
TELLS = "import json\nfrom alembic import context\nprint(json.dumps(dict(context.config.attributes)))\n" + ENV


def test_version_locations_of_the_step_are_read_and_migrated(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "ignored", upgrade=create_table("ignored"))
    write_revision(tmp_path, "first", upgrade=create_table("a"), folder="one")
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"), folder="two")
    options = {"version_locations": "one two"}
    with trial(tmp_path, database, script_location="migrations", options=options) as migrate:
        assert migrate.pending() == ["revision first", "revision second"]
        migrate.apply()
        assert migrate.changes() == []
        assert migrate.query("SELECT to_regclass('b') IS NOT NULL") == [(True,)]


def test_an_option_of_the_step_overrides_that_of_the_files(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", folder="one and only")
    for name in ("alembic.ini", "pyproject.toml"):
        is_ini = name == "alembic.ini"
        text = (
            "[alembic]\nversion_locations = absent\n" if is_ini else '[tool.alembic]\nversion_locations = ["absent"]\n'
        )
        (tmp_path / name).write_text(text)
        options = {"version_locations": "one and only", "version_path_separator": "os"}
        with trial(tmp_path, database, script_location="migrations", config=name, options=options) as migrate:
            assert migrate.pending() == ["revision first"]


def test_flags_are_written_as_in_an_ini(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", folder="migrations/versions/deep", upgrade=create_table("a"))
    options = {"recursive_version_locations": True, "truncate_slug_length": 10, "sourceless": False}
    with trial(tmp_path, database, script_location="migrations", options=options) as migrate:
        assert migrate.pending() == ["revision first"]
        migrate.apply()
        assert migrate.changes() == []


def test_relative_paths_start_at_the_folder_of_the_project(tmp_path: Path, database: str) -> None:
    write_env(tmp_path / "app")
    write_revision(tmp_path / "app", "first", folder="history", upgrade=create_table("a"))
    options = {"script_location": "app/migrations", "cwd": "app", "options": {"version_locations": "history"}}
    with trial(tmp_path, database, **options) as migrate:
        assert migrate.pending() == ["revision first"]
        migrate.apply()
        assert migrate.changes() == []


def test_env_py_reads_engine_options_and_percent_signs_unchanged(tmp_path: Path, database: str) -> None:
    head = "from alembic import context\nfound = context.config.get_section('alembic')\n"
    write_env(tmp_path, head + "print(found['sqlalchemy.echo_pool'], found['file_template'])\n" + ENV)
    write_revision(tmp_path, "first")
    options = {"sqlalchemy.echo_pool": True, "file_template": "%(rev)s"}
    with trial(tmp_path, database, script_location="migrations", options=options) as migrate:
        migrate.apply()
        assert migrate.lines == ["true %(rev)s"]


def test_a_new_revision_is_named_by_the_template_of_the_step(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    (tmp_path / "migrations" / "script.py.mako").write_text(
        '"""${message}"""\nrevision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n'
        "branch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    pass\n"
    )
    project = Project(tmp_path, database)
    project.write(MIGRATES.format(more='options: {file_template: "%(rev)s_and_%(slug)s"}'))
    made = project.run("revision", "Begin here", "--rev-id", "abc")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "migrations/versions/abc_and_begin_here.py").is_file()


def test_attributes_are_passed_unchanged(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, TELLS)
    write_revision(tmp_path, "first")
    given = "{configure_logger: false, tenants: [a, b], limits: {rows: 10, share: 0.5}, nothing: null, name: x}"
    project = Project(tmp_path, database)
    project.write(MIGRATES.format(more=f"attributes: {given}"))
    applied = project.run("apply")
    assert applied.returncode == 0, applied.stderr
    [line] = [line for line in applied.stderr.splitlines() if "tenants" in line]
    assert json.loads(line[line.index("{") :]) == {
        "configure_logger": False,
        "tenants": ["a", "b"],
        "limits": {"rows": 10, "share": 0.5},
        "nothing": None,
        "name": "x",
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("options: {script_location: other}", "options.script_location: has a key of its own under `with:`"),
        ("options: {sqlalchemy.url: postgresql://elsewhere/x}", "the address is that of `database:`"),
        ('options: {version_locations: "%(here)s/versions"}', "relative paths start at `cwd`"),
        ("options: {version_locations: [a, b]}", "options.version_locations"),
        ("options: {version_locations: absent}", "folder absent of version_locations does not exist"),
        ('options: {version_locations: a, path_separator: "|"}', "path_separator '|' is not supported"),
        ("options: [a]", "options"),
        ("attributes: [a]", "attributes"),
    ],
)
def test_an_unsupported_option_is_an_error_with_its_position(
    tmp_path: Path, database: str, more: str, said: str
) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    project = Project(tmp_path, database)
    project.write(MIGRATES.format(more=more))
    refused = project.run("validate")
    assert refused.returncode == 2
    assert "bootstrap.yaml:6:" in refused.stderr or "bootstrap.yaml:7:" in refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("kind", ["alembic.ini", "pyproject.toml"])
def test_a_missing_folder_of_version_locations_is_an_error(tmp_path: Path, database: str, kind: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first")
    value = "migrations/versions absent" if kind == "alembic.ini" else '["migrations/versions", "absent"]'
    table = "alembic" if kind == "alembic.ini" else "tool.alembic"
    (tmp_path / kind).write_text(f"[{table}]\nversion_locations = {value}\n")
    project = Project(tmp_path, database)
    project.write(MIGRATES.format(more=""))
    for command in ("validate", "plan", "apply"):
        refused = project.run(command)
        assert refused.returncode == 2
        assert "folder absent of version_locations does not exist" in refused.stderr
