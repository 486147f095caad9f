from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.fleet import coordinator
from tests.fleet import stubs
from tests.fleet.tenants import Fleet

NOWHERE = "postgresql://u@127.0.0.1:1/app"


@pytest.fixture
def fleet(tmp_path: Path, database: str) -> Fleet:
    """Targets that are schemas of one new database."""
    made = Fleet(tmp_path, database)
    made.declare()
    return made


@pytest.fixture
def unconnected(tmp_path: Path) -> Fleet:
    """The same without a server."""
    made = Fleet(tmp_path, NOWHERE)
    made.declare()
    return made


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process do the targets of `--shard`, since each start of another one takes a second."""
    monkeypatch.setattr(coordinator, "local_pool", stubs.in_process)
