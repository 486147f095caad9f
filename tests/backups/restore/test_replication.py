"""Tests of subscriptions and replication slots, which are not in a dump."""

from __future__ import annotations

from pathlib import Path

from tests.backups.restore.shops import Shop, opened_shop
from tests.servers import running_server, wheel_bin

CONTENT = "CREATE TABLE artist (name text); INSERT INTO artist VALUES ('AC/DC')"
# A publisher that does not answer: the subscription is enabled all the same.
SUBSCRIBE = """
CREATE SUBSCRIPTION "fed by" CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = s)
"""
NAMES = "SELECT name FROM artist ORDER BY 1"


def unsubscribe(shop: Shop, database: str | None = None) -> None:
    for statement in ("ALTER SUBSCRIPTION {} SET (slot_name = NONE)", "DROP SUBSCRIPTION {}"):
        shop.execute(statement.format('"fed by"'), database)


def test_what_becomes_of_subscriptions_and_slots_is_told_before(tmp_path: Path) -> None:
    workers = {"wal_level": "logical", "max_logical_replication_workers": "0"}
    with running_server(wheel_bin(), **workers) as server, opened_shop(server, tmp_path, content=CONTENT) as shop:
        shop.back_up()
        shop.execute(SUBSCRIBE)
        disabled = shop.run("restore", "--latest", "--dry-run").stdout
        shop.execute("""ALTER SUBSCRIPTION "fed by" ENABLE""")
        shop.execute("SELECT pg_create_logical_replication_slot('feeds_others', 'pgoutput')")
        beside = shop.run("restore", "--latest", "--dry-run").stdout
        in_place = shop.run("restore", "--latest", "--dry-run", "--in-place").stdout
        shop.execute("""ALTER SUBSCRIPTION "fed by" DISABLE""")
        unsubscribe(shop)
    assert "subscription" not in disabled
    assert "! subscription fed by: stays enabled in the kept database" in beside
    assert 'ALTER SUBSCRIPTION "fed by" DISABLE' in beside
    assert "! replication slot feeds_others: stays with the kept database" in beside
    assert "! subscription fed by: stays" in in_place
    assert "replication slot" not in in_place


def test_a_subscription_stays_in_place(corner_shop: Shop) -> None:
    corner_shop.execute(SUBSCRIBE)
    corner_shop.execute("""COMMENT ON SUBSCRIPTION "fed by" IS 'by another'""")
    taken = corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('later')")
    try:
        done = corner_shop.run("restore", str(taken), "--in-place", "--yes")
        assert done.returncode == 0, done.stderr
        assert corner_shop.execute(NAMES) == [("AC/DC",)]
        assert corner_shop.execute("SELECT subname FROM pg_subscription") == [("fed by",)]
    finally:
        unsubscribe(corner_shop)


def test_a_kept_database_that_subscribes_is_not_dropped_and_it_is_said_why(corner_shop: Shop) -> None:
    corner_shop.execute(SUBSCRIBE)
    taken = corner_shop.back_up()
    assert corner_shop.run("restore", str(taken), "--yes").returncode == 0
    (kept,) = corner_shop.kept
    try:
        refused = corner_shop.run("restore", "--drop-old", "--yes")
        assert (refused.returncode, "drop its subscriptions" in refused.stderr) == (9, True), refused.stderr
    finally:
        for database in (kept, corner_shop.name):
            unsubscribe(corner_shop, database)


def test_nothing_is_left_of_a_failed_restore_of_what_subscribes(corner_shop: Shop) -> None:
    corner_shop.execute(SUBSCRIBE)
    corner_shop.execute("CREATE ROLE going; ALTER TABLE artist OWNER TO going")
    taken = corner_shop.back_up()
    corner_shop.execute("ALTER TABLE artist OWNER TO shop_owner; DROP ROLE going")
    try:
        failed = corner_shop.run("restore", str(taken), "--yes")
        assert (failed.returncode, 'role "going" does not exist' in failed.stderr) == (1, True), failed.stderr
        assert (corner_shop.half_made, corner_shop.kept) == ([], [])
        assert corner_shop.execute("SELECT subslotname FROM pg_subscription") == [("s",)]
    finally:
        unsubscribe(corner_shop)
