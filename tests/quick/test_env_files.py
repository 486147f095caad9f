"""Env files count by their content, and by whether they are there; the variables of the process win over theirs."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from bootstrapper import Event, apply
from tests.quick.conftest import write_project
from tests.quick.looks import Looks
from tests.servers import Server

pytestmark = pytest.mark.long


@pytest.fixture
def envied(looks: Looks) -> Looks:
    """A project that reads its address from a file."""
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text().replace("${DATABASE_URL}", "${ADDRESS}")
    file.write_text(text.replace("name: trial\n", "name: trial\nenv_files: [vars.env, own.env?]\n"))
    looks.write(f"# ours\nexport ADDRESS='{looks.url}'\nGREETING=ahoy\n", "vars.env")
    return looks


def agree(looks: Looks, **variables: str) -> bool:
    """Returns whether the quick look answered; asserts that it answered as the ordinary run did."""
    found = looks.quick(**variables)
    assert found is None or (0, found) == looks.ordinary(**variables)
    return found is not None


def test_a_project_with_env_files_is_answered_for(envied: Looks) -> None:
    envied.apply()
    assert agree(envied)
    assert envied.is_quick("plan")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vars.env", "ADDRESS={url}\nGREETING=moin\n"),
        ("vars.env", "ADDRESS={url}\n"),
        ("vars.env", "nonsense\n"),
        ("own.env", "GREETING=moin\n"),
        ("own.env", ""),
    ],
)
def test_another_content_is_left_to_the_ordinary_run(envied: Looks, name: str, text: str) -> None:
    envied.apply()
    envied.write(text.replace("{url}", envied.url), name)
    assert not agree(envied)


def test_a_file_that_is_missing_now_is_left_to_the_ordinary_run(envied: Looks) -> None:
    envied.write("GREETING=moin\n", "own.env")
    envied.apply()
    assert agree(envied)
    (envied.folder / "own.env").unlink()
    assert not agree(envied)
    (envied.folder / "vars.env").unlink()
    assert not agree(envied, ADDRESS=envied.url)


def test_a_variable_of_the_process_wins(envied: Looks) -> None:
    envied.apply()
    assert not agree(envied, GREETING="moin")
    assert not agree(envied, ADDRESS=f"{envied.url}_of_no_one")


def test_another_database_is_not_answered_for(envied: Looks, server: Server) -> None:
    envied.apply()
    name = f"{psycopg.conninfo.conninfo_to_dict(envied.url)['dbname']}_empty"
    server.create_database(name)
    try:
        assert not agree(envied, ADDRESS=server.url(name))
    finally:
        server.execute(f'DROP DATABASE "{name}"')


def test_a_file_that_an_overlay_in_another_folder_names(envied: Looks, tmp_path: Path) -> None:
    file = envied.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("here.yaml", "conf/here.yaml"))
    envied.write("env_files: [vars.env]\n", "conf/here.yaml")
    envied.write(f"ADDRESS={envied.url}\n", "conf/vars.env")
    envied.write("ADDRESS=postgresql://127.0.0.1:1/none\n", "vars.env")
    envied.apply()
    assert agree(envied)
    envied.write(f"ADDRESS={envied.url}\nGREETING=moin\n", "conf/vars.env")
    assert not agree(envied)


@pytest.mark.parametrize("names", ["['${NAME:-vars.env}']", "vars.env", "[1]", "{vars.env: 1}"])
def test_names_that_take_more_to_read_are_left_to_the_ordinary_run(envied: Looks, names: str) -> None:
    file = envied.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("[vars.env, own.env?]", names))
    envied.run("apply", "-e", "here")
    assert not agree(envied)


def test_a_protected_environment_reads_none(looks: Looks) -> None:
    write_project(looks)
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text().replace("  here: {file: here.yaml}", "  here: {file: here.yaml, protected: true}")
    file.write_text(text.replace("name: trial\n", "name: trial\nenv_files: [missing.env]\n"))
    looks.apply(ADMIN="secret")
    assert agree(looks, ADMIN="secret")


@pytest.mark.parametrize(("name", "text"), [("own.env", "GREETING=moin\n"), ("vars.env", "GREETING=moin\n")])
def test_a_file_that_is_written_during_a_run_is_not_recorded(envied: Looks, name: str, text: str) -> None:
    def edit(event: Event) -> None:
        if type(event).__name__ == "ScopeEntered":
            envied.write(text, name)

    variables = envied.variables({"ADDRESS": envied.url})
    apply(envied.folder / "bootstrap.yaml", environment="here", on_event=edit, variables=variables)
    assert not agree(envied, ADDRESS=envied.url)
