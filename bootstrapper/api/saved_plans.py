"""Whether a plan may be saved, or a saved one applied: asked before the lock is taken, where most refusals belong."""

from __future__ import annotations

from dataclasses import replace

from bootstrapper.api.planning import plan_of
from bootstrapper.engine.contract import Contract, Standing
from bootstrapper.engine.open import Opened
from bootstrapper.errors import StalePlanError
from bootstrapper.plans import Plan
from bootstrapper.postgres.ledger import rights


def require_readable_ledger(run: Opened) -> None:
    """Raises RefusedError if there is a ledger that the role may not read: later runs are told from it."""
    with run.session.read_only() as connection:
        rights.require(connection, run.project.ledger, run.session.target.where)


def require_same(run: Opened, contract: Contract) -> Standing:
    """Returns what runs with the plan have done; raises StalePlanError where it is for something else."""
    run.session.open()
    contract.require_same_inputs(plan_of(run, run.session.server, (), None, is_result=True))
    return _stand(run, contract)


def require_as_planned(run: Opened, contract: Contract, now: Plan) -> None:
    """Raises StalePlanError where a step would do something else than the plan shows.

    Another run with the plan may have begun since its standing was asked.
    """
    try:
        contract.require_as_planned(now.steps)
    except StalePlanError:
        if _stand(run, contract) is Standing.NEW:
            raise
        contract.require_as_planned(now.steps)


def with_permissions(contract: Contract, now: Plan) -> Plan:
    """Returns the plan with the hazards allowed that the saved one allows; raises StalePlanError for a new one."""
    return replace(now, steps=contract.with_permissions(now.steps))


def _stand(run: Opened, contract: Contract) -> Standing:
    with run.session.read_only() as connection:
        return contract.stand(connection, run.project)
