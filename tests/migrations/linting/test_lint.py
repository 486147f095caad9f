"""Findings about the tables that a real server has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bootstrapper.migrations.linting import lint as linter
from bootstrapper.migrations.linting.lint import Script
from bootstrapper.plans import Hazard, HazardName, TableLock
from tests.servers import Server

SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, age integer, email text, nick text NOT NULL, phone text);
INSERT INTO users SELECT n, 1, 'x', 'x', 'x' FROM generate_series(1, 45000) AS n;
ALTER TABLE users ADD CONSTRAINT email_there CHECK (email IS NOT NULL);
ALTER TABLE users ADD CONSTRAINT phone_there CHECK (phone IS NOT NULL) NOT VALID;
CREATE INDEX users_age ON users (age);
CREATE TABLE empty (id bigint PRIMARY KEY, name text);
CREATE TABLE events (at integer) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10000);
INSERT INTO events SELECT n FROM generate_series(1, 2000) AS n;
CREATE SCHEMA hidden;
CREATE TABLE hidden.things (id integer);
INSERT INTO hidden.things VALUES (1);
CREATE TYPE mood AS ENUM ('happy');
CREATE TYPE pair AS (a integer, b integer);
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM users;
CREATE VIEW names AS SELECT name FROM empty;
CREATE SEQUENCE counter;
CREATE FUNCTION hidden.answer() RETURNS integer LANGUAGE sql AS 'SELECT 42';
ANALYZE users, events;
"""

Reading = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module", params=["server", "path_server"])
def shared(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with SCHEMA that no test changes."""
    server: Server = request.getfixturevalue(request.param)
    server.execute("CREATE DATABASE test_lint")
    server.execute(SCHEMA, "test_lint")
    yield server.url("test_lint")
    server.execute("DROP DATABASE test_lint WITH (FORCE)")


@pytest.fixture
def connection(shared: str) -> Iterator[Reading]:
    """In a read-only transaction that is rolled back."""
    with psycopg.connect(shared) as connection:
        connection.read_only = True
        yield connection
        connection.rollback()


_LENT = ("the search_path of the project", "a question", "our search_path")  # in one round trip


def scripts(*texts: str) -> list[Script]:
    return [Script(f"revision {number}", text) for number, text in enumerate(texts, 1)]


def lint(connection: Reading, texts: list[Script], *, transaction_per_script: bool = True) -> list[Hazard]:
    found = linter.lint(connection, texts, transaction_per_script=transaction_per_script)
    return [each for each in found if isinstance(each, Hazard)]


def locks(connection: Reading, texts: list[Script]) -> list[TableLock]:
    return [each for each in linter.lint(connection, texts) if isinstance(each, TableLock)]


def messages(connection: Reading, *texts: str) -> list[str]:
    return [hazard.message for hazard in lint(connection, scripts(*texts))]


def test_a_hazard_names_the_lock_the_table_its_size_its_line_and_what_to_do(connection: Reading) -> None:
    text = "SELECT 1; ALTER TABLE users\n  ALTER COLUMN age TYPE bigint;"
    found = lint(connection, [Script("revision 4f1c", text, "versions/4f1c.py", [None, 12])])
    size = found[0].message.partition("rows, ")[2].partition(")")[0]
    assert size.endswith(" MB")
    assert found == [
        Hazard(
            HazardName.REWRITE,
            "revision 4f1c",
            "ALTER TABLE users ALTER COLUMN age TYPE bigint takes ACCESS EXCLUSIVE on users "
            f"(about 45,000 rows, {size}): blocks reads and writes "
            "while the table is rewritten, unless the server can keep the stored values",
            "Add a column of the new type, fill it in batches, then switch to it.",
            "versions/4f1c.py:12",
        )
    ]


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("CREATE INDEX i ON users (age)", "takes SHARE on users (about 45,000 rows"),
        ("DROP INDEX users_age", "takes ACCESS EXCLUSIVE on users (about 45,000 rows"),
        ("ALTER TABLE users ADD c int NOT NULL", "fails where the table has rows"),
        ("ALTER TABLE public.users ADD CHECK (age > 0)", "on public.users (about 45,000 rows"),
        ("ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES empty", "and empty (empty): blocks writes while all rows"),
        ("ALTER TABLE events ADD c int DEFAULT random()", "on events (about 2,000 rows"),
        ("ALTER TABLE hidden.things ALTER id SET NOT NULL", "on hidden.things (row count unknown, 8.0 kB)"),
        ("ALTER TABLE users ALTER phone SET NOT NULL", "while all rows are checked"),
        ("DROP TYPE mood", "takes ACCESS EXCLUSIVE on type mood: blocks its use, and the dropped data is lost"),
        ("DROP TYPE public.mood", "on type public.mood: blocks its use"),
        ("DROP DOMAIN IF EXISTS nowhere, mood", "the dropped data is lost"),
        ("DROP SCHEMA hidden CASCADE", "on schema hidden: blocks its use, and the dropped data is lost"),
        ("DROP SEQUENCE counter", "on sequence counter: blocks its use, and the dropped data is lost"),
        ("DROP EXTENSION plpgsql", "the dropped data is lost"),
        ("DROP VIEW names", "on view names: blocks its use, and code that uses it fails afterwards"),
        ("DROP ROLE CURRENT_USER, pg_monitor", "code that uses it fails afterwards"),
        ("ALTER TYPE mood RENAME TO temper", "code that uses the old name"),
        ("DROP TABLE empty", "on empty (empty): blocks reads and writes, and the dropped data is lost"),
        ("ALTER TABLE empty DROP COLUMN name", "the dropped data is lost"),
        ("ALTER TABLE users RENAME TO people; ALTER TABLE people DROP COLUMN age", "code that uses the old name"),
    ],
)
def test_a_dangerous_statement_is_a_hazard(connection: Reading, statement: str, part: str) -> None:
    assert part in messages(connection, statement)[0]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users ADD c int",
        "ALTER TABLE users ALTER email SET NOT NULL",
        "ALTER TABLE users ALTER nick SET NOT NULL",
        "ALTER TABLE users VALIDATE CONSTRAINT phone_there; ALTER TABLE users ALTER phone SET NOT NULL",
        "ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES empty NOT VALID",
        "CREATE INDEX CONCURRENTLY i ON users (age)",
        "CREATE INDEX i ON empty (name)",
        "ALTER TABLE empty ADD c int NOT NULL",
        "ALTER TABLE empty ALTER name TYPE varchar(5)",
        "DROP TABLE IF EXISTS nowhere",
        "ALTER TABLE things ADD c int NOT NULL",
        "BEGIN; INSERT INTO users VALUES (1); COMMIT",
        "DROP FUNCTION hidden.answer(); DROP FUNCTION IF EXISTS answer; DROP PROCEDURE p; DROP AGGREGATE a(integer)",
        "DROP TYPE nowhere; DROP TYPE IF EXISTS hidden.mood; DROP DOMAIN nowhere",
        "DROP SCHEMA IF EXISTS nowhere CASCADE; DROP SERVER nowhere; DROP COLLATION nowhere",
        "DROP VIEW nowhere; DROP SEQUENCE empty; DROP EXTENSION IF EXISTS hstore; DROP ROLE nobody_of_this_name",
        "ALTER TYPE nowhere RENAME TO here; ALTER SEQUENCE nowhere RENAME TO here",
    ],
)
def test_a_harmless_statement_is_not_a_hazard(connection: Reading, statement: str) -> None:
    assert messages(connection, statement) == []


ALTERED = "ALTER TABLE users ADD c int"


@pytest.mark.parametrize(
    ("statements", "part"),
    [
        (f"{ALTERED}; UPDATE users SET c = 1", "UPDATE users SET c = 1 writes all rows of users (about 45,000 rows"),
        (f"{ALTERED}; UPDATE users SET c = (SELECT 1 WHERE true)", "writes all rows of users"),
        (f"{ALTERED}; UPDATE users SET c = 1 WHERE c IS NULL", "writes up to all rows of users"),
        (
            f"{ALTERED}; UPDATE events SET at = 1",
            "writes all rows of events (about 2,000 rows",
        ),
        (f"{ALTERED}; UPDATE users SET c = 1", f"while ACCESS EXCLUSIVE on users, taken by {ALTERED}, is held: blocks"),
    ],
)
def test_writing_many_rows_under_an_exclusive_lock_is_a_finding(
    connection: Reading, statements: str, part: str
) -> None:
    [message] = messages(connection, statements)
    assert part in message


@pytest.mark.parametrize(
    "statements",
    [
        "UPDATE users SET age = 1",
        f"UPDATE users SET age = 1; {ALTERED}",
        f"{ALTERED}; COMMIT; UPDATE users SET c = 1",
        f"{ALTERED}; UPDATE events SET at = 1 WHERE at = 2",
        f"{ALTERED}; UPDATE empty SET name = 'x'",
        f"{ALTERED}; CREATE TABLE fresh (id int); UPDATE fresh SET id = 1",
        "ALTER TABLE empty ADD c int; UPDATE users SET age = 1",
        "CREATE INDEX CONCURRENTLY i ON users (age); UPDATE users SET age = 1",
    ],
)
def test_writing_few_rows_or_without_such_a_lock_is_not_a_finding(connection: Reading, statements: str) -> None:
    assert messages(connection, statements) == []


def test_a_lock_does_not_outlast_its_transaction(connection: Reading) -> None:
    assert messages(connection, ALTERED, "UPDATE users SET c = 1") == []
    [found] = lint(connection, scripts(ALTERED, "UPDATE users SET c = 1"), transaction_per_script=False)
    assert (found.name, found.target) == (HazardName.LONG_LOCK, "revision 2")


def test_a_schema_without_the_usage_privilege_is_linted(connection: Reading) -> None:
    connection.read_only = False
    connection.execute("CREATE ROLE lint_nobody")
    try:
        connection.execute("SET ROLE lint_nobody")
        assert "hidden.things" in messages(connection, "ALTER TABLE hidden.things ADD c int NOT NULL")[0]
    finally:
        connection.rollback()


def test_a_revision_knows_what_the_one_before_it_created(connection: Reading) -> None:
    assert messages(connection, "CREATE TABLE users2 (id int)", "ALTER TABLE users2 DROP COLUMN id") == []
    swapped = "ALTER TABLE users RENAME TO old; ALTER TABLE fresh RENAME TO users"
    found = messages(connection, "CREATE TABLE fresh (id int)", swapped, "ALTER TABLE users DROP id; DROP TABLE old")
    assert [text.partition(" takes")[0] for text in found] == ["ALTER TABLE users RENAME TO old", "DROP TABLE old"]


def test_a_brief_lock_is_a_finding_on_a_big_table_only(connection: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    statement = "ALTER TABLE users ADD c int"
    monkeypatch.setattr(linter, "BIG_TABLE_ROWS", 45_000)
    found = lint(connection, scripts(statement))
    assert found[0].message.endswith(": blocks reads and writes, if only briefly")
    assert "lock_timeout" in found[0].remedy
    monkeypatch.setattr(linter, "BIG_TABLE_ROWS", 45_001)
    assert lint(connection, scripts(statement)) == []
    monkeypatch.setattr(linter, "BIG_TABLE_BYTES", 1_000_000)
    assert len(lint(connection, scripts(statement))) == 1


def test_the_text_is_one_line_of_bounded_length_whatever_the_names(connection: Reading) -> None:
    name = "odd\n\x1b[31m\u202e%s"
    connection.rollback()
    connection.read_only = False
    connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(name)))
    lists = ", ".join(f"table_{number}" for number in range(1000))
    for text in (f'DROP TABLE "{name}"', f"DROP TABLE users, {lists}"):
        [hazard] = lint(connection, scripts(text))
        assert len(hazard.message) < 600
        assert hazard.message.isprintable()


def test_the_server_is_queried_once_for_all_revisions_and_not_without_a_table(
    connection: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    execute = connection.execute
    monkeypatch.setattr(connection, "execute", lambda *given: asked.append(given[0]) or execute(*given))
    lint(connection, scripts("DROP TABLE users; DROP TABLE empty", "TRUNCATE events"))
    assert len(asked) == len(_LENT) + 1  # where they are, and what they are
    lint(connection, scripts("SELECT 1"))
    assert len(asked) == len(_LENT) + 1
    lint(connection, scripts("DROP TYPE mood; DROP VIEW names"))
    assert len(asked) == 2 * len(_LENT) + 1


NAMED = [
    ("DROP TABLE empty", ["drop-table"]),
    ("DROP MATERIALIZED VIEW totals", ["drop-table"]),
    ("ALTER TABLE users DROP COLUMN age", ["drop-column"]),
    ("ALTER TYPE pair DROP ATTRIBUTE a", ["drop-column"]),
    ("DROP SCHEMA hidden CASCADE", ["drop-object"]),
    ("DELETE FROM users WHERE id = 1", ["delete-rows"]),
    ("TRUNCATE users", ["delete-rows"]),
    ("DO $$ BEGIN DELETE FROM users; END $$", ["unknown-sql"]),
    ("CALL hidden.work()", ["unknown-sql"]),
    ("ALTER TABLE users ALTER age TYPE text", ["rewrite"]),
    ("VACUUM FULL users", ["rewrite"]),
    ("CREATE INDEX i ON users (age)", ["index-without-concurrently"]),
    ("ALTER TABLE users ADD UNIQUE (nick)", ["index-without-concurrently"]),
    ("REINDEX TABLE users", ["index-without-concurrently"]),
    ("ALTER TABLE users ADD CHECK (age > 0)", ["long-lock"]),
    ("REFRESH MATERIALIZED VIEW totals", ["long-lock"]),
    ("DROP INDEX users_age", ["brief-lock"]),
    ("ALTER TABLE users ADD c int NOT NULL", ["fails-on-rows"]),
    ("ALTER TABLE users RENAME age TO years", ["rename"]),
    ("DROP VIEW names", ["drop-view"]),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", ["change-type"]),
    ("ALTER TABLE users DROP age, ALTER nick TYPE varchar(9)", ["drop-column", "rewrite"]),
    ("TRUNCATE empty; DELETE FROM empty; CREATE INDEX i ON empty (name)", []),
]


@pytest.mark.parametrize(("statement", "names"), NAMED)
def test_each_statement_has_the_hazards_of_the_list(connection: Reading, statement: str, names: list[str]) -> None:
    found = lint(connection, scripts(statement))
    assert [hazard.name.value for hazard in found] == names
    assert all(hazard.remedy for hazard in found)


def test_every_hazard_of_the_list_is_one_that_something_has() -> None:
    besides = {"downgrade"}  # of the command
    assert {name for _, names in NAMED for name in names} | besides == {name.value for name in HazardName}


def test_the_strongest_lock_of_each_script_on_each_table_is_named_with_its_line(connection: Reading) -> None:
    text = "CREATE INDEX i ON users (age); ALTER TABLE users ADD COLUMN c integer; CREATE INDEX j ON users (c)"
    first = Script("revision 1", f"{text}; ALTER TABLE hidden.things ADD COLUMN d integer", "1.py", [3, 4, 5, 6])
    second = Script("revision 2", "CREATE INDEX k ON users (email)", "2.py")
    assert locks(connection, [first, second]) == [
        TableLock("public.users", "ACCESS EXCLUSIVE", "revision 1", "1.py:4"),
        TableLock("hidden.things", "ACCESS EXCLUSIVE", "revision 1", "1.py:6"),
        TableLock("public.users", "SHARE", "revision 2", "2.py"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET age = 2",
        "ALTER TABLE empty ADD COLUMN c integer",
        "ALTER TABLE missing ADD COLUMN c integer",
        "CREATE TABLE fresh (id integer); ALTER TABLE fresh ADD COLUMN c integer",
        "DROP TYPE mood",
    ],
)
def test_an_ordinary_write_or_a_table_without_rows_is_not_a_lock_to_name(connection: Reading, statement: str) -> None:
    assert locks(connection, scripts(statement)) == []


def test_a_lock_by_an_index_or_a_reference_names_the_table(connection: Reading) -> None:
    statement = "DROP INDEX users_age; CREATE TABLE fresh (id integer REFERENCES hidden.things)"
    assert [(lock.relation, lock.mode) for lock in locks(connection, scripts(statement))] == [
        ("public.users", "ACCESS EXCLUSIVE"),
        ("hidden.things", "SHARE ROW EXCLUSIVE"),
    ]
