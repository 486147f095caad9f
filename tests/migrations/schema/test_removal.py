"""Real databases full of objects that depend on each other: all are dropped without CASCADE, or what is in the way is
named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors

from bootstrapper.migrations.schema.objects import DatabaseObject, read_objects, row_counts
from bootstrapper.migrations.schema.removal import Removal, plan_removal, remove
from bootstrapper.postgres.connection.settings import greet
from tests.migrations.schema.test_comparison import SCHEMA

MORE = """
CREATE SCHEMA "Odd ""S"" x";
CREATE TABLE "Odd ""S"" x"."100% é" (id int, "a%b" text DEFAULT 'x');
CREATE TABLE a (id int PRIMARY KEY, b int);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE);
ALTER TABLE a ADD CONSTRAINT "to%b" FOREIGN KEY (b) REFERENCES b;
CREATE SEQUENCE shared;
CREATE TABLE of_shared (id bigint DEFAULT nextval('shared'), PRIMARY KEY (id));
CREATE TABLE parent (id int CHECK (id > 0));
CREATE TABLE child () INHERITS (parent);
CREATE TABLE part_of_parts (id int, at date, PRIMARY KEY (id));
ALTER TABLE parts ATTACH PARTITION part_of_parts FOR VALUES FROM (10) TO (20);
CREATE TABLE uses_parts (id int REFERENCES parts);
ALTER TABLE parts ADD CONSTRAINT parts_to_a FOREIGN KEY (id) REFERENCES a;
CREATE FUNCTION is_admin(int) RETURNS boolean LANGUAGE sql BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM a WHERE id = $1); END;
ALTER TABLE a ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_admins ON a USING (is_admin(id));
CREATE FUNCTION full_row(a) RETURNS boolean LANGUAGE sql AS 'SELECT true';
ALTER TABLE a ADD CHECK (full_row(a));
CREATE FUNCTION per_row() RETURNS SETOF users LANGUAGE sql BEGIN ATOMIC SELECT * FROM users; END;
CREATE VIEW admins AS SELECT * FROM per_row() WHERE is_admin(id);
CREATE FUNCTION of_view(admins) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE VIEW above AS SELECT of_view(admins) FROM admins;
CREATE FUNCTION low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE INDEX by_low ON cache (low(k));
ALTER TABLE cache ADD COLUMN g text GENERATED ALWAYS AS (low(k)) STORED;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON a FROM b DEFERRABLE FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER of_parts AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE PROCEDURE giving(INOUT a int, OUT b text) LANGUAGE sql AS 'SELECT 1, ''x''';
CREATE AGGREGATE any_number(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0');
CREATE FUNCTION many(VARIADIC mood[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION same(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = same);
CREATE OPERATOR FAMILY pairs USING hash;
CREATE OPERATOR CLASS pair_hash FOR TYPE pair USING hash FAMILY pairs AS OPERATOR 1 ===;
CREATE FUNCTION to_pair(text) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW(1, $1)::pair';
CREATE CAST (text AS pair) WITH FUNCTION to_pair(text);
CREATE COLLATION plain FROM "C";
CREATE DEFAULT CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY nothing (TEMPLATE = pg_catalog.simple);
CREATE TEXT SEARCH CONFIGURATION plainly (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION plainly ALTER MAPPING FOR asciiword WITH nothing;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION on_ddl();
CREATE PUBLICATION news FOR TABLE a, b;
CREATE FOREIGN DATA WRAPPER far;
CREATE SERVER other FOREIGN DATA WRAPPER far;
CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user 'x');
CREATE USER MAPPING FOR PUBLIC SERVER other;
CREATE FOREIGN TABLE remote (id int) SERVER other;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
CREATE EXTENSION citext;
CREATE TABLE with_extension (name citext)
"""


@pytest.fixture
def connection(database: str) -> Iterator[Connection[Any]]:
    """Connected with our own settings."""
    with psycopg.connect(database, autocommit=True) as made:
        greet(made)
        yield made


def build(connection: Connection[Any], statements: str) -> list[DatabaseObject]:
    """Creates objects, and returns those that are there then."""
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as other:
        other.execute(statements.encode())
    return list(read_objects(connection))


def names(objects: Sequence[DatabaseObject]) -> set[str]:
    return {each.name for each in objects}


def removal_of(connection: Connection[Any], there: Sequence[DatabaseObject], *doomed: str) -> Removal:
    ours = [each for each in there if each.name in doomed]
    assert names(ours) == set(doomed)
    return plan_removal(connection, ours, [each for each in there if each not in ours])


def test_objects_of_all_kinds_that_depend_on_each_other_in_circles_are_dropped(connection: Connection[Any]) -> None:
    there = build(connection, SCHEMA + MORE)
    assert {each.kind for each in there} == {
        *("table", "foreign table", "view", "materialized view", "sequence", "type", "function", "procedure"),
        *("aggregate", "collation", "conversion", "operator", "operator class", "operator family", "cast", "schema"),
        *("text search configuration", "text search dictionary", "publication", "event trigger", "extension"),
        *("foreign-data wrapper", "server", "user mapping"),
    }
    removal = plan_removal(connection, there, [])
    assert (removal.obstacles, removal.kept) == ((), ())
    with connection.transaction():
        remove(connection, removal)
    assert read_objects(connection) == []


def test_a_database_without_objects_of_its_own_has_none(connection: Connection[Any]) -> None:
    assert read_objects(connection) == []
    assert plan_removal(connection, [], []) == Removal((), (), (), ())


def test_the_same_schema_has_the_same_names_whatever_search_path_is(connection: Connection[Any]) -> None:
    there = build(connection, SCHEMA)
    connection.execute("SET search_path = app, public")
    assert read_objects(connection) == there


@pytest.mark.parametrize(
    ("by_hand", "obstacle"),
    [
        ("CREATE VIEW mine AS SELECT id FROM users", "view public.mine depends on table public.users"),
        (
            "CREATE TABLE mine (id int REFERENCES users)",
            "constraint mine_id_fkey on table public.mine depends on table public.users",
        ),
        ("CREATE TABLE mine (m mood)", "column m of table public.mine depends on type public.mood"),
        ("CREATE TABLE mine (m mood[])", "column m of table public.mine depends on type public.mood"),
        (
            "CREATE TABLE mine (n int DEFAULT twice(1))",
            "default value for column n of table public.mine depends on function public.twice(integer)",
        ),
        ("CREATE TABLE mine () INHERITS (cache)", "table public.mine depends on table public.cache"),
        (
            "CREATE TABLE mine PARTITION OF parts FOR VALUES FROM (50) TO (60)",
            "table public.mine depends on table public.parts",
        ),
        (
            "CREATE FUNCTION mine(users) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function public.mine(public.users) depends on table public.users",
        ),
        (
            "CREATE TABLE mine (id int); CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION stamp()",
            "trigger t on table public.mine depends on function public.stamp()",
        ),
        (
            "CREATE MATERIALIZED VIEW mine AS SELECT n FROM counted",
            "materialized view public.mine depends on materialized view public.counted",
        ),
    ],
)
def test_an_object_by_hand_that_depends_on_one_is_named_and_stays(
    connection: Connection[Any], by_hand: str, obstacle: str
) -> None:
    ours = build(connection, SCHEMA)
    there = build(connection, by_hand)
    removal = removal_of(connection, there, *names(ours))
    assert removal.obstacles == (obstacle,)
    with pytest.raises(errors.DependentObjectsStillExist), connection.transaction():
        remove(connection, removal)
        if "PARTITION OF" in by_hand:  # the server would drop it along, which is why it has to be an obstacle
            raise errors.DependentObjectsStillExist
    assert names(read_objects(connection)) == names(there)


def test_what_belongs_to_a_table_goes_with_it_even_if_it_was_made_by_hand(connection: Connection[Any]) -> None:
    ours = build(connection, SCHEMA)
    there = build(
        connection,
        """
        ALTER TABLE users ADD COLUMN by_hand serial, ADD CHECK (by_hand > 0);
        CREATE INDEX ON users (by_hand);
        CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER mine BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION mine();
        CREATE PUBLICATION mine FOR TABLE users
        """,
    )
    removal = removal_of(connection, there, *names(ours))
    assert removal.obstacles == ()
    with connection.transaction():
        remove(connection, removal)
    assert names(read_objects(connection)) == {"function public.mine()", "publication mine"}


def test_a_schema_that_holds_something_else_is_kept(connection: Connection[Any]) -> None:
    ours = build(connection, "CREATE SCHEMA app CREATE TABLE a (id int); CREATE SCHEMA empty")
    there = build(connection, "CREATE TABLE app.mine (id int)")
    removal = removal_of(connection, there, *names(ours))
    assert (removal.obstacles, names(removal.kept)) == ((), {"schema app"})
    remove(connection, removal)
    assert names(read_objects(connection)) == {"schema app", "table app.mine"}


def test_an_extension_is_an_object_and_its_members_are_none(connection: Connection[Any]) -> None:
    there = build(connection, "CREATE EXTENSION citext; CREATE TABLE mine (name citext)")
    assert names(there) == {"extension citext", "table public.mine"}
    assert removal_of(connection, there, "extension citext").obstacles == (
        "column name of table public.mine depends on extension citext",
    )


def test_objects_that_only_cascade_could_drop_are_named(connection: Connection[Any]) -> None:
    there = build(
        connection,
        """
        CREATE VIEW first AS SELECT 1 AS x;
        CREATE FUNCTION second() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT x FROM first; END;
        CREATE OR REPLACE VIEW first AS SELECT second() AS x
        """,
    )
    (obstacle,) = plan_removal(connection, there, []).obstacles
    assert obstacle.endswith(" depend on each other")
    assert "view public.first" in obstacle
    assert "function public.second()" in obstacle


def test_small_tables_are_counted_and_others_are_estimated(connection: Connection[Any]) -> None:
    there = build(
        connection,
        """
        CREATE TABLE few AS SELECT generate_series(1, 1234) AS id;
        CREATE TABLE one AS SELECT 1 AS id;
        CREATE TABLE parts (id int) PARTITION BY RANGE (id);
        CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (10);
        INSERT INTO parts VALUES (1), (2);
        CREATE TABLE many (id int, filler char(2000)) WITH (fillfactor = 10);
        INSERT INTO many SELECT n, '' FROM generate_series(1, 20000) AS n; ANALYZE many;
        CREATE VIEW seen AS SELECT * FROM few
        """,
    )
    counts = row_counts(connection, there)
    assert {each.identity: counts[each.oid] for each in there if each.oid in counts} == {
        "public.few": "1,234 rows",
        "public.one": "1 row",
        "public.part": "2 rows",
        "public.many": "about 20,000 rows",
    }
