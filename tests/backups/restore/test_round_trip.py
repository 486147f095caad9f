"""Tests that dump, change and restore lead back to the same content."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.backups.restore.shops import CHANGES, Shop, opened_shop
from tests.servers import Server

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[3]
SAMPLE = ("bootstrap.yaml", "pyproject.toml", "config", "migrations", "plugins")
DRESSED = """
ALTER DATABASE "{name}" SET search_path TO "$user", stock, "odd, name", public;
ALTER DATABASE "{name}" SET app.tenant TO 'it''s, "one"';
ALTER DATABASE "{name}" SET work_mem TO '7MB';
ALTER ROLE shop_reader IN DATABASE "{name}" SET statement_timeout TO '3s';
ALTER DATABASE "{name}" CONNECTION LIMIT 17;
COMMENT ON DATABASE "{name}" IS 'the shop''s own';
REVOKE ALL ON DATABASE "{name}" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE "{name}" TO shop_reader;
GRANT CREATE ON DATABASE "{name}" TO shop_reader WITH GRANT OPTION;
"""
GRANTS = """
SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'),
       ARRAY(SELECT (a.grantee, a.privilege_type, a.is_grantable)::text FROM aclexplode(datacl) AS a ORDER BY 1),
       ARRAY(SELECT (s.setrole, s.setconfig)::text FROM pg_db_role_setting AS s WHERE setdatabase = d.oid ORDER BY 1)
FROM pg_database AS d WHERE datname = current_database()
"""


def restored(shop: Shop, *options: str) -> None:
    done = shop.run("restore", *options, "--yes")
    assert done.returncode == 0, done.stderr


def test_a_restored_database_equals_the_one_that_was_backed_up(shop: Shop) -> None:
    before = shop.whole()
    shop.back_up()
    shop.execute(CHANGES)
    assert shop.whole() != before
    restored(shop, "--latest")
    assert shop.whole() == before
    assert shop.half_made == []


def test_owner_settings_grants_limit_and_comment_of_the_database_are_kept(shop: Shop) -> None:
    shop.execute(DRESSED.format(name=shop.name))
    before, properties = shop.whole(), shop.execute(GRANTS)
    restored(shop, str(shop.back_up()))
    assert shop.execute(GRANTS) == properties
    assert shop.whole() == before


def icu_or_libc(server: Server) -> str:
    """Some PostgreSQL are built without ICU."""
    has_icu = server.execute("SELECT 1 FROM pg_collation WHERE collname = 'de-x-icu'")
    return "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C.UTF-8'" if has_icu else "LOCALE 'C.UTF-8'"


@pytest.mark.parametrize("place", ["server", "path_server"])
def test_encoding_and_locale_are_kept_for_every_provider(
    request: pytest.FixtureRequest, tmp_path: Path, place: str
) -> None:
    server: Server = request.getfixturevalue(place)
    content = "CREATE TABLE artist AS SELECT 'Björk' AS name"
    for options in ("ENCODING 'LATIN1' LOCALE 'C'", f"ENCODING 'UTF8' {icu_or_libc(server)}"):
        with opened_shop(server, tmp_path, options=options, content=content) as shop:
            before = shop.whole()
            taken = shop.back_up()
            shop.execute("DROP TABLE artist")
            restored(shop, str(taken))
            assert shop.whole() == before


@pytest.mark.since(17)
def test_a_builtin_locale_is_kept(server: Server, tmp_path: Path) -> None:
    options = "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
    with opened_shop(server, tmp_path, options=options, content="CREATE TABLE artist (name text)") as shop:
        before = shop.whole()
        restored(shop, str(shop.back_up()))
        assert shop.whole() == before


def test_the_sample_application_is_as_it_was_and_goes_on(tmp_path: Path, server: Server) -> None:
    with opened_shop(server, tmp_path, content="") as shop:
        for name in SAMPLE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, tmp_path / name)
        applied = shop.run("apply", environment="development")
        assert applied.returncode == 0, applied.stderr
        before = shop.whole()
        assert shop.run("backup", "before.dump", environment="development").returncode == 0
        shop.execute("DELETE FROM users; ALTER TABLE tenants ADD COLUMN extra int; DELETE FROM alembic_version")
        done = shop.run("restore", "before.dump", "--yes", environment="development")
        assert done.returncode == 0, done.stderr
        assert shop.whole() == before
        again = shop.run("apply", environment="development")
        assert (again.returncode, "nothing to do" in again.stderr) == (0, True)


def test_plain_sql_is_restored_like_an_archive(shop: Shop) -> None:
    before = shop.whole()
    assert shop.run("backup", "one.sql").returncode == 0
    shop.execute(CHANGES)
    restored(shop, "one.sql")
    assert shop.whole() == before


def test_several_connections_may_read_an_archive(shop: Shop) -> None:
    before = shop.whole()
    shop.back_up()
    shop.execute(CHANGES)
    restored(shop, "--latest", "--jobs", "3")
    assert shop.whole() == before


def test_an_older_server_gets_its_own_back_by_its_own_programs(path_server: Server, tmp_path: Path) -> None:
    with opened_shop(path_server, tmp_path) as shop:
        before = shop.whole()
        shop.back_up()
        shop.execute(CHANGES)
        restored(shop, "--latest")
        assert shop.whole() == before


@pytest.mark.parametrize("name", ["new.dump", "new.sql"])
def test_a_newer_clients_settings_that_the_server_lacks_are_passed_over(
    path_server: Server, server: Server, tmp_path: Path, name: str
) -> None:
    """pg_dump 18 of a 15: its scripts begin with a SET that the 15 does not know."""
    with opened_shop(path_server, tmp_path) as shop:
        before = shop.whole()
        dump = tmp_path / name
        kind = "--format=plain" if name.endswith(".sql") else "--format=custom"
        command = [str(server.programs / "pg_dump"), kind, f"--file={dump}", f"--dbname={shop.project.url}"]
        subprocess.run([*command, "--exclude-schema=bootstrapper"], check=True)
        shop.execute(CHANGES)
        restored(shop, str(dump), "--no-manifest")
        assert shop.whole() == before
