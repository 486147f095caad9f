"""Which classes are put behind the boundary, and what stays as it was."""

from __future__ import annotations

import pytest

from bootstrapper import Change, Step, StepModel
from bootstrapper.builtin import registry
from bootstrapper.plugin.boundary import guarded
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.plugin.step import Unit


class MarkingOptions(StepModel):
    text: str = "x"


class Marking(Step[MarkingOptions]):
    """Marks."""

    uses = "marking"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.transactional = False

    def changes(self, context: object) -> list[Change]:
        return []

    def apply(self, context: object, changes: object) -> None:
        return None


@pytest.mark.parametrize("kind", loaded(registry.bootstrapper_steps()), ids=lambda kind: kind.uses)
def test_a_class_of_ours_stays_as_it_is_so_that_its_errors_are_bugs(kind: type[Unit]) -> None:
    assert guarded(kind, "bootstrapper") is kind


def test_a_guarded_class_is_that_of_the_plugin_in_all_else() -> None:
    found = guarded(Marking, "marking.py")
    unit = found("mark", MarkingOptions())
    assert isinstance(unit, Marking)
    assert (found.__name__, found.__doc__, found.__module__) == ("Marking", "Marks.", __name__)
    assert (found.uses, found.options_type, unit.name, unit.transactional) == ("marking", MarkingOptions, "mark", False)
