from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.project import Project


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    """A project of two steps on an empty database."""
    made = Project(tmp_path, database)
    made.write()
    return made


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """The same, for what needs no database: nothing listens at its address."""
    made = Project(tmp_path, "postgresql://nobody:hunter2hunter2@127.0.0.1:1/app")
    made.write()
    return made
