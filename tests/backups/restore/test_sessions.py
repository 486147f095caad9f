"""Tests of other sessions, as an ordinary role sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bootstrapper.backups.restore import sessions
from bootstrapper.errors import GuardError
from tests.backups.restore.shops import Shop


@pytest.fixture
def keeper(corner_shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    """A session of a role that may not read other roles' statistics."""
    url = corner_shop.project.url.replace("postgres:correct%20horse", "shop_keeper:keeps")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_sessions_of_other_roles_are_seen_without_the_right_to_look_at_them(
    corner_shop: Shop, keeper: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(corner_shop.project.url, application_name="shop") as other:
        own = [keeper.info.backend_pid]
        found = sessions.others(keeper, corner_shop.name, own)
        assert [str(each) for each in found] == [f"postgres (shop), process {other.info.backend_pid}"]
        with pytest.raises(GuardError, match="cannot terminate the sessions"):
            sessions.terminate(keeper, corner_shop.name, own)
        other.execute("SELECT 1")


def test_the_address_of_a_session_is_shown_to_roles_that_may_see_it(
    corner_shop: Shop, keeper: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(corner_shop.project.url, autocommit=True) as privileged:
        (found,) = sessions.others(privileged, corner_shop.name, [privileged.info.backend_pid])
    assert str(found).startswith(f"shop_keeper from 127.0.0.1/32, process {keeper.info.backend_pid}")
