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
    """The same project with an address where nothing listens, for tests that do not connect."""
    made = Project(tmp_path, "postgresql://guest:hunter2hunter2@127.0.0.1:1/app")
    made.write()
    return made
