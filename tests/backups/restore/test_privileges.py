"""Tests that a missing privilege is found before the dump is read, and by --dry-run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from tests.backups.restore.shops import Shop

BUILDER = "CREATE ROLE rights_builder LOGIN PASSWORD 'builds' CREATEDB IN ROLE shop_owner"


@pytest.fixture
def builders_shop(corner_shop: Shop) -> Iterator[Shop]:
    """Run by its owner's member, who may create databases, after a superuser took a backup."""
    corner_shop.back_up()
    corner_shop.execute(BUILDER)
    url = corner_shop.project.url.replace("postgres:correct%20horse", "rights_builder:builds")
    yield replace(corner_shop, project=replace(corner_shop.project, url=url))
    corner_shop.execute("DROP OWNED BY rights_builder")
    corner_shop.execute("DROP ROLE rights_builder")


def test_settings_that_an_administrator_made_for_the_database_are_tried_out_by_a_dry_run(builders_shop: Shop) -> None:
    assert builders_shop.run("restore", "--latest", "--dry-run").returncode == 0
    builders_shop.execute(f"""ALTER ROLE shop_reader IN DATABASE "{builders_shop.name}" SET app.token TO 'hush-hush'""")
    refused = builders_shop.run("restore", "--latest", "--dry-run")
    assert refused.returncode == 6, refused.stderr
    said = " ".join(refused.stderr.split())
    assert (
        f"""ALTER ROLE "shop_reader" IN DATABASE "{builders_shop.name}" SET "app"."token": permission denied""" in said
    )
    assert "--in-place" in said
    assert "hush" not in said
    assert builders_shop.half_made == []


def test_what_a_dry_run_tries_out_is_rolled_back(corner_shop: Shop) -> None:
    corner_shop.back_up()
    corner_shop.execute(f"""
        ALTER DATABASE "{corner_shop.name}" SET work_mem TO '5MB';
        COMMENT ON DATABASE "{corner_shop.name}" IS 'of the corner';
        GRANT CREATE ON DATABASE "{corner_shop.name}" TO shop_reader""")
    before = corner_shop.whole()
    shown = corner_shop.run("restore", "--latest", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert corner_shop.whole() == before


@pytest.mark.parametrize("options", [(), ("--in-place",)])
def test_sessions_that_may_not_be_ended_are_named_by_a_dry_run(builders_shop: Shop, options: tuple[str, ...]) -> None:
    builders_shop.execute("ALTER TABLE artist OWNER TO shop_owner")
    asked = ("restore", "--latest", "--terminate", "--dry-run", *options)
    superusers = builders_shop.server.url(builders_shop.name.replace(" ", "%20"))
    with psycopg.connect(superusers, application_name="the till"):
        refused = builders_shop.run(*asked)
        assert (refused.returncode, "postgres (the till), process " in refused.stderr) == (9, True), refused.stderr
        assert "pg_signal_backend" in refused.stderr
    builders_shop.execute("GRANT pg_signal_backend TO rights_builder")
    keepers = builders_shop.project.url.replace("rights_builder:builds", "shop_keeper:keeps")
    with psycopg.connect(keepers):
        assert builders_shop.run(*asked).returncode == 0


def test_what_others_own_is_named_before_a_restore_in_place(builders_shop: Shop) -> None:
    """The schema public is the database owner's since 15, and its owner may drop what is in it."""
    builders_shop.execute("ALTER SCHEMA public OWNER TO postgres; CREATE FUNCTION price() RETURNS int RETURN 1")
    builders_shop.execute("CREATE SCHEMA own AUTHORIZATION shop_owner; CREATE TABLE own.others (id int)")
    refused = builders_shop.run("restore", "--latest", "--in-place", "--dry-run")
    assert refused.returncode == 6, refused.stderr
    said = " ".join(refused.stderr.split())
    assert (
        "may not drop objects of other owners: function public.price() of postgres, table public.artist of postgres"
        in said
    )
    assert "own.others" not in said
