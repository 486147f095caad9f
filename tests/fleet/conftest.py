from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.tenants import Fleet


@pytest.fixture
def fleet(tmp_path: Path, database: str) -> Fleet:
    """Targets that are schemas of one new database."""
    made = Fleet(tmp_path, database)
    made.declare()
    return made
