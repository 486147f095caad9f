"""The same rows, declared directly and behind PgBouncer: the same plan, the same rows in the table, the same ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.pgbouncer import PgBouncer
from tests.fixtures.cases import cases
from tests.fixtures.kinds import KEYS, OTHERS
from tests.fixtures.seeder import Seeder, make_batches_small, typed_database
from tests.fixtures.tables import SIZES, Case
from tests.fixtures.trials import Trial, noted, require_same
from tests.fixtures.ways import WAYS, Way
from tests.servers import Server

PROFILE = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)


@pytest.fixture
def seeders(server: Server, tmp_path: Path) -> Iterator[tuple[Seeder, Seeder]]:
    """One with a connection of its own, one behind a pooler in transaction mode."""
    with typed_database(server, "pooled_or_not") as url, PgBouncer(server, "transaction") as pooler:
        seeders = Seeder(url, tmp_path), Seeder(pooler.url(url), tmp_path)
        yield seeders
        for seeder in seeders:
            seeder.session.close()


def test_a_pooler_changes_nothing_of_plan_rows_and_ledger(
    seeders: tuple[Seeder, Seeder], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_batches_small(monkeypatch)
    direct, pooled = seeders
    with psycopg.connect(direct.url, autocommit=True) as connection:

        @PROFILE
        @given(case=cases(SIZES, KEYS, OTHERS), way=st.sampled_from(WAYS))
        def check(case: Case, way: Way) -> None:
            trial, suiting = Trial(connection, case), way if way.suits(case) else WAYS[0]
            with noted(case):
                first, second = (trial.go(seeder, suiting, monkeypatch) for seeder in seeders)
                require_same((f"{suiting.name}, direct", first), ("pooled", second))

        check()
    assert pooled.session.server.pooled
    assert not direct.session.server.pooled
