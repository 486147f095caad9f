"""Many runs at once: one does the work, all succeed, and an application goes on connecting."""

from __future__ import annotations

import pytest

from tests.faults.crowds import crowd, crowd_behind_long_work, crowd_faults, waiters_during_concurrent_build
from tests.faults.outcome import snapshot
from tests.faults.pgbouncer import PgBouncer
from tests.faults.trials import Site

REPLICAS = 30
MOST_CONNECTIONS = 20


def _url(site: Site, name: str) -> str:
    return site.server.url(name).replace("postgres:correct%20horse", "deployer:deploys")


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_crowd_on_one_database_succeeds_and_refuses_no_application(site: Site, is_empty: bool) -> None:
    trial = site.trial("full", owner="deployer")
    if not is_empty:
        assert trial.run(url=_url(site, trial.name)).exit_code == 0
        trial.workload.add_late_revision()
    seen = crowd(trial, [_url(site, trial.name)] * REPLICAS, _url(site, "postgres"))
    assert crowd_faults(trial, seen) == [], seen
    assert seen.peak <= MOST_CONNECTIONS, seen
    expected = snapshot(trial.url) if not is_empty else site.expected("full")
    assert trial.verdict(expected=expected, url=_url(site, trial.name)) == []
    journal = sorted(row[0] for row in trial.rows("SELECT text FROM journal"))
    assert journal == ["appended", *([] if is_empty else ["late"]), "migrated"]


def test_work_that_outlasts_the_patience_of_all_who_queue_is_polled_by_a_few(site: Site) -> None:
    trial = site.trial("quick")
    with PgBouncer(site.server, "transaction", pool_size=60) as pooler:
        seen = crowd_behind_long_work(trial, [trial.url, pooler.url(trial.url)] * (REPLICAS // 2), 8.0)
    assert seen.peak <= MOST_CONNECTIONS, seen.peak
    assert trial.verdict() == []
    assert trial.rows("SELECT count(*) FROM bootstrapper.runs") == [(1,)], "those who did nothing leave no run behind"


def test_waiters_and_a_concurrent_index_build_do_not_block_each_other(site: Site) -> None:
    assert waiters_during_concurrent_build(site.trial("full"), 20) == []
