"""Tests that roles without CONNECT cannot enter a restored or a scratch database either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from bootstrapper.backups.restore import new_database, trial_restore
from bootstrapper.deadline import Deadline
from bootstrapper.migrations.schema.scratch import scratch_database
from bootstrapper.postgres.connection.target import Target
from tests.backups.restore.shops import Shop

STRANGER = """
DO $$ BEGIN CREATE ROLE shop_stranger LOGIN PASSWORD 'strange'; EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""


def url_of(shop: Shop, database: str) -> str:
    return shop.server.url(quote(database)).replace("postgres:correct%20horse", "shop_stranger:strange")


def gets_in(shop: Shop, database: str) -> bool:
    try:
        psycopg.connect(url_of(shop, database)).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def tries(corner_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """By statement after which a stranger tried: whether it got into any database that is not the shop's."""
    corner_shop.execute(STRANGER)
    tried: dict[str, bool] = {}
    original = psycopg.Connection.execute
    before = set(corner_shop.databases())

    def look(when: str) -> None:
        if new := set(corner_shop.databases()) - before:
            tried[when] = tried.get(when, False) or any(gets_in(corner_shop, name) for name in new)

    def execute(self: psycopg.Connection[Any], query: Any, *arguments: Any, **options: Any) -> Any:
        result = original(self, query, *arguments, **options)
        text = query.as_string(None) if isinstance(query, psycopg.sql.Composable) else str(query)
        is_locked = "RENAME" in text or self.info.transaction_status != TransactionStatus.IDLE  # a login would wait
        if text.startswith(("CREATE DATABASE", "REVOKE", "ALTER DATABASE")) and not is_locked:
            look(text.split('"')[0])
        return result

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    monkeypatch.setattr(new_database, "growth", lambda *_: lambda: look("while it is filled"))
    return tried


MAY = "SELECT pg_catalog.has_database_privilege('shop_stranger', pg_catalog.current_database(), 'CONNECT')"


@pytest.mark.parametrize("may_enter", [True, False])
def test_a_database_is_closed_until_it_has_the_name_and_then_open_to_whom_the_old_one_was(
    corner_shop: Shop, tries: dict[str, bool], may_enter: bool
) -> None:
    if not may_enter:
        corner_shop.execute(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{corner_shop.name}" FROM PUBLIC')
    corner_shop.back_up()
    done = corner_shop.run("restore", "--latest", "--yes")
    assert done.returncode == 0, done.stderr
    assert {"CREATE DATABASE ", "REVOKE ALL ON DATABASE ", "while it is filled"} <= tries.keys()
    assert not any(tries.values()), tries
    assert corner_shop.execute(MAY) == [(may_enter,)]
    assert gets_in(corner_shop, corner_shop.name) is may_enter


def scratch(shop: Shop, target: Target) -> None:
    with psycopg.connect(shop.project.url, autocommit=True) as connection, scratch_database(connection, target):
        pass


def borrowed(_: Shop, target: Target) -> None:
    with trial_restore.configured_server(target, Deadline.after(60)):
        pass


@pytest.mark.parametrize("make", [scratch, borrowed])
def test_a_scratch_database_is_closed_to_strangers(
    corner_shop: Shop, tries: dict[str, bool], make: Callable[[Shop, Target], None]
) -> None:
    make(corner_shop, Target.from_url(corner_shop.project.url))
    assert "ALTER DATABASE " in tries
    assert not any(tries.values()), tries
