from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.restore.shops import Shop, opened_shop
from tests.servers import Server


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Shop]:
    """A music shop's database."""
    with opened_shop(server, tmp_path) as made:
        yield made


@pytest.fixture
def corner_shop(server: Server, tmp_path: Path) -> Iterator[Shop]:
    """A small one, for what does not depend on what is in it."""
    content = "CREATE TABLE artist (name text); INSERT INTO artist VALUES ('AC/DC')"
    with opened_shop(server, tmp_path, content=content) as made:
        yield made
