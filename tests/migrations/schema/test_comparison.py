"""Two real databases side by side: equal schemas are equal, and every kind of difference is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg
import pytest

from bootstrapper.migrations.schema.comparison import describe, differences
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames
from tests.servers import Server

NAMES = LedgerNames()
VERSIONS = (None, "alembic_version")

SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN email AS text COLLATE "C" NOT NULL DEFAULT 'x' CONSTRAINT has_at CHECK (VALUE LIKE '%@%');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE SEQUENCE numbers AS int INCREMENT 2;
CREATE TABLE app."My Orgs" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, since date DEFAULT '2020-01-31'::date);
CREATE TABLE users (
    id serial PRIMARY KEY, org bigint REFERENCES app."My Orgs", address email, name varchar(255) NOT NULL,
    low text GENERATED ALWAYS AS (lower(name)) STORED, mood mood DEFAULT 'good', CONSTRAINT named CHECK (name <> '')
);
CREATE INDEX users_name_idx ON users (lower(name)) WHERE id > 5;
CREATE STATISTICS both_of_users ON org, name FROM users;
CREATE TABLE parts (id int NOT NULL, at date, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE UNLOGGED TABLE cache (k text);
CREATE VIEW names AS SELECT id, name FROM users;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM users;
CREATE UNIQUE INDEX counted_n ON counted (n);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    RETURN NEW;
END$$;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM cache';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TRIGGER users_stamp BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users FOR SELECT USING (name = current_user);
"""

TRIGGER = "CREATE TRIGGER users_stamp BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.stamp()"


def described(url: str, *statements: str, names: LedgerNames = NAMES) -> Mapping[str, str]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        return describe(connection, names, VERSIONS)


def test_the_same_schema_twice_has_no_differences(new_database: Callable[[], str]) -> None:
    first, second = described(new_database(), SCHEMA), described(new_database(), SCHEMA)
    assert differences(first, second) == []
    assert {name.rpartition(" ")[0].split(" ")[0] for name in first} >= {"table", "column", "index", "policy", "view"}


def test_settings_of_the_database_and_the_order_of_columns_are_ignored(new_database: Callable[[], str]) -> None:
    one, other = new_database(), new_database()
    described(other, f"ALTER DATABASE {other.rpartition('/')[2]} SET DateStyle = 'German'")
    described(other, f"ALTER DATABASE {other.rpartition('/')[2]} SET search_path = app, public")
    one_way = "CREATE SCHEMA app; CREATE TABLE app.a (x date DEFAULT '2020-01-31'::date, y int CHECK (y > 0))"
    other_way = "CREATE SCHEMA app; CREATE TABLE app.a (y int CHECK (y > 0), x date DEFAULT '2020-01-31'::date)"
    assert differences(described(one, one_way), described(other, other_way)) == []


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            "ALTER TABLE cache ALTER k TYPE varchar(5)",
            ["column public.cache.k: expected text, is character varying(5)"],
        ),
        (
            "ALTER TABLE users ALTER name DROP NOT NULL",
            ["column public.users.name: expected character varying(255) NOT NULL, is character varying(255)"],
        ),
        (
            "ALTER TABLE cache ALTER k SET DEFAULT 'x'",
            ["column public.cache.k: expected text, is text DEFAULT 'x'::text"],
        ),
        (
            'ALTER TABLE cache ALTER k TYPE text COLLATE "C"',
            ['column public.cache.k: expected text, is text COLLATE "C"'],
        ),
        ("ALTER TABLE cache ADD n int", ["column public.cache.n: not expected"]),
        ("ALTER TABLE cache SET LOGGED", ["table public.cache: expected unlogged table, is table"]),
        ("ALTER TABLE cache DROP k", ["column public.cache.k: missing"]),
        ("DROP TABLE cache", ["table public.cache: missing"]),
        (
            "DROP VIEW names; DROP MATERIALIZED VIEW counted; DROP TABLE users",
            ["table public.users: missing", "materialized view public.counted: missing", "view public.names: missing"],
        ),
        (
            "CREATE TABLE app.more (id serial PRIMARY KEY, x int); CREATE INDEX more_x ON app.more (x)",
            ["table app.more: not expected"],
        ),
        ("ALTER TABLE users DROP CONSTRAINT named", ["constraint public.users.named: missing"]),
        (
            "ALTER TABLE users DROP CONSTRAINT named, ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
            [
                (
                    "constraint public.users.named: expected CHECK (((name)::text <> ''::text)), "
                    "is CHECK (((name)::text <> ''::text)) NOT VALID"
                )
            ],
        ),
        ("DROP INDEX users_name_idx", ["index public.users_name_idx: missing"]),
        ("CREATE INDEX more ON cache (k)", ["index public.more: not expected"]),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'counted_n'::regclass",
            [
                (
                    "index public.counted_n: expected CREATE UNIQUE INDEX counted_n ON public.counted USING btree (n), "
                    "is CREATE UNIQUE INDEX counted_n ON public.counted USING btree (n) (invalid)"
                )
            ],
        ),
        ("DROP STATISTICS both_of_users", ["statistics public.both_of_users: missing"]),
        (
            "ALTER TABLE parts DETACH PARTITION parts_1; ALTER TABLE parts_1 DROP CONSTRAINT parts_1_pkey",
            ["table public.parts_1: expected table partition of public.parts FOR VALUES FROM (1) TO (10), is table"],
        ),
        (
            "ALTER SEQUENCE numbers INCREMENT 3",
            [
                (
                    "sequence public.numbers: "
                    "expected integer START 1 INCREMENT 2 MINVALUE 1 MAXVALUE 2147483647 CACHE 1, "
                    "is integer START 1 INCREMENT 3 MINVALUE 1 MAXVALUE 2147483647 CACHE 1"
                )
            ],
        ),
        (
            "CREATE OR REPLACE VIEW names AS SELECT id, name FROM users WHERE id > 1",
            ["view public.names: line 3: expected FROM public.users;, is FROM public.users"],
        ),
        (
            "ALTER VIEW names SET (security_barrier = true)",
            ["view public.names: line 1: expected SELECT id,, is WITH {security_barrier=true} SELECT id,"],
        ),
        ("DROP MATERIALIZED VIEW counted", ["materialized view public.counted: missing"]),
        ("ALTER TYPE mood ADD VALUE 'odd'", ["enum public.mood: expected 'good', 'bad', is 'good', 'bad', 'odd'"]),
        (
            "ALTER DOMAIN email DROP NOT NULL",
            [
                (
                    "domain public.email: expected text COLLATE \"C\" NOT NULL DEFAULT 'x'::text, "
                    "is text COLLATE \"C\" DEFAULT 'x'::text"
                )
            ],
        ),
        ("ALTER DOMAIN email DROP CONSTRAINT has_at", ["constraint public.email.has_at: missing"]),
        (
            "ALTER TYPE pair ADD ATTRIBUTE c date",
            ["type public.pair: expected (a integer, b text), is (a integer, b text, c date)"],
        ),
        ("DROP TYPE span", ["type public.span: missing"]),
        (
            "CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + $1'",
            [
                (
                    "function public.twice(integer): line 4: expected AS $function$SELECT $1 * 2$function$, "
                    "is AS $function$SELECT $1 + $1$function$"
                )
            ],
        ),
        (
            "CREATE FUNCTION twice(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
            ["function public.twice(text): not expected"],
        ),
        ("DROP PROCEDURE tidy", ["procedure public.tidy(): missing"]),
        ("DROP AGGREGATE total(int)", ["aggregate public.total(integer): missing"]),
        ("DROP TRIGGER users_stamp ON users", ["trigger public.users.users_stamp: missing"]),
        (
            "ALTER TABLE users DISABLE TRIGGER users_stamp",
            [(f"trigger public.users.users_stamp: expected {TRIGGER}, is {TRIGGER} (disabled)")],
        ),
        ("DROP RULE quiet ON cache", ["rule public.cache.quiet: missing"]),
        (
            "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
            ["table public.users: expected table with row-level security, is table"],
        ),
        (
            "ALTER POLICY own ON users USING (true)",
            [
                (
                    "policy public.users.own: "
                    "expected PERMISSIVE FOR SELECT TO PUBLIC USING (((name)::text = CURRENT_USER)), "
                    "is PERMISSIVE FOR SELECT TO PUBLIC USING (true)"
                )
            ],
        ),
        (
            'ALTER TABLE app."My Orgs" ALTER id SET GENERATED BY DEFAULT',
            [
                (
                    'column app."My Orgs".id: expected bigint NOT NULL GENERATED ALWAYS AS IDENTITY '
                    "(bigint START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 9223372036854775807 CACHE 1), "
                    "is bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY "
                    "(bigint START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 9223372036854775807 CACHE 1)"
                )
            ],
        ),
        (
            "ALTER TABLE users ALTER low DROP EXPRESSION",
            ["column public.users.low: expected text GENERATED ALWAYS AS (lower((name)::text)) STORED, is text"],
        ),
        ("COMMENT ON TABLE users IS 'x'; ALTER TABLE users SET (fillfactor = 70); SELECT nextval('numbers')", []),
    ],
)
def test_every_difference_is_named(database: str, change: str, lines: list[str]) -> None:
    expected = described(database, SCHEMA)
    found = differences(expected, described(database, change))
    assert [line.replace(" users.id,", " id,") for line in found] == lines  # as servers before 16 spell it


def test_extensions_the_ledger_the_version_table_and_temporary_tables_are_ignored(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        with connection.transaction():
            ledger.create(connection, NAMES)
            ledger.create(connection, LedgerNames("public"))
        connection.execute("CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore")
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("CREATE TEMPORARY TABLE passing (x serial)")
        assert "table bootstrapper.runs" in describe(connection, LedgerNames("public"), VERSIONS)
        connection.execute("DROP SCHEMA bootstrapper CASCADE")
        assert describe(connection, LedgerNames("public"), VERSIONS) == {}


def test_a_version_table_in_another_schema_is_ignored(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA app; CREATE TABLE alembic_version (x int); CREATE TABLE app.alembic_version ()"
        )
        names = describe(connection, NAMES, ("app", "alembic_version"))
    assert list(names) == ["table public.alembic_version", "column public.alembic_version.x"]


def test_settings_are_restored_inside_a_read_only_transaction(database: str) -> None:
    described(database, SCHEMA)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET search_path = app; SET TimeZone = 'Asia/Tokyo'; BEGIN READ ONLY")
        outside = describe(connection, NAMES, VERSIONS)
        after = connection.execute("SELECT current_setting('search_path'), current_setting('TimeZone')").fetchone()
        connection.execute("ROLLBACK")
    assert after == ("app", "Asia/Tokyo")
    assert outside == described(database)


def test_a_role_without_privileges_sees_the_same_schema(server: Server, database: str) -> None:
    expected = described(database, SCHEMA)
    server.execute("CREATE ROLE onlooker LOGIN PASSWORD 'x'")
    try:
        onlooker = psycopg.conninfo.make_conninfo(database, user="onlooker", password="x")
        assert described(onlooker) == expected
    finally:
        server.execute("DROP ROLE onlooker")


def test_different_whitespace_is_shown(database: str) -> None:
    body = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$%s$$"
    first, second = described(database, body % "SELECT 1\n"), described(database, body % "SELECT 1 \n")
    (line,) = differences(first, second)
    assert line == "function public.f(): line 4: expected 'AS $function$SELECT 1', is 'AS $function$SELECT 1 '"


def test_a_table_whose_name_is_a_prefix_of_another_is_named_by_itself() -> None:
    mine = {"table public.a": "table", "table public.ab": "table", "column public.ab.x": "text"}
    assert differences(mine, {"table public.ab": "table"}) == ["table public.a: missing", "column public.ab.x: missing"]


def test_the_query_works_on_the_server_on_the_path(path_server: Server) -> None:
    path_server.execute("CREATE DATABASE comparing")
    first = described(path_server.url("comparing"), SCHEMA)
    path_server.execute("DROP DATABASE comparing WITH (FORCE)")
    assert first["column public.users.name"] == "character varying(255) NOT NULL"
