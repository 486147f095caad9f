from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from bootstrapper.postgres.connection.target import Target

NASTY = "p@ss:w/o%r d?#&='\"\\+é"


@pytest.mark.parametrize(
    "scheme",
    [
        "postgres",
        "postgresql",
        "PostgreSQL",
        "postgresql+psycopg",
        "postgresql+asyncpg",
        "postgresql+psycopg2",
        "postgres+pg8000",
    ],
)
def test_every_spelling_of_the_scheme_means_the_same_place(scheme: str) -> None:
    target = Target.from_url(f"{scheme}://app:secret@db.example:6543/shop")
    expected = {"host": "db.example", "port": "6543", "user": "app", "password": "secret", "dbname": "shop"}
    assert target.parameters == expected
    assert target.where == "db.example:6543/shop"


def test_parameters_missing_in_the_url_stay_out() -> None:
    target = Target.from_url("postgresql://")
    assert target.parameters == {}
    assert (target.host, target.port, target.dbname, target.user, target.password) == (None, 5432, None, None, None)
    assert target.conninfo() == ""


@pytest.mark.parametrize(
    ("url", "variables", "server", "database"),
    [
        ("postgresql://", {"PGUSER": "me"}, "local socket:5432", "me"),
        ("postgresql://", {"PGPORT": "6000", "PGDATABASE": "shop"}, "local socket:6000", "shop"),
        ("postgresql://", {"PGHOST": "db.example", "PGUSER": "me"}, "db.example:5432", "me"),
        ("postgresql://", {"PGHOST": "/run/pg"}, "/run/pg:5432", None),
        ("postgresql://you@", {"PGUSER": "me"}, "local socket:5432", "you"),
        ("postgresql://here", {"PGHOST": "there", "PGPORT": "6000"}, "here:6000", None),
        ("postgresql://here:1/shop", {"PGHOST": "there", "PGPORT": "6000", "PGDATABASE": "x"}, "here:1", "shop"),
        ("postgresql://?host=/run/pg", {}, "/run/pg:5432", None),
        ("postgresql://here", {"PGPORT": "none"}, "here:5432", None),
        ("postgresql://?service=shop", {"PGHOST": "there"}, "service shop", "that the service names"),
    ],
)
def test_missing_parameters_are_shown_as_libpq_fills_them_in(
    url: str, variables: dict[str, str], server: str, database: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    target = Target.from_url(url)
    assert target.server == server
    assert database is None or target.database == database


def test_a_line_break_around_the_url_does_not_count() -> None:
    assert Target.from_url(" postgresql://localhost/shop\n").dbname == "shop"


@pytest.mark.parametrize("driver", [None, "psycopg", "asyncpg"])
def test_a_password_with_special_characters_survives_the_way_there_and_back(driver: str | None) -> None:
    target = Target.from_url(f"postgresql://us%40er:{quote(NASTY, safe='')}@localhost/my%20db")
    assert (target.user, target.password, target.dbname) == ("us@er", NASTY, "my db")
    assert conninfo_to_dict(target.conninfo())["password"] == NASTY
    assert Target.from_url(target.url(driver)).parameters == target.parameters
    assert make_url(target.url(driver)).password == NASTY


def test_libpq_reads_the_url_as_we_wrote_it() -> None:
    target = Target.from_url(f"postgresql://us%40er:{quote(NASTY, safe='')}@a,b:5433/shop?sslmode=require")
    assert conninfo_to_dict(target.url()) == target.parameters


def test_unambiguous_raw_characters_are_part_of_the_password() -> None:
    target = Target.from_url("postgresql://app:p@s:s#1@localhost/shop")
    assert (target.user, target.password, target.host) == ("app", "p@s:s#1", "localhost")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:SECRET/x@localhost/shop",
        "postgresql://app:12/SECRET@localhost/shop",
        "postgresql://app:12?SECRET@localhost/shop",
        "postgresql://app:p@SECRET/x@localhost/shop",
        "postgresql://app:SECRET%zz@localhost/shop",
        "postgresql://app:SECRET%@localhost/shop",
        "postgresql://app:SECRET%ff@localhost/shop",
        "postgresql://app:SECRET%00@localhost/shop",
        "postgresql://app:SECRET",
        "postgresql://app:SECRET@localhost:x/shop",
        "postgresql://app:SECRET@localhost:99999/shop",
        "postgresql://app:SECRET@[::1/shop",
        "postgresql://app:SECRET@::1/shop",
        "postgresql://app:SECRET@localhost/shop?sslmod=require",
        "postgresql://app:SECRET@localhost/shop?sslmode=bogus",
        "postgresql://app:SECRET@localhost/shop?ssl=bogus",
        "postgresql://app:SECRET@localhost/shop?ssl=require&sslmode=disable",
        "postgresql://app:SECRET@localhost/shop?connect_timeout=soon",
        "postgresql://app:SECRET@localhost/shop?user=a&user=b",
        "postgresql://app:SECRET@localhost/shop?SECRET",
        "postgresql://app:SECRET@a:1,b:2/shop?hostaddr=10.0.0.1",
        "mysql://app:SECRET@localhost/shop",
        "app:SECRET@localhost/shop",
        "host=localhost password=SECRET",
        "",
    ],
)
def test_a_broken_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w+") as caught:
        Target.from_url(url)
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "SECRET" not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_misspelt_parameter_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="'sslmod'; did you mean 'sslmode'"):
        Target.from_url("postgresql://localhost/shop?sslmod=require")


def test_no_repr_shows_the_password() -> None:
    target = Target.from_url("postgresql://app:SECRET@localhost/shop?sslpassword=SECRET2")
    assert repr(target) == "Target('localhost:5432/shop')"
    assert target.secrets == ("SECRET", "SECRET2")


@pytest.mark.parametrize(
    ("given", "mode"),
    [("require", "require"), ("true", "require"), ("verify-full", "verify-full"), ("false", "disable"), ("", None)],
)
def test_ssl_of_asyncpg_is_sslmode(given: str, mode: str | None) -> None:
    target = Target.from_url(f"postgresql+asyncpg://localhost/shop?ssl={given}")
    assert target.parameters.get("sslmode") == mode


def test_parameters_of_a_driver_are_set_aside_and_given_back_to_it_alone() -> None:
    target = Target.from_url("postgresql+asyncpg://db/shop?ssl=require&prepared_statement_cache_size=0&pgbouncer=true")
    assert target.parameters == {"host": "db", "dbname": "shop", "sslmode": "require"}
    assert target.url() == "postgresql://db/shop?sslmode=require"
    assert target.url("psycopg") == "postgresql+psycopg://db/shop?sslmode=require"
    asyncpg = "postgresql+asyncpg://db/shop?ssl=require&prepared_statement_cache_size=0&pgbouncer=true"
    assert target.url("asyncpg") == asyncpg
    assert target.url("asyncpg", pooled=True) == asyncpg


def test_behind_a_pooler_asyncpg_and_no_other_driver_is_told_to_keep_no_prepared_statements() -> None:
    target = Target.from_url("postgresql://db/shop")
    assert target.url("asyncpg", pooled=True) == "postgresql+asyncpg://db/shop?prepared_statement_cache_size=0"
    assert target.url("psycopg", pooled=True) == "postgresql+psycopg://db/shop"
    assert target.url(pooled=True) == "postgresql://db/shop"


def test_a_driver_without_libpq_does_not_get_its_keywords() -> None:
    target = Target.from_url("postgresql://db/shop?keepalives=1&sslmode=require&application_name=x")
    assert target.url("asyncpg") == "postgresql+asyncpg://db/shop?ssl=require"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a:1,b:2/shop",
        "postgresql:///shop?host=a,b&port=1,2",
        "postgresql+psycopg:///shop?host=a:1&host=b:2",
    ],
)
def test_several_hosts_can_be_written_in_three_ways(url: str) -> None:
    target = Target.from_url(url)
    assert [(host.name, host.port) for host in target.hosts] == [("a", 1), ("b", 2)]
    assert target.where == "a:1,b:2/shop"
    assert Target.from_url(target.url("psycopg")).hosts == target.hosts
    assert make_url(target.url("psycopg")).query == {"host": "a,b", "port": "1,2"}


def test_one_port_holds_for_all_hosts() -> None:
    target = Target.from_parameters({"host": "a,b", "port": 6000})
    assert [host.port for host in target.hosts] == [6000, 6000]


def test_an_ipv6_address_stands_in_brackets() -> None:
    target = Target.from_url("postgresql://app:x@[::1]:5433/shop")
    assert (target.host, target.port, target.where) == ("::1", 5433, "[::1]:5433/shop")
    assert target.url() == "postgresql://app:x@[::1]:5433/shop"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop?host=/run/pg&port=5433",
        "postgresql://%2Frun%2Fpg:5433/shop",
        "postgresql://:5433/shop?host=/run/pg",
    ],
)
def test_a_socket_folder_can_be_the_host(url: str) -> None:
    target = Target.from_url(url)
    assert (target.host, target.port, target.where) == ("/run/pg", 5433, "/run/pg:5433/shop")
    assert target.hosts[0].is_socket
    assert Target.from_url(target.url()).parameters == target.parameters


@pytest.mark.parametrize(
    ("parameters", "loopback"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "127.3.2.1"}, True),
        ({"host": "::1"}, True),
        ({"host": "/run/pg"}, True),
        ({"host": "db.example", "hostaddr": "127.0.0.1"}, True),
        ({"host": "localhost", "hostaddr": "10.0.0.1"}, False),
        ({"host": "localhost,db.example"}, False),
        ({"host": "10.0.0.1"}, False),
        ({"host": "localhost.example"}, False),
        ({"service": "production"}, False),
    ],
)
def test_loopback_is_only_this_machine(parameters: dict[str, str], loopback: bool) -> None:
    assert Target.from_parameters(parameters).is_loopback is loopback


def test_separate_settings_need_no_encoding_and_empty_ones_count_as_absent() -> None:
    settings = {"host": "db", "port": 5433, "password": NASTY, "user": None, "sslmode": "", "keepalives": True}
    target = Target.from_parameters(settings)
    assert target.parameters == {"host": "db", "port": "5433", "password": NASTY, "keepalives": "1"}


def test_client_programs_get_everything_through_their_environment() -> None:
    target = Target.from_url("postgresql://app:x@db:5433/shop?sslmode=require&keepalives=1")
    assert target.client_environment() == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGUSER": "app",
        "PGPASSWORD": "x",
        "PGDATABASE": "shop",
        "PGSSLMODE": "require",
    }


def test_another_database_on_the_same_server_is_one_call_away() -> None:
    target = Target.from_url("postgresql://app:x@db/shop")
    assert target.with_database("postgres").where == "db:5432/postgres"
    assert target.dbname == "shop"


def test_extra_settings_win_and_an_absent_value_removes_one() -> None:
    target = Target.from_url("postgresql://app:x@db/shop")
    assert conninfo_to_dict(target.conninfo(dbname="other", password=None)) == {
        "host": "db",
        "user": "app",
        "dbname": "other",
    }
