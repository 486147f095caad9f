"""Runs through PgBouncer, in every mode of it."""

from __future__ import annotations

import pytest

from tests.faults.crowds import crowd, crowd_faults
from tests.faults.pgbouncer import PgBouncer
from tests.faults.scenarios import in_time, pooler_restarts
from tests.faults.trials import Site
from tests.servers import Server, free_port


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_runs_through_a_pooler_do_the_work_once(site: Site, mode: str) -> None:
    trial = site.trial("full")
    with PgBouncer(site.server, mode) as pooler:
        seen = crowd(trial, [pooler.url(trial.url)] * 6, site.server.url())
    assert crowd_faults(trial, seen) == [], seen
    assert trial.verdict() == []


def test_direct_and_pooled_runs_exclude_each_other(site: Site) -> None:
    trial = site.trial("full")
    with PgBouncer(site.server, "transaction") as pooler:
        seen = crowd(trial, [pooler.url(trial.url), trial.url] * 5, site.server.url())
    assert crowd_faults(trial, seen) == [], seen
    assert trial.verdict() == []


def test_statement_pooling_is_refused_and_says_why(site: Site) -> None:
    trial = site.trial("quick")
    with PgBouncer(site.server, "statement") as pooler:
        replica = trial.run(url=pooler.url(trial.url), timeout_seconds=10)
    assert replica.exit_code == 6, replica.error
    assert "statement" in replica.error
    assert trial.verdict() == []


@pytest.mark.parametrize("after_seconds", [0.1, 0.5, 0.9])
def test_a_pooler_that_restarts_in_the_middle_leaves_nothing_half(site: Site, after_seconds: float) -> None:
    trial = site.trial("full")
    with PgBouncer(site.server, "transaction") as pooler:
        assert pooler_restarts(trial, pooler, 3, after_seconds) == []


def test_the_deadline_holds_behind_a_pooler_whose_server_is_down(site: Site) -> None:
    trial = site.trial("quick", timeout="3s")
    absent = Server(site.server.bin, site.server.data, free_port(), site.server.user, site.server.password)
    with PgBouncer(absent, "transaction") as pooler:
        replica = trial.start(url=pooler.url(absent.url(trial.name)), timeout_seconds=3)
        assert in_time(replica, 3) == []
    assert replica.exit_code == 5, replica.error
