"""Documents of steps in the ledger: written by the run that holds the lock alone."""

from __future__ import annotations

from uuid import UUID

import psycopg

from bootstrapper.postgres.ledger import step_states
from bootstrapper.postgres.ledger.ledger import LedgerNames
from tests.postgres.ledger.test_chain import AGAIN
from tests.projects import TrialProject

NAMES = LedgerNames()
RUN = UUID(int=7)


def test_only_the_run_that_holds_the_lock_writes(project: TrialProject) -> None:
    project.write(AGAIN)
    project.apply()
    with psycopg.connect(project.database, autocommit=True) as connection:
        connection.execute("UPDATE bootstrapper.lock SET run_id = %s, token = 9", (RUN,))
        assert step_states.write(connection, NAMES, "one", "1", run_id=RUN, token=9)
        assert not step_states.write(connection, NAMES, "one", "2", run_id=RUN, token=8)
        assert not step_states.write(connection, NAMES, "one", "2", run_id=UUID(int=8), token=9)
        assert step_states.read(connection, NAMES, "one", "here") == "1"


def test_without_a_ledger_there_is_no_document(project: TrialProject) -> None:
    with psycopg.connect(project.database) as connection:
        assert step_states.read(connection, NAMES, "one", "here") is None
