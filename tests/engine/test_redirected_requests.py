"""The address of a run: that of the file, or what the request gives instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bootstrapper.api.run import apply
from bootstrapper.engine.address import Address
from bootstrapper.errors import GuardError, InvalidFileError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.embedded import EmbeddedServer
from tests.engine.notes import ONE_TABLE
from tests.projects import TrialProject


def has_table(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT to_regclass('one') IS NOT NULL").fetchone()
    return row == (True,)


def test_a_request_names_another_database_of_the_same_server(
    project: TrialProject, new_database: Callable[[], str]
) -> None:
    project.write(ONE_TABLE)
    other = new_database()
    apply(project.request(database=other.rpartition("/")[2]))
    assert has_table(other)
    assert not has_table(project.database)


def test_a_request_gives_another_address(project: TrialProject, new_database: Callable[[], str]) -> None:
    project.write(ONE_TABLE)
    other = new_database()
    apply(project.request(url=other))
    assert has_table(other)
    assert not has_table(project.database)


def test_a_wrong_address_of_a_request_is_reported_without_a_place_in_the_file(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    with pytest.raises(InvalidFileError, match=r"^a database URL must begin with"):
        apply(project.request(url="mysql://x"))


def test_a_request_cannot_lead_a_protected_environment_to_an_embedded_server(project: TrialProject) -> None:
    project.write(f"environments: {{live: {{protected: true}}}}\n{ONE_TABLE}")
    with pytest.raises(GuardError, match="protected"):
        apply(project.request(url="embedded:", environment="live"))
    assert not (project.folder / ".bootstrapper").exists()


def test_another_database_of_an_embedded_server_is_in_the_same_folder(tmp_path: Path) -> None:
    address = Address(embedded=EmbeddedServer(tmp_path)).with_database("other")
    assert address.embedded is not None
    assert (address.embedded.folder, address.database) == (tmp_path, "other")


def test_another_database_keeps_the_rest_of_the_address() -> None:
    address = Address(target=Target.from_url("postgresql://u:p@h:1/one?sslmode=require")).with_database("two")
    assert address.target == Target.from_url("postgresql://u:p@h:1/two?sslmode=require")
