"""What a plugin's context offers, and what a step has to bring."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from bootstrapper import Change, Context, Deferred, Prepared, Step
from bootstrapper.plugin.context import run_of
from tests.fixtures.contexts import Bench

OFFERED = {
    "connection",
    "deadline",
    "emit",
    "environment",
    "logger",
    "mask",
    "options",
    "path",
    "progress",
    "report",
    "run_id",
    "sqlalchemy",
    "state",
    "step",
}


class ByMethodAlone(Step):
    uses = "prepared"

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        return []

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        pass

    def prepare(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        pass


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_a_context_offers_what_authors_need_and_no_state_of_the_engine() -> None:
    assert public(Context) == OFFERED


def test_a_context_takes_no_further_attributes(tmp_path: Path) -> None:
    bench = Bench("postgresql://nowhere/nothing", tmp_path)
    bench.write("")
    run = bench.context()
    context = Context(run)
    assert run_of(context) is run
    assert not hasattr(context, "__dict__")


def test_the_contract_of_a_step_has_five_methods() -> None:
    methods = {name for name, _ in inspect.getmembers(Step, inspect.isfunction) if not name.startswith("_")}
    assert methods == {"apply", "changes", "findings", "inputs", "problems"}


def test_a_step_has_a_trait_by_its_method_alone() -> None:
    step = ByMethodAlone("prepared", None)
    assert isinstance(step, Prepared)


def test_a_context_masks_secrets_and_finds_paths_beside_the_file(tmp_path: Path) -> None:
    bench = Bench("postgresql://nowhere/nothing", tmp_path)
    bench.write("")
    bench.masker.learn("s3cret-value")
    context = Context(bench.context())
    assert context.mask("it is s3cret-value") == "it is ***"
    assert context.path("data.csv") == tmp_path / "data.csv"
    assert context.run_id is None
