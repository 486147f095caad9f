"""Tests of the restore into the existing database."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from bootstrapper.backups.restore import drop_existing
from bootstrapper.backups.restore import in_place as in_place_module
from bootstrapper.backups.stores.folder import backups
from bootstrapper.postgres.ledger import step_states
from bootstrapper.postgres.ledger.ledger import LedgerNames
from tests.backups.restore.shops import CHANGES, FILE, Shop, opened_shop
from tests.servers import Server

pytestmark = pytest.mark.long


def in_place(shop: Shop, *options: str) -> None:
    done = shop.run("restore", *options, "--in-place", "--yes")
    assert done.returncode == 0, done.stderr


def runs(shop: Shop) -> list[tuple[str, str | None]]:
    return shop.execute("SELECT command, outcome FROM bootstrapper.runs ORDER BY serial")


def test_it_equals_what_was_backed_up_and_nothing_that_came_later_is_left(shop: Shop) -> None:
    before = shop.whole()
    shop.back_up()
    shop.execute(CHANGES)
    in_place(shop, "--latest")
    assert shop.whole() == before
    assert shop.kept == []


def test_a_15_takes_what_a_pg_dump_18_wrote(path_server: Server, server: Server, tmp_path: Path) -> None:
    with opened_shop(path_server, tmp_path) as shop:
        before = shop.whole()
        command = [str(server.programs / "pg_dump"), "--format=custom", f"--file={tmp_path / 'new.dump'}"]
        subprocess.run([*command, f"--dbname={shop.project.url}"], check=True)
        shop.execute(CHANGES)
        in_place(shop, "new.dump", "--no-manifest")
        assert shop.whole() == before


def test_what_lies_in_no_schema_comes_back(corner_shop: Shop) -> None:
    corner_shop.execute("CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far")
    corner_shop.execute("CREATE ACCESS METHOD another TYPE TABLE HANDLER heap_tableam_handler")
    corner_shop.execute("CREATE TABLE otherwise (id int) USING another; CREATE TYPE mood AS ENUM ('ok')")
    corner_shop.execute("CREATE CAST (mood AS integer) WITH INOUT; CREATE PUBLICATION all_of_it FOR ALL TABLES")
    before = corner_shop.whole()
    taken = corner_shop.back_up()
    corner_shop.execute("DROP CAST (mood AS integer); CREATE FOREIGN DATA WRAPPER later")
    done = corner_shop.run("restore", str(taken), "--in-place", "--yes")
    assert done.returncode == 0, done.stderr
    assert corner_shop.whole() == before


def test_the_ledger_stays_and_tells_of_it(shop: Shop) -> None:
    shop.back_up()
    in_place(shop, "--latest")
    assert runs(shop) == [("backup", "done"), ("restore", "done")]
    assert shop.execute("SELECT run_id, token FROM bootstrapper.lock") == [(None, 2)]
    assert shop.execute("SELECT uses FROM bootstrapper.steps ORDER BY id")[-1] == ("restore",)


def test_what_a_step_remembered_since_the_backup_does_not_hold_any_more(shop: Shop) -> None:
    def remembered() -> list[str | None]:
        with psycopg.connect(shop.project.url) as connection:
            return [step_states.read(connection, LedgerNames(), step, "here") for step in ("old", "new")]

    remember = "INSERT INTO bootstrapper.meta VALUES (%s, to_char({}, 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF') || ' 1')"
    shop.back_up()
    with psycopg.connect(shop.project.url) as connection:
        connection.execute(remember.format("now() - interval '1 day'"), ("state:old",))
        connection.execute(remember.format("now()"), ("state:new",))
    assert remembered() == ["1", "1"]
    in_place(shop, "--latest")
    assert remembered() == ["1", None]
    with psycopg.connect(shop.project.url) as connection:
        connection.execute("DELETE FROM bootstrapper.meta WHERE key = 'state:new'")
        connection.execute(remember.format("now()"), ("state:new",))
    assert remembered() == ["1", "1"]


def test_a_ledger_among_other_tables_stays_as_well(server: Server, tmp_path: Path) -> None:
    with opened_shop(server, tmp_path) as shop:
        shop.project.write(FILE + "ledger: {schema: stock}\n")
        shop.back_up()
        before = shop.whole("--exclude-table=stock.bootstrapper*")
        shop.execute(CHANGES)
        in_place(shop, "--latest")
        assert shop.whole("--exclude-table=stock.bootstrapper*") == before
        assert shop.execute("SELECT command FROM stock.bootstrapper_runs ORDER BY serial") == [
            ("backup",),
            ("restore",),
        ]


def test_those_who_write_are_waited_for_whatever_statement_timeout_the_database_has(corner_shop: Shop) -> None:
    taken = corner_shop.back_up()
    corner_shop.execute(f'ALTER DATABASE "{corner_shop.name}" SET statement_timeout = 700')
    with psycopg.connect(corner_shop.project.url) as writer:
        writer.execute("INSERT INTO artist VALUES ('slow')")
        ended = threading.Timer(8, writer.commit)
        ended.start()
        in_place(corner_shop, str(taken))
        ended.join()
    assert corner_shop.execute("SELECT name FROM artist") == [("AC/DC",)]


def test_what_was_there_is_backed_up_before(shop: Shop) -> None:
    taken = shop.back_up()
    shop.execute("INSERT INTO artist (name) VALUES ('lost otherwise')")
    changed = shop.whole()
    in_place(shop, str(taken))
    (safety,) = [backup for backup in backups(shop.project.folder / "backups") if backup.path != taken]
    in_place(shop, str(safety.path))
    assert shop.whole() == changed


def test_what_was_there_before_is_not_the_latest_when_it_is_tried_again(corner_shop: Shop) -> None:
    corner_shop.back_up()
    corner_shop.execute("INSERT INTO artist VALUES ('wrong')")
    for _ in range(2):
        in_place(corner_shop, "--latest")
        assert corner_shop.execute("SELECT name FROM artist") == [("AC/DC",)]
    before = [each for each in backups(corner_shop.project.folder / "backups") if each.manifest.step == "restore"]
    in_place(corner_shop, "--run", str(before[-1].manifest.run_id))
    assert corner_shop.execute("SELECT name FROM artist") == [("AC/DC",), ("wrong",)]


def test_a_dump_that_breaks_off_in_the_middle_changes_nothing(shop: Shop) -> None:
    shop.back_up()
    shop.execute("ALTER TABLE artist RENAME TO musician; CREATE ROLE passing; ALTER TABLE musician OWNER TO passing")
    broken = shop.run("backup", "broken.dump")
    assert broken.returncode == 0, broken.stderr
    shop.execute("ALTER TABLE musician OWNER TO shop_owner; DROP ROLE passing")
    changed = shop.whole()
    failed = shop.run("restore", "broken.dump", "--in-place", "--yes")
    assert (failed.returncode, 'role "passing" does not exist' in failed.stderr) == (1, True)
    assert shop.whole() == changed
    assert runs(shop)[-1] == ("restore", "failed")


def test_who_is_connected_is_named_and_goes_on_in_the_restored_database(shop: Shop) -> None:
    shop.back_up()
    shop.execute("TRUNCATE track CASCADE")
    with psycopg.connect(shop.project.url, application_name="till 7", autocommit=True) as connection:
        connection.execute("SELECT 1")
        done = shop.run("restore", "--latest", "--in-place", "--yes")
        assert (done.returncode, "warning: other sessions are connected" in done.stderr, "till 7" in done.stderr) == (
            0,
            True,
            True,
        )
        assert connection.execute("SELECT count(*) FROM track").fetchone() == (200,)
        assert shop.run("restore", "--latest", "--in-place", "--yes", "--terminate").returncode == 0
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_plain_sql_is_refused_because_the_ledger_could_not_be_left_out(shop: Shop) -> None:
    shop.run("backup", "one.sql")
    refused = shop.run("restore", "one.sql", "--in-place", "--yes")
    assert (refused.returncode, "custom or directory format" in refused.stderr) == (2, True)


@pytest.fixture
def keepers_shop(server: Server, tmp_path: Path) -> Shop:
    """Run by its owner's member, who may not create databases."""
    content = (
        "CREATE TABLE artist (name text); INSERT INTO artist VALUES ('AC/DC'); ALTER TABLE artist OWNER TO shop_owner"
    )
    with opened_shop(server, tmp_path, content=content) as made:
        url = made.project.url.replace("postgres:correct%20horse", "shop_keeper:keeps")
        yield Shop(server, made.name, type(made.project)(made.project.folder, url))


def test_a_role_without_createdb_is_told_to_restore_in_place(keepers_shop: Shop) -> None:
    before = keepers_shop.whole()
    taken = keepers_shop.back_up()
    keepers_shop.execute("DROP TABLE artist")
    refused = keepers_shop.run("restore", str(taken), "--yes")
    assert (refused.returncode, "--in-place" in refused.stderr) == (6, True)
    in_place(keepers_shop, str(taken))
    assert keepers_shop.whole() == before


def test_a_run_that_lost_the_lock_meanwhile_changes_nothing(shop: Shop) -> None:
    shop.back_up()
    shop.execute(CHANGES)
    changed = shop.whole()
    original = drop_existing.contents

    def broken(*arguments: object) -> drop_existing.Contents:
        shop.execute("UPDATE bootstrapper.lock SET token = token + 1, run_id = NULL")
        return original(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_place_module.drop_existing, "contents", broken)
        failed = shop.run("restore", "--latest", "--in-place", "--yes")
    assert failed.returncode == 7, failed.stderr
    assert shop.whole() == changed
    with psycopg.connect(shop.project.url) as connection:
        assert connection.execute("SELECT to_regclass('made_later')").fetchone() != (None,)
