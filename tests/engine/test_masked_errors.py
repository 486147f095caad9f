"""Secrets inside the errors that the functions of the package raise, and in what is logged of them."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from pydantic import BaseModel, ValidationError

import bootstrapper
from bootstrapper import BootstrapperError
from bootstrapper.engine.masked_errors import masked_errors
from bootstrapper.errors import BlockedError, InvalidFileError, MigrationError, Problem, Source, StepFailedError
from bootstrapper.integrations.startup import Startup
from bootstrapper.masking import Masker
from tests.projects import TrialProject

SECRET = "s3cr3t-Zebra-9917"
LOCK = "steps:\n  - uses: lock\n"
FILES = {
    "check": "  - {uses: sql, name: s, with: {statement: SELECT 1}, check: {table: '${ADMIN_PASSWORD}'}}\n",
    "file of statements": "  - {uses: sql, name: s, with: {file: '${ADMIN_PASSWORD}.sql'}, check: never}\n",
    "migrations": "  - {uses: migrate, with: {script_location: '${ADMIN_PASSWORD}'}}\n",
    "program": "  - {uses: command, name: s, with: {run: ['${ADMIN_PASSWORD}']}, check: never}\n",
    "type of a step": "  - {uses: '${ADMIN_PASSWORD}'}\n",
    "file of variables": "env_files: ['${ADMIN_PASSWORD}']\n",
    "plugin": "plugins: ['./${ADMIN_PASSWORD}.py']\n",
}
INVALID = ("migrations", "type of a step", "file of variables", "plugin")


@pytest.fixture
def secretive(project: TrialProject, monkeypatch: pytest.MonkeyPatch) -> TrialProject:
    """A project whose process has a secret in a variable, and the project's file as the default one."""
    monkeypatch.chdir(project.folder)
    for name, value in {"DATABASE_URL": project.database, "ADMIN_PASSWORD": SECRET}.items():
        monkeypatch.setenv(name, value)
    return project


def everything_of(error: BaseException) -> str:
    """What can be read of an error, as a logger prints it and as a program asks for it."""
    return "".join(traceback.format_exception(error)) + repr(error.args) + repr(vars(error))


@pytest.mark.parametrize("name", list(FILES))
def test_an_error_of_a_run_shows_no_secret_nor_does_the_log(
    secretive: TrialProject, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    secretive.write(LOCK + FILES[name])
    with pytest.raises(BootstrapperError) as raised:
        Startup().run()
    assert "***" in str(raised.value)
    assert SECRET not in everything_of(raised.value)
    assert "the database is not ready" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("ask", [bootstrapper.plan, bootstrapper.validate, bootstrapper.status, bootstrapper.apply])
@pytest.mark.parametrize("name", INVALID)
def test_an_error_of_the_file_shows_no_secret(secretive: TrialProject, name: str, ask: Callable[[], object]) -> None:
    secretive.write(LOCK + FILES[name])
    with pytest.raises(BootstrapperError) as raised:
        ask()
    assert "***" in str(raised.value)
    assert SECRET not in everything_of(raised.value)


def test_the_errors_of_a_status_show_no_secret(secretive: TrialProject) -> None:
    secretive.write(LOCK + FILES["file of statements"])
    errors = bootstrapper.status().errors
    assert any("***" in str(error) for error in errors)
    assert not any(SECRET in everything_of(error) for error in errors)


def masked(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as raised, masked_errors(Masker([SECRET])):
        raise error
    return raised.value


def test_all_parts_of_an_error_are_masked() -> None:
    place = Source(f"{SECRET}.sql", 1, 1)
    found = masked(InvalidFileError([Problem(f"bad {SECRET}", place, hint=f"not {SECRET}")]))
    assert str(found) == "***.sql:1:1: bad ***"
    assert isinstance(found, InvalidFileError)
    assert found.problems == (Problem("bad ***", Source("***.sql", 1, 1), "not ***"),)
    failed = MigrationError(SECRET, statement=f"SELECT '{SECRET}'", traceback=SECRET, hint=SECRET)
    assert SECRET not in everything_of(masked(failed))
    blocked = BlockedError("one", StepFailedError(SECRET), ())
    assert SECRET not in everything_of(masked(blocked)) + everything_of(blocked.cause)


def test_the_errors_behind_an_error_are_masked() -> None:
    error = StepFailedError("failed")
    error.__cause__ = RuntimeError(f"bad {SECRET}")
    error.__cause__.__cause__ = FileNotFoundError(2, "No such file", f"/{SECRET}.sql")
    assert SECRET not in everything_of(masked(error))
    assert "bad ***" in everything_of(error)
    assert "'/***.sql'" in everything_of(error)


def test_an_error_whose_text_cannot_be_changed_is_cut_off() -> None:
    class Model(BaseModel):
        number: int

    error = StepFailedError("failed")
    with pytest.raises(ValidationError) as invalid:
        Model.model_validate({"number": SECRET})
    error.__cause__ = invalid.value
    assert SECRET in everything_of(error)
    assert SECRET not in everything_of(masked(error))
