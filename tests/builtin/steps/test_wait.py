import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bootstrapper.builtin.steps.wait import Wait, WaitOptions
from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError, UnreachableError
from bootstrapper.events import AttemptFailed, Event, GateOpened
from bootstrapper.masking import Masker
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection import libpq_errors, sqlstates
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from tests import peers
from tests.postgres.connection import tls_peer
from tests.servers import Server, free_port
from tests.waiting import at_most, eventually

QUICK = {"interval": "10ms", "max_interval": "50ms"}


class Waiting:
    """One opening of the gate, and what came of it."""

    def __init__(self, target: Target, deadline: Deadline | None = None) -> None:
        self.events: list[Event] = []
        self.pauses: list[float] = []
        deadline = deadline or Deadline.never()
        self.session = Session(target, application_name="waiting", deadline=deadline)
        self.context = RunContext(
            project=cast("Any", None),
            step="wait",
            session=self.session,
            emit=self.events.append,
            deadline=deadline,
            logger=logging.getLogger("test"),
            masker=Masker(),
        )

    def open(self, options: dict[str, Any], on_pause: Callable[[], object] = lambda: None) -> None:
        def sleep(seconds: float) -> None:
            self.pauses.append(seconds)
            on_pause()
            time.sleep(seconds)

        try:
            Wait("wait", WaitOptions(**options), sleep=sleep).open(Context(self.context))
        finally:
            self.was_open = self.session.is_open
            self.session.close()

    @property
    def failures(self) -> list[AttemptFailed]:
        return [event for event in self.events if isinstance(event, AttemptFailed)]


def target_of(server: Server, database: str = "postgres") -> Target:
    return Target.from_url(server.url(database))


def nothing() -> Target:
    return Target.from_url(f"postgresql://app:SECRET@127.0.0.1:{free_port()}/shop")


def test_a_server_that_is_there_costs_one_login_which_is_kept(server: Server, database: str) -> None:
    server.execute("ALTER SYSTEM SET log_connections = on")
    server.execute("SELECT pg_reload_conf()")
    assert eventually(lambda: server.execute("SHOW log_connections") != [("",)])
    before = peers.log(server).count("connection received")
    waiting = Waiting(Target.from_url(database))
    waiting.open({})
    server.execute("ALTER SYSTEM RESET log_connections")
    (opened,) = waiting.events
    assert isinstance(opened, GateOpened)
    assert (opened.step, opened.detail.split()[0], waiting.was_open, waiting.pauses) == ("wait", "PostgreSQL", True, [])
    # The second is the one that put the setting back.
    assert peers.log(server).count("connection received") - before == 2
    server.execute("SELECT pg_reload_conf()")


def test_permanent_trouble_stops_it_at_the_first_try(server: Server) -> None:
    waiting = Waiting(target_of(server).replacing(password="wrong"))
    with pytest.raises(RefusedError) as caught:
        waiting.open({})
    assert caught.value.sqlstate == "28P01"
    assert (waiting.events, waiting.pauses) == ([], [])


def test_it_waits_until_the_deadline_and_says_how_often_it_tried() -> None:
    waiting = Waiting(nothing())
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"after \d+ attempts in \d s: connection refused") as caught:
        waiting.open({"timeout": "500ms", **QUICK})
    assert 0.3 < time.monotonic() - started < at_most(2)
    assert caught.value.attempts == len(waiting.failures) + 1
    assert [failure.attempt for failure in waiting.failures] == list(range(1, caught.value.attempts))
    assert [failure.next_try_seconds for failure in waiting.failures] == waiting.pauses
    assert "SECRET" not in str(caught.value) + repr(waiting.events)


def test_pauses_grow_to_a_limit_and_differ() -> None:
    waiting = Waiting(nothing())
    with pytest.raises(UnreachableError):
        waiting.open({"timeout": "700ms", **QUICK})
    assert waiting.pauses[0] <= 0.01
    assert 0.01 < max(waiting.pauses) <= 0.05
    assert len(set(waiting.pauses)) == len(waiting.pauses)


def test_the_deadline_of_the_run_counts_where_it_comes_first() -> None:
    waiting = Waiting(nothing(), Deadline.after(0.3))
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        waiting.open({"timeout": "20s", **QUICK})
    assert time.monotonic() - started < at_most(2)


def test_without_any_time_it_still_tries_once() -> None:
    waiting = Waiting(nothing())
    with pytest.raises(UnreachableError, match=r"connection refused|no answer") as caught:
        waiting.open({"timeout": "1ms"})
    assert (caught.value.attempts, waiting.pauses) == (1, [])


def test_a_port_that_never_answers_does_not_hold_it_past_the_deadline() -> None:
    started = time.monotonic()
    with peers.silent() as port, pytest.raises(UnreachableError, match="no answer within"):
        Waiting(Target.from_url(f"postgresql://app@127.0.0.1:{port}/shop")).open({"timeout": "500ms", **QUICK})
    assert time.monotonic() - started < at_most(2)


def test_a_try_that_the_deadline_cuts_off_does_not_hide_what_the_one_before_it_met() -> None:
    refusal = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse_once() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(1024)
                caller.sendall(b"E" + (len(refusal) + 4).to_bytes(4, "big") + refusal)

        threading.Thread(target=refuse_once, daemon=True).start()
        url = f"postgresql://app@127.0.0.1:{listener.getsockname()[1]}/shop?sslmode=disable&gssencmode=disable"
        with pytest.raises(UnreachableError) as caught:
            Waiting(Target.from_url(url)).open({"timeout": f"{at_most(0.5)}s", **QUICK})
    assert (caught.value.sqlstate, caught.value.attempts) == ("57P03", 2)


def test_a_server_that_starts_meanwhile_is_found() -> None:
    with peers.standby(hot_standby="off") as (server, promote):
        waiting = Waiting(target_of(server))
        waiting.open({"timeout": "30s", **QUICK}, on_pause=promote)
    assert isinstance(waiting.events[-1], GateOpened)
    assert waiting.failures


def test_only_the_first_try_logs_in_while_the_server_is_starting() -> None:
    with tls_peer.refusing("57P03", "57P03") as peer:
        target = Target.from_url(f"postgresql://app:x@127.0.0.1:{peer.port}/shop?sslmode=disable")
        with pytest.raises(UnreachableError) as caught:
            Waiting(target).open({"timeout": "400ms", **QUICK})
    assert caught.value.sqlstate == "57P03"
    # Only a login gives the name of the application.
    assert [b"waiting" in said for said in peer.said] == [True] + [False] * (caught.value.attempts - 1)
    assert caught.value.attempts > 1


def test_a_standby_is_waited_for_where_writes_are_wanted_and_good_enough_where_not() -> None:
    with peers.standby() as (server, promote):
        for wanted in ("any", "read-only"):
            reading = Waiting(target_of(server))
            reading.open({"timeout": "30s", "for": wanted, **QUICK})
            assert reading.events[-1].detail.endswith("a standby")  # type: ignore[attr-defined]
        in_vain = Waiting(target_of(server))
        with pytest.raises(UnreachableError, match="is a standby and accepts no writes") as caught:
            in_vain.open({"timeout": f"{at_most(0.4)}s", **QUICK})
        assert caught.value.sqlstate == "25006"
        assert not in_vain.was_open
        writing = Waiting(target_of(server))
        writing.open({"timeout": "30s", **QUICK}, on_pause=promote)
    assert {failure.reason for failure in writing.failures} >= {"the server is a standby and accepts no writes"}
    assert isinstance(writing.events[-1], GateOpened)


def test_a_database_that_is_read_only_by_default_takes_no_writes(server: Server, database: str) -> None:
    target = Target.from_url(database)
    server.execute(f'ALTER DATABASE "{target.dbname}" SET default_transaction_read_only = on')
    with pytest.raises(UnreachableError, match="default_transaction_read_only is on"):
        Waiting(target).open({"timeout": f"{at_most(0.4)}s", **QUICK})
    Waiting(target).open({"for": "read-only"})


def test_a_server_that_takes_writes_is_not_read_only(database: str) -> None:
    with pytest.raises(UnreachableError, match="a read-only server is required"):
        Waiting(Target.from_url(database)).open({"timeout": f"{at_most(0.4)}s", "for": "read-only", **QUICK})


def test_a_database_that_accepts_connections_again_is_found(server: Server, database: str) -> None:
    target = Target.from_url(database)
    server.execute(f'ALTER DATABASE "{target.dbname}" ALLOW_CONNECTIONS false')
    waiting = Waiting(target)

    def allow() -> None:
        server.execute(f'ALTER DATABASE "{target.dbname}" ALLOW_CONNECTIONS true')

    waiting.open({"timeout": "30s", **QUICK}, on_pause=allow)
    assert isinstance(waiting.events[-1], GateOpened)


def test_what_deserves_a_short_wait_ends_long_before_the_timeout(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target.from_url(database)
    server.execute(f'ALTER DATABASE "{target.dbname}" ALLOW_CONNECTIONS false')
    verdict = sqlstates.Verdict("the database accepts no connections", transient=True, patience_seconds=0.2)
    monkeypatch.setitem(sqlstates._BY_CODE, "55000", verdict)
    started = time.monotonic()
    with pytest.raises(RefusedError, match="accepts no connections") as caught:
        Waiting(target).open({"timeout": "20s", **QUICK})
    assert caught.value.sqlstate == "55000"
    assert time.monotonic() - started < at_most(5)
    server.execute(f'ALTER DATABASE "{target.dbname}" ALLOW_CONNECTIONS true')


def test_a_host_without_address_ends_it_early_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpq_errors, "SHORT_PATIENCE_SECONDS", 0.2)
    waiting = Waiting(Target.from_parameters({"host": "a" * 70, "user": "app"}))
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="could not resolve host"):
        waiting.open({"timeout": "20s", **QUICK})
    assert time.monotonic() - started < at_most(5)
    assert waiting.failures


def test_waiting_can_be_interrupted() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Waiting(nothing()).open({"timeout": "1h"}, on_pause=interrupt)


@pytest.mark.parametrize("options", [{"timeout": "soon"}, {"for": "writing"}, {"tiemout": "5s"}, {"interval": "0s"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WaitOptions.model_validate(options)


def test_all_options_can_be_left_out() -> None:
    options = WaitOptions()
    assert (options.timeout, options.access) == (60, "read-write")
