from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.builtin.checks.database import DatabaseCheck
from bootstrapper.plans import Answer
from tests.backups.contexts import Bench, ask, make_bench, shared_database


@pytest.fixture(scope="module", params=["server", "path_server"])
def any_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database on each server; every test undoes what it does."""
    with shared_database(request.getfixturevalue(request.param), "checks_of_emptiness") as url:
        yield url


@pytest.fixture
def bench(any_database: str, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(any_database, tmp_path)
    yield made
    made.clean()


def empty(bench: Bench) -> Answer:
    return ask(DatabaseCheck("empty", bench.project, "step"), bench)


def test_a_new_database_is_empty(bench: Bench) -> None:
    assert empty(bench) == Answer.yes("the database is empty")


@pytest.mark.parametrize("schema", ["bootstrapper", "public", "app"])
def test_our_ledger_does_not_count(bench: Bench, tmp_path: Path, schema: str) -> None:
    other = make_bench(bench.target.url(), tmp_path, schema=schema)
    try:
        with other.run():
            pass
        assert empty(other).is_yes
        if schema != "bootstrapper":
            assert empty(bench).is_no
    finally:
        other.session.close()


def test_a_table_in_the_ledgers_schema_that_is_not_the_ledgers_counts(bench: Bench, tmp_path: Path) -> None:
    other = make_bench(bench.target.url(), tmp_path, schema="public")
    bench.execute("CREATE TABLE users (id int)")
    try:
        assert empty(other) == Answer.no("the database has table public.users")
    finally:
        other.session.close()


@pytest.mark.parametrize("extension", ["hstore", "citext", "pg_stat_statements", "btree_gist", "earthdistance CASCADE"])
def test_objects_of_extensions_do_not_count(bench: Bench, extension: str) -> None:
    bench.execute(f"CREATE EXTENSION {extension}")
    assert empty(bench).is_yes


@pytest.mark.parametrize("name", ["alembic_version", "app.schema_versions"])
def test_a_version_table_counts_only_with_a_row(bench: Bench, name: str) -> None:
    bench.execute("CREATE SCHEMA app")
    bench.execute(f"CREATE TABLE {name} (version_num varchar(32) CONSTRAINT pk PRIMARY KEY)")
    assert empty(bench).is_yes
    bench.execute(f"INSERT INTO {name} VALUES ('001')")
    assert empty(bench).is_no


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TABLE t (id serial PRIMARY KEY)", "table public.t and 1 more object"),
        ("CREATE TABLE t (id int) PARTITION BY RANGE (id)", "table public.t"),
        ("CREATE VIEW v AS SELECT 1", "view public.v"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1", "materialized view public.m"),
        ("CREATE SEQUENCE s", "sequence public.s"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.f"),
        ("CREATE TYPE e AS ENUM ('a')", "type public.e"),
        ("CREATE TYPE c AS (a int)", "type public.c"),
        ("CREATE DOMAIN d AS int", "type public.d"),
        ("CREATE SCHEMA app; CREATE TABLE app.t (id int)", "table app.t"),
        ("CREATE TABLE bootstrapper_notes (id int)", "table public.bootstrapper_notes"),
    ],
)
def test_foreign_objects_count_and_are_named(bench: Bench, statement: str, name: str) -> None:
    bench.execute(statement)
    assert empty(bench) == Answer.no(f"the database has {name}")


def test_an_empty_schema_does_not_count(bench: Bench) -> None:
    bench.execute("CREATE SCHEMA app")
    assert empty(bench).is_yes


def test_a_role_that_may_read_nothing_gets_an_answer(bench: Bench, tmp_path: Path) -> None:
    bench.execute("CREATE TABLE alembic_version (version_num varchar(32))")
    bench.execute("CREATE ROLE stranger LOGIN PASSWORD 'pw'")
    stranger = make_bench(bench.target.replacing(user="stranger", password="pw").url(), tmp_path)
    try:
        assert empty(stranger).is_no
    finally:
        stranger.session.close()
        bench.execute("DROP ROLE stranger")


def test_nothing_else_than_empty_can_be_asked() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(DatabaseCheck.argument_type).validate_python("full")
