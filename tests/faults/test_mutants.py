"""With a guard taken out the same scenarios find what goes wrong: the suite is able to fail."""

from __future__ import annotations

import pytest

from tests.faults.crowds import crowd, crowd_faults
from tests.faults.outcome import snapshot
from tests.faults.pgbouncer import PgBouncer
from tests.faults.scenarios import application_inserts_meanwhile, zombie
from tests.faults.trials import Site, Trial
from tests.faults.workload import AT_ONCE

NO_FENCE = ("no fence", "no fence in the worker")


def _late(site: Site) -> Trial:
    """At head, with one revision to come that commits what it does at once."""
    trial = site.trial("pooled")
    assert trial.run().exit_code == 0
    trial.workload.add_late_revision(AT_ONCE)
    return trial


def test_without_the_fence_a_zombie_is_seen_to_write(site: Site) -> None:
    with PgBouncer(site.server, "transaction") as pooler:
        found = zombie(site.trial("quick"), "StepStarted append 1", pooler=pooler, mutants=("no fence",))
    assert any("append: its effect is there 2 times" in line for line in found), found


@pytest.mark.parametrize("mutants", [(), NO_FENCE])
def test_without_the_fence_in_the_worker_a_zombies_revision_is_seen_twice(site: Site, mutants: tuple[str, ...]) -> None:
    undisturbed = _late(site)
    assert undisturbed.run().exit_code == 0
    with PgBouncer(site.server, "transaction") as pooler:
        expected = snapshot(undisturbed.url)
        found = zombie(_late(site), "fence 2", pooler=pooler, worker=True, mutants=mutants, expected=expected)
    assert any("the zombie wrote" in line for line in found) == bool(mutants), found


def test_a_session_lock_through_a_pooler_is_seen_to_hold_nothing(site: Site) -> None:
    trial = site.trial("quick")
    with PgBouncer(site.server, "transaction", pool_size=1) as pooler:
        urls = [pooler.url(trial.url)] * 6
        seen = crowd(trial, urls, site.server.url(), mutants=("session lock through a pooler",))
    assert crowd_faults(trial, seen) + trial.verdict()


def test_seeds_that_check_and_then_insert_are_seen_to_double_rows(site: Site) -> None:
    found = application_inserts_meanwhile(site.trial("quick"), mutants=("check, then insert",))
    assert any("data of public.labels" in line for line in found), found


def test_seeds_of_ours_do_not_double_rows_that_an_application_inserts_meanwhile(site: Site) -> None:
    assert application_inserts_meanwhile(site.trial("quick")) == []
