from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bootstrapper.fleet import coordinator
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


class _InProcess:
    size = 1

    def submit(self, function: Callable[[Any], Any], task: object, /) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(task))
        return done


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process do the targets of `--shard`, since each start of another one takes a second."""

    @contextmanager
    def pool(size: int) -> Iterator[_InProcess]:
        yield _InProcess()

    monkeypatch.setattr(coordinator, "local_pool", pool)
