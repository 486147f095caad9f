"""Invalid objects that interrupted migrations leave in a real database: found, reported and repaired."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg import Connection

from bootstrapper.errors import MigrationError
from bootstrapper.masking import Masker
from bootstrapper.migrations.interrupted.invalid_objects import InvalidObject, find_invalid_objects, repair
from bootstrapper.plans import Finding
from bootstrapper.postgres.ledger import ledger
from bootstrapper.postgres.ledger.ledger import LedgerNames
from tests.servers import Server
from tests.waiting import eventually

NAMES = LedgerNames()
USERS = "CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, 'a'), (2, 'a')"


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def fail_to_build(connection: Connection, definition: str) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {definition}".encode())


def found(connection: Connection) -> list[InvalidObject]:
    return find_invalid_objects(connection, NAMES)


def test_a_database_without_interrupted_migrations_has_no_invalid_objects(connection: Connection) -> None:
    connection.execute("CREATE TABLE a (id int PRIMARY KEY, b int UNIQUE CHECK (b > 0) REFERENCES a)")
    assert found(connection) == []


def test_an_index_whose_build_failed_is_found_with_both_statements(connection: Connection) -> None:
    connection.execute(USERS)
    fail_to_build(connection, "users_email_idx ON users (email)")
    (leftover,) = found(connection)
    assert leftover.table == "public.users"
    assert leftover.drop == "DROP INDEX CONCURRENTLY public.users_email_idx"
    assert leftover.finding == Finding(
        "index public.users_email_idx",
        "is invalid: a concurrent build was interrupted; no query uses it",
        "REINDEX INDEX CONCURRENTLY public.users_email_idx",
    )


def test_names_are_quoted_if_necessary(connection: Connection) -> None:
    connection.execute('CREATE SCHEMA "My App"')
    connection.execute('CREATE TABLE "My App"."a.b" (x int); INSERT INTO "My App"."a.b" VALUES (1), (1)')
    fail_to_build(connection, '"50%" ON "My App"."a.b" (x)')
    (leftover,) = found(connection)
    assert (leftover.name, leftover.table) == ('"My App"."50%"', '"My App"."a.b"')
    connection.execute('DELETE FROM "My App"."a.b"')
    repair(connection, [leftover], Masker(), lock_timeout_seconds=5)
    assert found(connection) == []


def test_an_index_is_valid_again_once_the_duplicates_are_gone(connection: Connection) -> None:
    connection.execute(USERS)
    fail_to_build(connection, "users_email_idx ON users (email)")
    connection.execute("DELETE FROM users WHERE id = 2")
    repair(connection, found(connection), Masker(), lock_timeout_seconds=5)
    assert found(connection) == []
    assert connection.execute("SELECT to_regclass('users_email_idx') IS NOT NULL").fetchone() == (True,)


def test_what_a_failing_repair_leaves_is_dropped_by_the_next_one(connection: Connection) -> None:
    connection.execute(USERS)
    fail_to_build(connection, "users_email_idx ON users (email)")
    with pytest.raises(MigrationError) as refused:
        repair(connection, found(connection), Masker(), lock_timeout_seconds=5)
    assert refused.value.sqlstate == "23505"
    assert refused.value.statement == "REINDEX INDEX CONCURRENTLY public.users_email_idx"
    assert refused.value.hint is not None
    assert refused.value.detail is not None
    assert "(email)=(a)" in refused.value.detail
    first, second = found(connection)
    assert first.repair == first.drop == "DROP INDEX CONCURRENTLY public.users_email_idx_ccnew"
    assert second.name == "public.users_email_idx"
    connection.execute("DELETE FROM users WHERE id = 2")
    repair(connection, [first, second], Masker(), lock_timeout_seconds=5)
    assert found(connection) == []


def test_the_lock_timeout_applies_to_the_repair_only(connection: Connection, database: str) -> None:
    connection.execute(USERS)
    connection.execute("ALTER TABLE users ADD CONSTRAINT has_email CHECK (email <> '') NOT VALID")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE users")
        with pytest.raises(MigrationError) as refused:
            repair(connection, found(connection), Masker(), lock_timeout_seconds=0.05)
    assert refused.value.sqlstate == "55P03"
    assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)


@contextmanager
def held_up(connection: Connection, statement: str) -> Iterator[None]:
    """Runs the statement against an open transaction on users, and kills it afterwards at the place where it waits."""
    url = connection.info.dsn + f" password='{connection.info.password}'"
    with psycopg.connect(url) as blocker:
        blocker.execute("UPDATE users SET email = 'b' WHERE id = 2")
        with closing(psycopg.connect(url, autocommit=True)) as working:
            pid = working.info.backend_pid
            working.pgconn.send_query(statement.encode())
            invalid = "SELECT count(*) > 0 FROM pg_index WHERE NOT indisvalid"
            assert eventually(lambda: connection.execute(invalid).fetchone() == (True,))
            yield
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
            alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
            assert eventually(lambda: connection.execute(alive, (pid,)).fetchone() == (0,))


def test_an_index_that_is_being_built_is_ignored_even_by_a_role_without_privileges(
    server: Server, connection: Connection, database: str
) -> None:
    connection.execute(USERS)
    server.execute("DROP ROLE IF EXISTS looker")
    server.execute("CREATE ROLE looker LOGIN PASSWORD 'x'")
    looker = psycopg.conninfo.make_conninfo(database, user="looker", password="x")
    with psycopg.connect(looker, autocommit=True) as as_looker:
        with held_up(connection, "CREATE INDEX CONCURRENTLY slow ON users (email)"):
            assert found(as_looker) == []
        assert [leftover.name for leftover in found(as_looker)] == ["public.slow"]


def test_an_index_that_is_being_dropped_is_ignored(connection: Connection) -> None:
    connection.execute(USERS)
    connection.execute("CREATE INDEX slow ON users (email)")
    with held_up(connection, "DROP INDEX CONCURRENTLY slow"):
        assert found(connection) == []
    assert [leftover.name for leftover in found(connection)] == ["public.slow"]


def test_an_interrupted_drop_is_completed(connection: Connection) -> None:
    connection.execute(USERS)
    connection.execute("CREATE INDEX slow ON users (email)")
    dead = (
        "UPDATE pg_index SET indislive = false, indisready = false, indisvalid = false WHERE indexrelid = %s::regclass"
    )
    connection.execute(dead, ("slow",))
    (leftover,) = found(connection)
    assert leftover.repair == "DROP INDEX CONCURRENTLY public.slow"
    repair(connection, [leftover], Masker(), lock_timeout_seconds=5)
    assert found(connection) == []


def test_what_a_rebuild_of_a_table_leaves_is_dropped_including_toast_indexes(
    connection: Connection,
) -> None:
    connection.execute(USERS)
    with held_up(connection, "REINDEX TABLE CONCURRENTLY users"):
        assert found(connection) == []
    left = found(connection)
    assert [leftover.table for leftover in left] == ["public.users"] * 2
    assert all(leftover.repair == f"DROP INDEX CONCURRENTLY {leftover.name}" for leftover in left)
    repair(connection, left, Masker(), lock_timeout_seconds=5)
    assert found(connection) == []


def test_a_partitioned_index_without_all_partitions_is_reported_without_a_repair(connection: Connection) -> None:
    connection.execute("CREATE TABLE p (x int) PARTITION BY LIST (x)")
    connection.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
    connection.execute("CREATE INDEX p_x ON ONLY p (x)")
    (leftover,) = found(connection)
    assert (leftover.name, leftover.repair, leftover.drop) == ("public.p_x", "", "")
    repair(connection, [leftover], Masker(), lock_timeout_seconds=5)


@pytest.mark.parametrize(
    ("declare", "name", "statement"),
    [
        (
            "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID",
            "public.users.c",
            "ALTER TABLE public.users VALIDATE CONSTRAINT c",
        ),
        (
            "ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES users NOT VALID",
            "public.users.f",
            "ALTER TABLE public.users VALIDATE CONSTRAINT f",
        ),
        pytest.param(
            "ALTER TABLE users ADD CONSTRAINT n NOT NULL email NOT VALID",
            "public.users.n",
            "ALTER TABLE public.users VALIDATE CONSTRAINT n",
            marks=pytest.mark.since(18),
        ),
        (
            "CREATE DOMAIN d AS text; ALTER DOMAIN d ADD CONSTRAINT full_ CHECK (VALUE <> '') NOT VALID",
            "public.d.full_",
            "ALTER DOMAIN public.d VALIDATE CONSTRAINT full_",
        ),
    ],
)
def test_an_unvalidated_constraint_is_found_and_validated(
    connection: Connection, declare: str, name: str, statement: str
) -> None:
    connection.execute(USERS)
    connection.execute(declare.encode())
    (leftover,) = found(connection)
    assert (leftover.kind, leftover.name, leftover.repair) == ("constraint", name, statement)
    repair(connection, [leftover], Masker(), lock_timeout_seconds=5)
    assert found(connection) == []


@pytest.mark.since(18)
def test_a_constraint_not_enforced_is_ignored(connection: Connection) -> None:
    connection.execute("CREATE TABLE a (x int CHECK (x > 0) NOT ENFORCED)")
    assert found(connection) == []


def test_an_inherited_constraint_is_reported_once_for_its_parent(connection: Connection) -> None:
    connection.execute("CREATE TABLE p (x int) PARTITION BY LIST (x)")
    connection.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
    connection.execute("ALTER TABLE p ADD CONSTRAINT c CHECK (x > 0) NOT VALID")
    assert [leftover.name for leftover in found(connection)] == ["public.p.c"]


def test_tables_of_the_ledger_and_of_extensions_and_temporary_tables_are_ignored(connection: Connection) -> None:
    with connection.transaction():
        ledger.create(connection, NAMES)
    connection.execute("ALTER TABLE bootstrapper.runs ADD CONSTRAINT c CHECK (serial > 0) NOT VALID")
    connection.execute("CREATE TABLE member (x int); CREATE EXTENSION hstore")
    connection.execute("ALTER TABLE member ADD CONSTRAINT c CHECK (x > 0) NOT VALID")
    connection.execute("ALTER EXTENSION hstore ADD TABLE member")
    connection.execute("CREATE TEMPORARY TABLE passing (x int)")
    connection.execute("ALTER TABLE passing ADD CONSTRAINT c CHECK (x > 0) NOT VALID")
    assert found(connection) == []
    assert [leftover.table for leftover in find_invalid_objects(connection, LedgerNames("other"))] == [
        "bootstrapper.runs"
    ]


def test_the_query_works_on_the_server_on_the_path(path_server: Server) -> None:
    path_server.execute("CREATE DATABASE leftovers")
    with psycopg.connect(path_server.url("leftovers"), autocommit=True) as connection:
        connection.execute(USERS)
        connection.execute("ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID")
        fail_to_build(connection, "users_email_idx ON users (email)")
        names = [leftover.name for leftover in found(connection)]
    path_server.execute("DROP DATABASE leftovers WITH (FORCE)")
    assert names == ["public.users_email_idx", "public.users.c"]
