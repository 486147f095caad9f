"""A clone is the template in everything that the file made, also where CREATE DATABASE leaves it out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from psycopg import sql

from bootstrapper.pytest_plugin.database import BootstrapDatabase
from bootstrapper.pytest_plugin.templates import Templates
from bootstrapper.pytest_plugin.wanted import Wanted
from tests.pytest_plugin.sessions import TestedApplication
from tests.servers import Server

FACTS = """
SELECT r.rolname, d.datconnlimit, d.datacl::text,
       (SELECT array_agg(coalesce(o.rolname, '') || ' ' || c.setting) FROM pg_db_role_setting AS s
        LEFT JOIN pg_roles AS o ON o.oid = s.setrole CROSS JOIN unnest(s.setconfig) AS c (setting)
        WHERE s.setdatabase = d.oid)
FROM pg_database AS d JOIN pg_roles AS r ON r.oid = d.datdba WHERE d.datname = '{name}'
"""


@pytest.fixture
def templates(application: TestedApplication, monkeypatch: pytest.MonkeyPatch) -> Iterator[Templates]:
    monkeypatch.setenv("DATABASE_URL", application.database)
    templates = Templates(application.folder, recreate=False)
    yield templates
    templates.close()


@pytest.fixture
def wanted(application: TestedApplication) -> Wanted:
    return Wanted(application.folder, application.folder / "bootstrap.yaml")


@pytest.fixture
def roles(server: Server) -> Iterator[tuple[str, str]]:
    names = ("clone_owner", "clone_reader")
    for name in names:
        server.execute(f"CREATE ROLE {name}")
    yield names
    for name in names:
        server.execute(f"DROP ROLE {name}")


def test_settings_owner_grants_and_connection_limit_are_those_of_the_template(
    roles: tuple[str, str], application: TestedApplication, templates: Templates, wanted: Wanted, server: Server
) -> None:
    owner, reader = roles
    statements = (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = app, \"Other\"', current_database());"
        " EXECUTE format('ALTER DATABASE %I SET application.tenant TO ''a = b''', current_database());"
        f" EXECUTE format('ALTER ROLE {reader} IN DATABASE %I SET work_mem TO ''8MB''', current_database());"
        f" EXECUTE format('GRANT CREATE ON DATABASE %I TO {reader} WITH GRANT OPTION', current_database());"
        " EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());"
        " EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 7', current_database());"
        f" EXECUTE format('ALTER DATABASE %I OWNER TO {owner}', current_database()); END $$"
    )
    application.write("set.sql", statements)
    application.write("bootstrap.yaml", "steps: [{uses: lock}, {uses: sql, with: {file: set.sql}, check: never}]\n")
    template = templates.template(wanted)
    with templates.clone(wanted) as database:
        found, expected = (server.execute(FACTS.format(name=name)) for name in (database.name, template.name))
        assert found == expected
        assert found[0][:2] == (owner, 7)
        settings = {" application.tenant=a = b", ' search_path=app, "Other"', f"{reader} work_mem=8MB"}
        assert set(found[0][3]) == settings  # type: ignore[call-overload]
        with psycopg.connect(database) as connection:
            assert connection.execute("SHOW search_path").fetchone() == ('app, "Other"',)


def test_a_clone_has_nothing_left_to_apply(
    application: TestedApplication, templates: Templates, wanted: Wanted
) -> None:
    from bootstrapper.api.run import plan
    from bootstrapper.engine.request import Request

    with templates.clone(wanted) as database:
        assert not plan(Request(file=wanted.file, variables={"DATABASE_URL": str(database)})).pending


def test_many_clones_at_once_differ(templates: Templates, wanted: Wanted) -> None:
    with templates.clone(wanted) as one, templates.clone(wanted) as two:
        assert one.name != two.name
        with psycopg.connect(one) as connection:
            connection.execute("DELETE FROM words")
        with psycopg.connect(two) as connection:
            assert connection.execute("SELECT count(*) FROM words").fetchone() == (2,)


def test_a_template_that_was_dropped_by_hand_is_made_again(
    templates: Templates, wanted: Wanted, server: Server
) -> None:
    template = templates.template(wanted)
    server.execute(f"DROP DATABASE {template.name}")
    with templates.clone(wanted) as database, psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM words").fetchone() == (2,)


def test_a_connection_that_was_lost_between_two_tests_is_opened_again(
    templates: Templates, wanted: Wanted, server: Server
) -> None:
    with templates.clone(wanted):
        pass
    ended = server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bootstrapper/trial'"
    )
    assert ended == [(True,)]
    with templates.clone(wanted) as database, psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM words").fetchone() == (2,)


def test_a_template_that_another_session_uses_can_be_made_again(
    application: TestedApplication, templates: Templates, wanted: Wanted
) -> None:
    first = templates.template(wanted)
    (application.folder / "later").mkdir()
    later = Templates(application.folder / "later", recreate=True)
    try:
        made = later.template(wanted)
        assert (made.name, made.was_made) == (first.name, True)
        for each in (templates, later):
            with each.clone(wanted) as database, psycopg.connect(database) as connection:
                assert connection.execute("SELECT count(*) FROM words").fetchone() == (2,)
        assert application.templates() == {first.name}
    finally:
        later.close()


def test_no_session_enters_a_template(templates: Templates, wanted: Wanted, server: Server) -> None:
    template = templates.template(wanted)
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(server.url(template.name))


def test_a_template_in_use_survives_a_session_with_other_inputs(
    application: TestedApplication, templates: Templates, wanted: Wanted
) -> None:
    with templates.clone(wanted):
        pass
    application.write("bootstrap.yaml", (application.folder / "bootstrap.yaml").read_text().replace("two", "three"))
    later = Templates(application.folder / "later", recreate=False)
    (application.folder / "later").mkdir()
    try:
        assert later.template(wanted) != templates.template(wanted)
        with templates.clone(wanted) as database, psycopg.connect(database) as connection:
            assert connection.execute("SELECT word FROM words ORDER BY 1").fetchall() == [("one",), ("two",)]
    finally:
        later.close()


def test_a_role_that_may_not_create_databases_is_told_so_once(
    application: TestedApplication, server: Server, tmp_path: Path
) -> None:
    server.execute("CREATE ROLE plain LOGIN PASSWORD 'p'")
    try:
        application.database = f"postgresql://plain:p@127.0.0.1:{server.port}/postgres"
        said = application.run()
        assert said.count("cannot create the template database: permission denied to create database") == 1
        assert said.count("ALTER ROLE ... CREATEDB") == 1
    finally:
        server.execute("DROP ROLE plain")


def test_an_ordinary_role_that_may_create_databases_suffices(application: TestedApplication, server: Server) -> None:
    server.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'p'")
    try:
        application.database = f"postgresql://maker:p@127.0.0.1:{server.port}/app"  # which does not exist
        assert application.passes() == 4
    finally:
        for name in application.templates():
            server.execute(f"DROP DATABASE {name}")
        server.execute("DROP ROLE maker")


def test_each_role_has_its_own_template(
    application: TestedApplication,
    templates: Templates,
    wanted: Wanted,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = templates.template(wanted)
    server.execute("CREATE ROLE other LOGIN CREATEDB PASSWORD 'p'")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://other:p@127.0.0.1:{server.port}/postgres")
    (application.folder / "later").mkdir()
    later = Templates(application.folder / "later", recreate=False)
    try:
        with later.clone(wanted) as database, psycopg.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM words").fetchone() == (2,)
        assert application.templates() == {first.name, later.template(wanted).name}
    finally:
        later.close()
        server.execute(f"DROP DATABASE {later.template(wanted).name}")
        server.execute("DROP ROLE other")


def test_a_template_whose_owner_the_role_cannot_give_to_clones_is_an_error_with_a_hint(
    application: TestedApplication, server: Server
) -> None:
    server.execute("CREATE ROLE giver LOGIN CREATEDB PASSWORD 'p'; CREATE ROLE taker; GRANT taker TO giver")
    give = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO taker', current_database()); END $$"
    application.write("give.sql", give)
    application.write("bootstrap.yaml", "steps: [{uses: lock}, {uses: sql, with: {file: give.sql}, check: never}]\n")
    application.database = f"postgresql://giver:p@127.0.0.1:{server.port}/postgres"
    try:
        application.write("test_words.py", "def test_it(bootstrap_database): pass\n")
        server.execute("GRANT taker TO giver")
        assert application.passes() == 1
        server.execute("REVOKE taker FROM giver")
        said = application.run()
        assert said.count("cannot create a database for a test: ") == 1
        assert "hint: Run as a role that is a member of taker" in said
    finally:
        for name in application.templates():
            server.execute(f"DROP DATABASE {name}")
        server.execute("DROP ROLE giver; DROP ROLE taker")


def test_a_database_is_a_url_for_every_driver(templates: Templates, wanted: Wanted, server: Server) -> None:
    with templates.clone(wanted) as database:
        place = f"postgres:correct%20horse@127.0.0.1:{server.port}/{database.name}"
        assert database == database.url == f"postgresql://{place}"
        assert database.driver("asyncpg") == f"postgresql+asyncpg://{place}"
        engine = sqlalchemy.create_engine(database.driver("psycopg"), poolclass=sqlalchemy.NullPool)
        with engine.connect() as through_sqlalchemy:
            assert through_sqlalchemy.scalar(sqlalchemy.text("SELECT count(*) FROM words")) == 2
        with psycopg.connect(**database.parameters) as connection:
            assert connection.info.dbname == database.name
        assert "horse" not in repr(database)


def test_a_database_can_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from bootstrapper.postgres.connection.target import Target

    database = BootstrapDatabase.at(Target.from_url("postgresql://u@h/d"))
    monkeypatch.setenv("X", database)
    assert sql.Literal(database).as_string() == "'postgresql://u@h/d'"
