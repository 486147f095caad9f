import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from bootstrapper.deadline import Deadline, Stop, Stopped
from bootstrapper.errors import RefusedError, UnreachableError
from bootstrapper.postgres.connection import connect as connecting
from bootstrapper.postgres.connection import session as sessions
from bootstrapper.postgres.connection.connect import connect, ping
from bootstrapper.postgres.connection.cutoff import cut_off
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from tests import peers
from tests.postgres.connection import tls_peer
from tests.servers import Server, free_port, path_bin, running_server, wheel_bin
from tests.waiting import at_most, eventually

NASTY = "p@ss:w/o%r d?#&='\"\\"


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """A server with few connections that logs each one, and with people and databases to be turned away."""
    settings = {"max_connections": "6", "superuser_reserved_connections": "3", "max_wal_senders": "0"}
    with running_server(path_bin() or wheel_bin(), **settings, log_connections="on") as server:
        for statement in (
            "CREATE ROLE app LOGIN PASSWORD 'right'",
            "CREATE ROLE nologin PASSWORD 'right'",
            "CREATE ROLE barred LOGIN PASSWORD 'right'",
            "CREATE ROLE trusted LOGIN",
            f"CREATE ROLE nasty LOGIN PASSWORD '{NASTY.replace(chr(39), chr(39) * 2)}'",
            "CREATE DATABASE locked ALLOW_CONNECTIONS false",
            "CREATE DATABASE private",
            "REVOKE CONNECT ON DATABASE private FROM PUBLIC",
        ):
            server.execute(statement)
        rules = server.data / "pg_hba.conf"
        extra = "host all barred all reject\nhost all trusted all trust\nhost postgres clear all password\n"
        rules.write_text(extra + rules.read_text())
        server.execute("SELECT pg_reload_conf()")
        assert eventually(lambda: "reloading configuration files" in peers.log(server))
        yield server


def at(server: Server, user: str = "app", password: str | None = "right", database: str = "postgres") -> Target:
    settings = {"host": "127.0.0.1", "port": server.port, "user": user, "password": password, "dbname": database}
    return Target.from_parameters(settings)


def enter(target: Target, seconds: float = 5.0) -> psycopg.Connection[tuple[object, ...]]:
    return connect(target, deadline=Deadline.after(seconds), application_name="test")


def test_psycopg_itself_hides_the_code_of_a_failed_connect(small: Server) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(at(small, password="wrong").conninfo())
    assert caught.value.sqlstate is None


def test_a_connection_commits_by_itself_and_prepares_nothing(small: Server) -> None:
    with enter(at(small)) as connection:
        assert connection.autocommit
        assert connection.prepare_threshold is None
        assert connection.execute("SELECT current_setting('application_name')").fetchone() == ("test",)
        assert connection.info.parameter_status("client_encoding") == "UTF8"
        parameters = connection.info.get_parameters()
    assert parameters["keepalives_idle"] == "5"
    assert "options" not in parameters


def test_settings_of_the_target_win_over_our_own(small: Server) -> None:
    target = at(small).replacing(application_name="theirs", keepalives_idle="60")
    with enter(target) as connection:
        assert connection.execute("SELECT current_setting('application_name')").fetchone() == ("theirs",)
        assert connection.info.get_parameters()["keepalives_idle"] == "60"


@pytest.mark.parametrize(
    ("user", "database", "sqlstate"),
    [
        ("nobody", "postgres", "28P01"),
        ("nologin", "postgres", "28000"),
        ("barred", "postgres", "28000"),
        ("app", "nowhere", "3D000"),
        ("app", "private", "42501"),
    ],
)
def test_errors_that_are_not_retryable_are_refused_with_their_code(
    small: Server, user: str, database: str, sqlstate: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        enter(at(small, user, database=database))
    assert caught.value.sqlstate == sqlstate
    assert caught.value.hint


def test_a_wrong_password_costs_one_login(small: Server) -> None:
    small.execute("CREATE ROLE victim LOGIN PASSWORD 'right'")
    with pytest.raises(RefusedError) as caught:
        enter(at(small, "victim", "SECRET"))
    assert caught.value.sqlstate == "28P01"
    assert "SECRET" not in str(caught.value)
    failed = 'password authentication failed for user "victim"'
    assert eventually(lambda: failed in peers.log(small))
    assert peers.log(small).count(failed) == 1


def test_a_database_that_accepts_no_connections_is_retryable_briefly(small: Server) -> None:
    with pytest.raises(UnreachableError) as caught:
        enter(at(small, database="locked"))
    assert caught.value.sqlstate == "55000"
    assert caught.value.patience_seconds == 10


def test_too_many_connections_are_retryable(small: Server) -> None:
    taken = []

    def fill() -> None:
        for _ in range(7):
            taken.append(enter(at(small)))

    with pytest.raises(UnreachableError) as caught:
        fill()
    for connection in taken:
        connection.close()
    assert taken
    assert caught.value.sqlstate == "53300"
    assert caught.value.patience_seconds == math.inf
    # The next tests find room again only once the server has seen all of them go.
    left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
    assert eventually(lambda: small.execute(left) == [(0,)])


def test_a_missing_password_is_refused_without_waiting(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(RefusedError, match="requires a password, and none was given"):
        enter(at(small, password=None).replacing(passfile="/dev/null/none"))


def test_required_tls_that_the_server_does_not_offer_is_refused(server: Server) -> None:
    target = Target.from_url(server.url()).replacing(sslmode="require")
    with pytest.raises(RefusedError, match="does not offer TLS"):
        enter(target)


def test_a_wrong_setting_is_refused(small: Server) -> None:
    with pytest.raises(RefusedError, match="a connection setting is wrong: invalid channel_binding value"):
        enter(at(small).replacing(channel_binding="bogus"))


@pytest.mark.parametrize("raw", [False, True])
def test_a_password_full_of_special_characters_gets_in(small: Server, raw: bool) -> None:
    target = at(small, "nasty", NASTY)
    given = target if raw else Target.from_url(target.url())
    with enter(given) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("nasty",)


def test_a_unix_socket_works_like_a_port(small: Server) -> None:
    with enter(at(small).replacing(host=str(small.data.parent))) as connection:
        assert connection.execute("SELECT inet_server_addr()").fetchone() == (None,)


def test_a_host_name_is_resolved_and_kept_for_tls(small: Server) -> None:
    with enter(at(small).replacing(host="localhost")) as connection:
        assert connection.info.host == "localhost"
        assert connection.info.hostaddr == "127.0.0.1"


def test_the_default_host_of_libpq_holds(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "localhost")
    with enter(at(small).replacing(host=None)) as connection:
        assert connection.info.hostaddr == "127.0.0.1"


def test_the_next_host_is_tried_if_one_does_not_answer(small: Server) -> None:
    with peers.silent() as silent:
        target = at(small).replacing(host="127.0.0.1,127.0.0.1,127.0.0.1", port=f"{free_port()},{silent},{small.port}")
        with enter(target, seconds=1.5) as connection:
            assert connection.info.port == small.port


def test_the_time_for_each_host_can_be_given(small: Server) -> None:
    with peers.silent() as silent:
        target = at(small).replacing(host="127.0.0.1,127.0.0.1", port=f"{silent},{small.port}", connect_timeout="1")
        started = time.monotonic()
        with enter(target, seconds=60) as connection:
            assert connection.info.port == small.port
    assert time.monotonic() - started < at_most(5)


def test_a_refused_login_is_not_repeated_at_the_next_host(small: Server) -> None:
    with tls_peer.refusing("3D000", "3D000") as other:
        target = at(small, password="wrong").replacing(host="127.0.0.1,127.0.0.1", port=f"{small.port},{other.port}")
        with pytest.raises(RefusedError) as caught:
            enter(target)
    assert caught.value.sqlstate == "28P01"
    assert other.logins == []


def test_a_port_without_a_listener_is_retryable() -> None:
    target = Target.from_url(f"postgresql://app:SECRET@127.0.0.1:{free_port()}/shop")
    with pytest.raises(UnreachableError, match="connection refused") as caught:
        enter(target)
    assert caught.value.sqlstate is None
    assert caught.value.where == target.where
    assert "SECRET" not in str(caught.value)


def test_a_missing_socket_is_retryable() -> None:
    with pytest.raises(UnreachableError, match="the socket does not exist"):
        enter(Target.from_parameters({"host": "/nowhere", "user": "app"}))


def test_silence_ends_at_the_deadline() -> None:
    with peers.silent() as port:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"no answer within 0\.3 s"):
            enter(Target.from_url(f"postgresql://app@127.0.0.1:{port}/shop"), seconds=0.3)
    assert time.monotonic() - started < at_most(2)


def test_a_name_server_that_does_not_answer_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    answered = threading.Event()

    def ask(*arguments: object, **options: object) -> list[object]:
        asked.set()
        answered.wait(at_most(30))
        return []

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    started = time.monotonic()
    try:
        with pytest.raises(UnreachableError, match=r"could not resolve host 'db\.example' in time") as caught:
            enter(Target.from_url("postgresql://app@db.example/shop"), seconds=0.3)
    finally:
        answered.set()
    assert asked.is_set()
    assert caught.value.patience_seconds == 10
    assert time.monotonic() - started < at_most(2)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70])
def test_a_name_without_address_is_retryable_briefly(host: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        enter(Target.from_parameters({"host": host, "user": "app"}))
    assert caught.value.patience_seconds == 10


def test_a_connection_that_is_closed_at_once_is_retryable() -> None:
    with peers.answering(b"") as port, pytest.raises(UnreachableError, match="the server closed the connection"):
        enter(Target.from_url(f"postgresql://app@127.0.0.1:{port}/shop"))


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"J\0\0\0\n8.0.36\0"]
)
@pytest.mark.parametrize("sslmode", ["prefer", "disable"])
def test_a_peer_other_than_postgresql_is_refused(answer: bytes, sslmode: str) -> None:
    with peers.answering(answer) as port, pytest.raises(RefusedError, match="not a PostgreSQL server"):
        enter(Target.from_url(f"postgresql://app@127.0.0.1:{port}/shop?sslmode={sslmode}"))


def test_a_server_that_is_starting_is_retryable() -> None:
    with peers.standby(hot_standby="off") as (server, _):
        assert eventually(lambda: _code(server) == "57P03")


def _code(server: Server) -> str | None:
    with pytest.raises(UnreachableError) as caught:
        enter(at(server, server.user, server.password))
    return caught.value.sqlstate


def test_a_wrong_password_inside_tls_is_not_tried_again_without_it() -> None:
    with tls_peer.refusing("28P01", "28P01") as peer, pytest.raises(RefusedError) as caught:
        enter(Target.from_url(f"postgresql://app:x@127.0.0.1:{peer.port}/shop"))
    assert caught.value.sqlstate == "28P01"
    assert peer.logins == [True]


def test_a_server_without_tls_is_tried_without_it_and_the_first_error_counts() -> None:
    with tls_peer.refusing("28000", "3D000") as peer, pytest.raises(RefusedError) as caught:
        enter(Target.from_url(f"postgresql://app:x@127.0.0.1:{peer.port}/shop"))
    assert caught.value.sqlstate == "28000"
    assert peer.logins == [True, False]


def test_an_untrusted_certificate_is_refused() -> None:
    with tls_peer.refusing("28P01", "28P01") as peer, pytest.raises(RefusedError, match="TLS failed"):
        enter(Target.from_url(f"postgresql://app:x@127.0.0.1:{peer.port}/shop?sslmode=verify-full&sslrootcert=system"))
    assert peer.logins == []


def test_without_the_trace_english_text_is_judged(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(RefusedError, match="wrong user name or password") as caught:
        enter(at(small, password="wrong"))
    assert caught.value.sqlstate is None


def test_no_descriptor_is_left_open_by_tries_that_fail(small: Server) -> None:
    def failing() -> int:
        with pytest.raises(RefusedError):
            enter(at(small, database="nowhere"))
        return len(list(Path("/proc/self/fd").iterdir()))

    assert failing() == failing()


def test_a_ping_needs_no_password_and_fails_no_login(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    small.execute("CREATE ROLE pinged LOGIN PASSWORD 'right'")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    ping(at(small, "pinged"), deadline=Deadline.after(5))
    ping(at(small, "trusted"), deadline=Deadline.after(5))
    assert eventually(lambda: "connection authorized: user=trusted" in peers.log(small))
    assert 'failed for user "pinged"' not in peers.log(small)
    assert "connection authorized: user=pinged" not in peers.log(small)


@pytest.mark.parametrize("user", ["nobody", "barred"])
def test_a_server_that_refuses_still_answers_a_ping(small: Server, user: str) -> None:
    ping(at(small, user), deadline=Deadline.after(5))


def test_a_ping_without_a_server_fails() -> None:
    with pytest.raises(UnreachableError, match="connection refused"):
        ping(Target.from_url(f"postgresql://127.0.0.1:{free_port()}"), deadline=Deadline.after(5))


def test_a_statement_is_cut_off_at_the_deadline(small: Server) -> None:
    started = time.monotonic()
    connection = enter(at(small))
    with cut_off(connection, Deadline.after(0.2)), pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT pg_sleep(30)")
    assert connection.closed
    assert time.monotonic() - started < at_most(5)


@pytest.mark.parametrize("moment", ["the login", "the first question"])
def test_a_stop_during_the_start_of_a_session_leaves_no_connection_behind(
    small: Server, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    stop = Stop()

    def stop_after(work: Callable[..., object]) -> Callable[..., object]:
        def stopping(*arguments: object) -> object:
            result = work(*arguments)
            stop.set()
            return result

        return stopping

    if moment == "the login":
        monkeypatch.setattr(connecting, "_log_in", stop_after(connecting._log_in))
    else:
        monkeypatch.setattr(sessions, "introduce", stop_after(sessions.introduce))
    session = Session(at(small), application_name="stopped", deadline=Deadline.after(at_most(5), stop))
    with pytest.raises(Stopped):
        session.open()
    assert not session.is_open
    with enter(at(small)) as other:
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stopped'"
        assert eventually(lambda: other.execute(left).fetchone() == (0,))


@pytest.mark.parametrize("deadline", [lambda: Deadline.after(5), Deadline.never])
def test_a_statement_in_time_leaves_the_connection_alone(small: Server, deadline: Callable[[], Deadline]) -> None:
    with enter(at(small)) as connection:
        with cut_off(connection, deadline()):
            connection.execute("SELECT 1")
        assert connection.execute("SELECT 2").fetchone() == (2,)
        assert not select.select([connection.fileno()], [], [], 0)[0]
