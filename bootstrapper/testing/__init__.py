"""The test kit for authors of plugins: contracts, checked on a real database.

    from bootstrapper.testing import StepSuite

    class TestGrant(StepSuite):
        plugins = ["./plugins"]
        step = "{uses: grant, with: {table: books, role: pg_monitor}}"
        database = "CREATE TABLE books (isbn text)"
        drifted = "REVOKE ALL ON books FROM pg_monitor"

`suites` has such a class for each contract, `steps`, `killing` and `contracts` the same as functions, `trial` the file
and the database of a test, `snapshots` and `looking` what must be the same before and after, `sample_plans` plans for
renderers. The suites need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bootstrapper.engine.request import Request
from bootstrapper.testing.contracts import (
    assert_check_contract,
    assert_gate_contract,
    assert_renderer_contract,
    assert_value_contract,
)
from bootstrapper.testing.killing import assert_step_survives_kills
from bootstrapper.testing.snapshots import snapshot
from bootstrapper.testing.steps import assert_drift_is_seen, assert_step_contract
from bootstrapper.testing.trial import NewTrial, Trial

if TYPE_CHECKING:  # needs pytest
    from bootstrapper.testing.suites import CheckSuite, GateSuite, RendererSuite, StepSuite, ValueSuite

__all__ = [
    "CheckSuite",
    "GateSuite",
    "NewTrial",
    "RendererSuite",
    "Request",
    "StepSuite",
    "Trial",
    "ValueSuite",
    "assert_check_contract",
    "assert_drift_is_seen",
    "assert_gate_contract",
    "assert_renderer_contract",
    "assert_step_contract",
    "assert_step_survives_kills",
    "assert_value_contract",
    "snapshot",
]


def __getattr__(name: str) -> Any:
    if name.endswith("Suite") and name in __all__:
        return getattr(import_module("bootstrapper.testing.suites"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
