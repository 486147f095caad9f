"""A run that stands still until another one has its lock writes nothing when it wakes up."""

from __future__ import annotations

import pytest

from tests.faults.pgbouncer import PgBouncer
from tests.faults.scenarios import zombie
from tests.faults.trials import Site


@pytest.mark.parametrize("place", ["StepStarted append 1", "StepApplied seed 1", "before 120"])
def test_a_run_that_stood_still_while_its_connection_died_writes_nothing(site: Site, place: str) -> None:
    assert zombie(site.trial("quick"), place, pooler=None) == []


@pytest.mark.parametrize("place", ["loaded", "before r2", "fence 5"])
def test_a_migration_that_stood_still_while_its_connection_died_writes_nothing(site: Site, place: str) -> None:
    assert zombie(site.trial("full"), place, pooler=None, worker=True) == []


@pytest.mark.parametrize("place", ["StepStarted append 1", "StepStarted seed 1"])
def test_a_run_that_outslept_its_lease_writes_nothing(site: Site, place: str) -> None:
    with PgBouncer(site.server, "transaction") as pooler:
        assert zombie(site.trial("quick"), place, pooler=pooler) == []


@pytest.mark.parametrize("place", ["loaded", "fence 5", "index dropped"])
def test_a_migration_that_outslept_its_lease_writes_nothing(site: Site, place: str) -> None:
    with PgBouncer(site.server, "transaction") as pooler:
        assert zombie(site.trial("pooled"), place, pooler=pooler, worker=True) == []
