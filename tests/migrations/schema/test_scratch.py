"""Scratch databases on a real server: like the configured one, and dropped in any case."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection

from bootstrapper.errors import MigrationError
from bootstrapper.migrations.schema.comparison import describe, differences
from bootstrapper.migrations.schema.scratch import PREFIX, scratch_database
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames
from tests.servers import Server

LOCALE = """
SELECT encoding, datcollate, datctype, d.row ->> 'datlocprovider', d.row ->> 'datlocale', d.row ->> 'daticulocale'
FROM pg_database, to_jsonb(pg_database) AS d (row) WHERE datname = current_database()
"""


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


@pytest.fixture
def maker(server: Server) -> Iterator[str]:
    """A role that may create databases and little else."""
    server.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'x'")
    yield "maker"
    server.execute("DROP ROLE maker")


def scratches(server: Server) -> set[object]:
    rows = server.execute(f"SELECT datname FROM pg_database WHERE starts_with(datname, '{PREFIX}')")
    return {row[0] for row in rows}


def asked(target: Target | str, query: str) -> object:
    conninfo = target if isinstance(target, str) else target.conninfo()
    with psycopg.connect(conninfo, autocommit=True) as inside:
        return inside.execute(query.encode()).fetchone()


def test_only_the_name_of_the_database_differs_and_it_is_dropped_afterwards(
    server: Server, connection: Connection, database: str
) -> None:
    target = Target.from_url(database)
    with scratch_database(connection, target) as scratch:
        assert scratch.replacing(dbname=target.dbname) == target
        assert scratches(server) == {scratch.dbname}
        assert asked(scratch, "SELECT current_database()") == (scratch.dbname,)
        assert asked(scratch, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == (0,)
    assert scratches(server) == set()


def test_it_is_dropped_after_a_failure_despite_connected_sessions(
    server: Server, connection: Connection, database: str
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        scratch_database(connection, Target.from_url(database)) as scratch,
        psycopg.connect(scratch.conninfo()) as inside,
    ):
        inside.execute("SELECT 1")
        raise ZeroDivisionError
    assert scratches(server) == set()


@pytest.mark.parametrize(
    "options",
    [
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        pytest.param("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'", marks=pytest.mark.since(17)),
    ],
)
def test_encoding_and_locale_are_those_of_the_configured_database(server: Server, options: str) -> None:
    require_the_same_locale(server, options)


def test_an_icu_locale_is_that_of_the_configured_database(path_server: Server) -> None:
    try:
        require_the_same_locale(path_server, "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server is built without ICU")


def require_the_same_locale(server: Server, options: str) -> None:
    server.execute(f"CREATE DATABASE localized TEMPLATE template0 {options}")
    try:
        with psycopg.connect(server.url("localized"), autocommit=True) as connection:
            expected = asked(server.url("localized"), LOCALE)
            with scratch_database(connection, Target.from_url(server.url("localized"))) as scratch:
                assert asked(scratch, LOCALE) == expected
    finally:
        server.execute("DROP DATABASE localized WITH (FORCE)")


def test_settings_of_the_database_are_copied(server: Server, connection: Connection, database: str) -> None:
    name = connection.info.dbname
    server.execute(f'ALTER DATABASE {name} SET search_path = app, "$user", public')
    server.execute(f"ALTER DATABASE {name} SET app.tenant = 'it''s'")
    server.execute(f"ALTER DATABASE {name} SET log_min_messages = 'error'")
    server.execute(f"ALTER ROLE postgres IN DATABASE {name} SET DateStyle = 'German, DMY'")
    query = "SELECT current_setting('search_path'), current_setting('app.tenant'), current_setting('DateStyle')"
    with scratch_database(connection, Target.from_url(database)) as scratch:
        assert asked(scratch, query) == ('app, "$user", public', "it's", "German, DMY")
    assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_extensions_are_created_in_their_schema_and_version(connection: Connection, database: str) -> None:
    connection.execute("CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext VERSION '1.7'; CREATE EXTENSION pg_trgm")
    query = (
        "SELECT array_agg(concat_ws(' ', extname, extversion, extnamespace::regnamespace) ORDER BY 1) FROM pg_extension"
    )
    with scratch_database(connection, Target.from_url(database)) as scratch:
        assert asked(scratch, query) == asked(database, query)
    with scratch_database(connection, Target.from_url(database), with_extensions=False) as scratch:
        assert asked(scratch, "SELECT count(*) FROM pg_extension") == (1,)


def test_a_schema_built_there_compares_as_equal(connection: Connection, database: str) -> None:
    schema = (
        b"CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE TABLE a (x text); CREATE INDEX ON a USING gin (x gin_trgm_ops)"
    )
    connection.execute(schema)
    names, versions = LedgerNames(), (None, "alembic_version")
    with (
        scratch_database(connection, Target.from_url(database)) as scratch,
        psycopg.connect(scratch.conninfo(), autocommit=True) as inside,
    ):
        inside.execute(schema)
        built = describe(inside, names, versions)
        assert differences(built, describe(connection, names, versions)) == []
        assert "index public.a_x_idx" in built


def test_a_role_without_createdb_is_refused_with_a_hint(server: Server, database: str, maker: str) -> None:
    server.execute("ALTER ROLE maker NOCREATEDB")
    url = psycopg.conninfo.make_conninfo(database, user=maker, password="x")
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(MigrationError) as refused,
        scratch_database(connection, Target.from_url(database)),
    ):
        pass
    assert refused.value.sqlstate == "42501"
    assert "CREATEDB" in str(refused.value.hint)


@pytest.mark.parametrize("is_used", [True, False])
def test_an_extension_that_cannot_be_created_is_an_error_only_if_it_is_used(
    server: Server, connection: Connection, database: str, maker: str, *, is_used: bool
) -> None:
    connection.execute("CREATE EXTENSION pg_stat_statements")
    if is_used:
        connection.execute("CREATE VIEW slow AS SELECT query FROM pg_stat_statements")
    target = Target.from_url(database).replacing(user=maker, password="x")
    with psycopg.connect(target.conninfo(), autocommit=True) as as_maker:
        if is_used:
            with (
                pytest.raises(MigrationError, match="pg_stat_statements: permission denied"),
                scratch_database(as_maker, target),
            ):
                pass
        else:
            with scratch_database(as_maker, target) as scratch:
                assert asked(scratch, "SELECT count(*) FROM pg_extension") == (1,)
    assert scratches(server) == set()


def test_databases_of_killed_runs_are_dropped_and_those_of_living_ones_are_kept(
    server: Server, connection: Connection, database: str
) -> None:
    target = Target.from_url(database)
    server.execute(f"CREATE DATABASE {PREFIX}00000000000000aa")
    server.execute(f"CREATE DATABASE {PREFIX}by_hand")
    with (
        scratch_database(connection, target) as living,
        psycopg.connect(database, autocommit=True) as other,
        scratch_database(other, target) as another,
    ):
        found = scratches(server)
    server.execute(f"DROP DATABASE {PREFIX}by_hand")
    assert found == {living.dbname, another.dbname, f"{PREFIX}by_hand"}


def test_a_database_of_another_role_is_kept(server: Server, connection: Connection, database: str, maker: str) -> None:
    server.execute(f"CREATE DATABASE {PREFIX}00000000000000bb OWNER maker")
    with scratch_database(connection, Target.from_url(database)):
        pass
    found = scratches(server)
    server.execute(f"DROP DATABASE {PREFIX}00000000000000bb")
    assert found == {f"{PREFIX}00000000000000bb"}


def test_the_database_of_a_lost_session_is_dropped_by_the_next_run(
    server: Server, connection: Connection, database: str
) -> None:
    target = Target.from_url(database)
    dying = psycopg.connect(database, autocommit=True)
    with scratch_database(dying, target) as left:
        dying.close()
    assert scratches(server) == {left.dbname}
    with scratch_database(connection, target):
        pass
    assert scratches(server) == set()


def test_it_works_on_the_server_on_the_path(path_server: Server) -> None:
    target = Target.from_url(path_server.url())
    with (
        psycopg.connect(path_server.url(), autocommit=True) as connection,
        scratch_database(connection, target) as scratch,
    ):
        assert asked(scratch, "SHOW server_encoding") == ("UTF8",)
    assert scratches(path_server) == set()
