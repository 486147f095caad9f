"""What is said of servers that tests do not have: clocks that differ, TLS of each kind, reserved connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.doctor import server as judged
from bootstrapper.doctor import server_facts
from bootstrapper.doctor.result import Verdict
from bootstrapper.doctor.server_facts import Room, ServerFacts
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.target import Target
from tests.servers import Server
from tests.waiting import at_most

FACTS = ServerFacts(
    "app", "shop", "owner", False, False, (Room(10, 1, "the server"),), 0, 0.0, 0.0, False, False, "prefer"
)
FAR = Target.from_url("postgresql://app@db.example.com/shop")
NEAR = Target.from_url("postgresql://app@127.0.0.1/shop")


@pytest.mark.parametrize(
    ("target", "tls", "sslmode", "verdict", "said"),
    [
        (FAR, False, "prefer", Verdict.WARNING, "none on the way to the server"),
        (FAR, True, "require", Verdict.WARNING, "does not verify the server: its certificate"),
        (FAR, True, "verify-ca", Verdict.WARNING, "does not verify the server: its name"),
        (FAR, True, "verify-full", Verdict.OK, "TLS, sslmode=verify-full"),
        (NEAR, False, "prefer", Verdict.OK, "on this machine"),
        (NEAR, True, "prefer", Verdict.OK, "TLS, sslmode=prefer"),
    ],
)
def test_encryption_counts_for_an_address_of_another_machine(
    target: Target, tls: bool, sslmode: str, verdict: Verdict, said: str
) -> None:
    found = judged.encryption(target, replace(FACTS, tls=tls, sslmode=sslmode), pooled=False)
    assert (found.verdict, said in found.message) == (verdict, True), found


def test_gssapi_encrypts_too_unless_a_pooler_has_that_connection() -> None:
    facts = replace(FACTS, gss=True)
    assert judged.encryption(FAR, facts, pooled=False).verdict is Verdict.OK
    assert judged.encryption(FAR, facts, pooled=True).verdict is Verdict.WARNING


@pytest.mark.parametrize(("ahead", "said"), [(90.0, "1 min 30 s ahead of"), (-90.0, "1 min 30 s behind")])
def test_a_clock_that_differs_is_a_warning(ahead: float, said: str) -> None:
    found = judged.clock(replace(FACTS, clock_ahead=ahead))
    assert (found.verdict, said in found.message) == (Verdict.WARNING, True), found


def test_a_clock_that_may_be_right_within_the_time_of_the_answer_is_fine() -> None:
    assert judged.clock(replace(FACTS, clock_ahead=7.0, clock_error=3.0)).verdict is Verdict.OK


def test_the_tightest_limit_of_connections_counts() -> None:
    found = judged.connections(replace(FACTS, rooms=(Room(100, 3, "the server"), Room(5, 4, "the database"))))
    assert (found.verdict, found.message) == (
        Verdict.WARNING,
        "2 of 5 left by the limit of the database; a run may need 3",
    )


def test_facts_are_those_of_the_server(server: Server) -> None:
    target = Target.from_url(server.url())
    with connect(target, deadline=Deadline.after(at_most(30)), application_name="tests") as connection:
        found = server_facts.read(connection)
    assert (found.role, found.database, found.owner) == (server.user, "postgres", "postgres")
    assert (found.is_superuser, found.tls, found.gss, found.sslmode) == (True, False, False, "prefer")
    assert abs(found.clock_ahead) <= 1 + found.clock_error
    assert found.database_size > 1 << 20
    [room] = found.rooms
    assert room.limit == 60
    assert 0 < room.left <= 60
