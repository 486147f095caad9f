"""Our own SQL never chooses an object that another role planted, whatever the search_path is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.faults.pgbouncer import PgBouncer
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.peers import log
from tests.planting import SPRUNG, plant
from tests.projects import HEAD, TrialProject
from tests.servers import Server, running_server, wheel_bin

TABLES = """
CREATE EXTENSION citext;
CREATE DOMAIN public.short AS varchar(20);
CREATE TABLE public.items (id serial PRIMARY KEY, code varchar(40) UNIQUE, name text, mail citext, doc jsonb, raw json,
    price numeric(9,2), at timestamptz, tags text[], fixed char(5), kind public.short, span interval, parent text);
CREATE TABLE public.parts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label citext NOT NULL,
    item_id int REFERENCES public.items DEFERRABLE, size int CHECK (size > 0), UNIQUE (label, item_id));
CREATE UNIQUE INDEX ON public.parts (lower(label::text)) WHERE size > 1;
CREATE TABLE public.cities (code text PRIMARY KEY, name varchar, people bigint);
INSERT INTO public.items (code, name, mail) VALUES ('old', 'to be deleted', 'x'), ('b', 'other', 'Old@Example.com');
INSERT INTO public.cities SELECT 'c' || n, 'city', n FROM generate_series(1, 40) AS n;
"""
FILE = """
steps:
  - uses: lock
  - uses: seed
    when: {not: {once: never-done}}
  - name: note
    uses: sql
    with: {statement: "CREATE TABLE public.notes (id int)"}
    check: [{table: notes}, {rows: {table: cities, at_least: 2}}]
  - name: mark
    uses: sql
    with: {statement: "CREATE TABLE public.marks (id int)"}
    check: [{table: public.marks}, {rows: {table: items, where: {code: a, mail: OLD@example.com, parent: null}}}]
  - name: more
    uses: sql
    with: {statement: "CREATE TABLE public.more (id int)"}
    check: [{once: more}, {extension: citext}, {not: {database: empty}}, {fixtures: [items]}]
fixtures:
  items:
    table: items
    key: [code]
    mode: sync
    where: all
    rows:
      - {code: a, mail: Old@example.com, doc: {x: [1, 2]}, raw: {b: 1}, price: 1.50, tags: [x, y],
         fixed: ab, kind: short, span: 1 day, at: "2026-01-02 03:04:05", name: {$sql: "'made'"}}
      - {code: b, name: second, mail: new@example.com, doc: null, price: 2}
  parts:
    table: parts
    key: [label, item_id]
    mode: update
    rows:
      - {label: Bolt, item_id: {$ref: {items: {code: a}}}, size: 3}
      - {label: Nut, item_id: {$ref: {items: {code: b}}}, size: 4}
  cities:
    table: cities
    key: [code]
    mode: sync
    where: "true"
    file: cities.csv
"""


@pytest.fixture(scope="module")
def logging_server() -> Iterator[Server]:
    with running_server(wheel_bin(), log_min_error_statement="log", log_error_verbosity="terse") as running:
        yield running


@pytest.fixture
def planted(logging_server: Server, tmp_path: Path) -> TrialProject:
    name = "shop"
    logging_server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    logging_server.execute(f"CREATE DATABASE {name}")
    project = TrialProject(tmp_path, logging_server.url(name))
    project.rows(TABLES)
    project.write(FILE)
    rows = "".join(f"c{number},Town {number},{number}\n" for number in range(1, 2000))
    project.write("code,name,people\n" + rows, "cities.csv")
    plant(project.database)
    logging_server.execute(f"ALTER DATABASE {name} SET search_path = planted, public, pg_catalog")
    return project


ASKED_BY_DRIVERS = ("select current_schema()", "FROM pg_type t")
LEAD_AWAY = """
from sqlalchemy import event
event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("SET LOCAL search_path = public"))
"""


def pending(project: TrialProject) -> list[str]:
    return [step.name for step in project.plan().steps if step.has_changes]


def chosen(server: Server) -> set[str]:
    """What was chosen, each with the statement that did so."""
    found = log(server).split(SPRUNG)[1:]
    return {" ".join(text.partition("LOG: ")[0].split()) for text in found}


def test_planted_objects_are_chosen_by_unqualified_names(planted: TrialProject, logging_server: Server) -> None:
    before = len(log(logging_server))
    planted.rows("SELECT unnest(ARRAY['a']), 'a'::varchar = 'b'::varchar, count(*), lower('A')")
    assert log(logging_server)[before:].count(SPRUNG) > 2


def test_planning_applying_and_looking_choose_no_planted_object(planted: TrialProject, logging_server: Server) -> None:
    before = chosen(logging_server)
    assert "seed" in pending(planted)
    planted.apply()
    assert pending(planted) == []
    planted.rows("UPDATE public.items SET mail = 'changed' OPERATOR(pg_catalog.||) '' WHERE true")
    planted.status()
    planted.apply(startup=True)
    assert chosen(logging_server) - before == set()
    assert planted.rows("SELECT code, mail FROM public.items ORDER BY code") == [
        ("a", "Old@example.com"),
        ("b", "new@example.com"),
    ]


def test_installing_and_updating_an_extension_chooses_no_planted_object(
    planted: TrialProject, logging_server: Server
) -> None:
    planted.rows("CREATE SCHEMA elsewhere")
    before = chosen(logging_server)
    for version, schema in (("1.5", "public"), ("1.6", "elsewhere")):
        step = f"{{uses: extension, with: {{name: pg_trgm, version: '{version}', schema: {schema}}}}}"
        planted.write(f"{HEAD}steps:\n  - uses: lock\n  - {step}\n")
        assert pending(planted) == ["extension"]
        planted.apply()
        assert pending(planted) == []
    assert chosen(logging_server) - before == set()


def test_pulling_backing_up_and_restoring_choose_no_planted_object(
    planted: TrialProject, logging_server: Server
) -> None:
    planted.apply()
    before = chosen(logging_server)
    program = Project(planted.folder, planted.database)
    for words in (
        ["pull", "items", "parts", "cities"],
        ["history"],
        ["lock", "show"],
        ["backup", "shop.dump"],
        ["backups", "verify", "shop.dump", "--restore"],
        ["restore", "shop.dump", "--yes"],
        ["restore", "shop.dump", "--yes", "--in-place"],
        ["status"],
    ):
        done = program.run(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert chosen(logging_server) - before == set()


def test_behind_a_pooler_no_planted_object_is_chosen(planted: TrialProject, logging_server: Server) -> None:
    before = chosen(logging_server)
    with PgBouncer(logging_server, "transaction", pool_size=2) as bouncer:
        planted.database = bouncer.url(planted.database)
        planted.apply(startup=True)
        assert pending(planted) == []
        planted.status()
        planted.write(FILE.replace("Old@example.com", "newer@example.com").replace("OLD@", "newer@"))
        assert planted.apply(startup=True).applied
        planted.write(FILE)
        assert planted.apply(startup=True).ahead
    assert chosen(logging_server) - before == set()


@pytest.mark.parametrize("pooled", [False, True])
def test_migrating_chooses_no_planted_object(planted: TrialProject, logging_server: Server, pooled: bool) -> None:
    """Alembic's own SQL is the project's: env.py gives it a search_path without the look-alikes."""
    write_env(planted.folder, ENV.replace("with engine", LEAD_AWAY + "with engine", 1))
    write_revision(planted.folder, "r1", upgrade=create_table("first"))
    write_revision(planted.folder, "r2", "r1", upgrade=create_table("second"))
    planted.write(
        """
steps:
  - uses: lock
  - uses: migrate
    with: {script_location: migrations}
    check: {revision: head}
"""
    )
    planted.rows("DROP TABLE public.parts, public.items, public.cities")
    before = chosen(logging_server)
    with PgBouncer(logging_server, "transaction", pool_size=3) as bouncer:
        planted.database = bouncer.url(planted.database) if pooled else planted.database
        assert "migrate" in pending(planted)
        planted.apply(startup=True)
        assert pending(planted) == []
        planted.status()
    found = chosen(logging_server) - before
    assert {each for each in found if not any(asked in each for asked in ASKED_BY_DRIVERS)} == set()
