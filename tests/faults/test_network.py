"""Connections that end, swallow or lose answers: nothing is done twice, or told as done when it was not."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.errors import CommitUnknownError, UnreachableError
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.ledger.run_ids import uuid7
from bootstrapper.postgres.lock.acquire import RunDetails, try_take
from bootstrapper.postgres.lock.hold import Hold
from tests.faults import scenarios
from tests.faults.proxy import TO_CLIENT, TO_SERVER, Blackhole, Cut, LostCommit, Proxy
from tests.faults.trials import Site

TENTHS = [1, 3, 5, 7, 9]


@pytest.mark.parametrize("nth", range(1, 25, 2))
def test_a_lost_answer_to_commit_is_not_taken_for_either(site: Site, nth: int) -> None:
    assert nth <= site.traffic("full").commits
    assert scenarios.network_fault(site.trial("full"), LostCommit(nth)) == []


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("tenth", TENTHS)
def test_a_connection_cut_after_any_byte_leaves_nothing_half(site: Site, direction: str, tenth: int) -> None:
    after = site.traffic("full").bytes[direction] * tenth // 10
    assert scenarios.network_fault(site.trial("full"), Cut(direction, after)) == []


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("tenth", [0, 2, 5, 9])
@pytest.mark.parametrize("kind", ["full", "quick"])  # most bytes of a full run are those of pg_dump
def test_the_deadline_holds_when_the_network_swallows_everything(
    site: Site, kind: str, direction: str, tenth: int
) -> None:
    after = site.traffic(kind).bytes[direction] * tenth // 10
    assert scenarios.network_fault(site.trial(kind), Blackhole(direction, after), timeout_seconds=3) == []


def _in_transaction(hold: Hold) -> None:
    with hold.transaction():
        pass


def _beating(hold: Hold) -> None:
    with hold.beating("migrate"):
        pass


@pytest.mark.parametrize("verb", [lambda hold: hold.note_step("seed"), _in_transaction, _beating, Hold.release])
def test_nothing_that_a_hold_asks_outlasts_the_deadline_in_silence(site: Site, verb: Callable[[Hold], None]) -> None:
    with Proxy(site.server.port) as proxy:
        url = site.trial("quick").url.replace(f":{site.server.port}/", f":{proxy.port}/")
        session = Session(Target.from_url(url), application_name="test", deadline=Deadline.after(3))
        hold = try_take(session, LedgerNames(), RunDetails(uuid7(), "apply", None, "digest", "0"))
        assert isinstance(hold, Hold)
        proxy.fault = Blackhole(TO_SERVER, 0)

        def ask() -> None:
            with suppress(psycopg.Error, UnreachableError, CommitUnknownError):
                verb(hold)

        asking = threading.Thread(target=ask, daemon=True)  # one that hangs is left behind, not waited for
        asking.start()
        asking.join(3 + scenarios.GRACE_SECONDS)
        assert not asking.is_alive()
        assert not session.is_open


@pytest.mark.parametrize("seed", range(4))
def test_terminated_backends_leave_nothing_half(site: Site, seed: int) -> None:
    trial = site.trial("full")
    assert scenarios.terminate_at_random(trial, random.Random(seed), times=3, longest=0.4) == []
