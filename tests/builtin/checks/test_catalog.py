"""The checks that read PostgreSQL's catalogue: table, extension."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.builtin.checks.extension import ExtensionCheck
from bootstrapper.builtin.checks.table import TableCheck
from bootstrapper.plans import Answer
from tests.backups.contexts import Bench, ask, make_bench
from tests.servers import Server


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[str]:
    server.create_database("checks_of_catalog")
    server.execute(
        """
        CREATE TABLE plain (id int); CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE VIEW seen AS SELECT 1; CREATE MATERIALIZED VIEW kept AS SELECT 1;
        CREATE SCHEMA "App"; CREATE TABLE "App"."Mixed Case" (id int); CREATE SEQUENCE numbers;
        CREATE EXTENSION hstore; CREATE INDEX by_id ON plain (id);
        """,
        "checks_of_catalog",
    )
    yield server.url("checks_of_catalog")
    server.execute("DROP DATABASE checks_of_catalog WITH (FORCE)")


@pytest.fixture
def bench(filled: str, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(filled, tmp_path)
    yield made
    made.session.close()


@pytest.mark.parametrize(
    "name", ["plain", "parted", "seen", "kept", "public.plain", "App.Mixed Case", "pg_catalog.pg_class"]
)
def test_tables_and_views_of_every_kind_exist(bench: Bench, name: str) -> None:
    assert ask(TableCheck(name, bench.project, "step"), bench) == Answer.yes(f"table {name} exists")


@pytest.mark.parametrize("name", ["absent", "Plain", "app.plain", "Mixed Case", "numbers", "by_id", "a\"b'; --", "%s"])
def test_other_names_and_other_objects_are_not_tables(bench: Bench, name: str) -> None:
    assert ask(TableCheck(name, bench.project, "step"), bench) == Answer.no(f"table {name} does not exist")


@pytest.mark.parametrize("name", ["", "a.b.c", ".a", "a."])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TableCheck.argument_type).validate_python(name)


def extension(bench: Bench, raw: object) -> Answer:
    argument = TypeAdapter(ExtensionCheck.argument_type).validate_python(raw)
    return ask(ExtensionCheck(argument, bench.project, "step"), bench)


def test_an_installed_extension_is_there_whatever_its_version(bench: Bench) -> None:
    assert extension(bench, "hstore").is_yes
    assert extension(bench, {"name": "hstore"}).is_yes


def test_an_extension_of_another_version_is_reported_with_both(bench: Bench) -> None:
    answer = extension(bench, {"name": "hstore", "version": "0.0.1"})
    assert answer.is_no
    assert answer.reason.startswith("extension hstore has version 1.")
    assert answer.reason.endswith("not 0.0.1")


def test_an_extension_that_is_only_available_is_not_installed(bench: Bench) -> None:
    assert extension(bench, "citext") == Answer.no("extension citext is not installed")
