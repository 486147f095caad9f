"""`fixtures`: whether the managed rows are as declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bootstrapper.errors import Problem
from bootstrapper.fixtures import seeding
from bootstrapper.fixtures.declare.fixture import unknown_fixture
from bootstrapper.plans import Action, Answer, Change, Deferred, total
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context, run_of


class FixturesCheck(Check[list[str] | None]):
    """`fixtures`, or `fixtures: [names]`; compares as the seed step does, by the mode of each fixture."""

    key = "fixtures"
    pure = True
    borrows_session = False

    def problems(self) -> Sequence[Problem]:
        written = self.project.document.data.get("fixtures")
        known = written if isinstance(written, Mapping) else {}  # also those that are wrong, which are reported
        return [unknown_fixture(name, known, self.source) for name in self.argument or () if name not in known]

    def ask(self, context: Context) -> Answer:
        run = run_of(context)
        found = seeding.changes(run, self.argument, self.source)
        deferred = [item for item in found if isinstance(item, Deferred)]
        changes = [item for item in found if isinstance(item, Change)]
        if changes:
            return Answer.no(_count(changes))
        if deferred:
            return Answer.unknown(f"needs {deferred[0].needs}")
        return Answer.yes("all rows are as declared")


def _count(changes: list[Change]) -> str:
    words = {Action.CREATE: "missing", Action.UPDATE: "different", Action.DELETE: "not declared"}
    counts = {word: total(changes, action) for action, word in words.items()}
    return "rows: " + ", ".join(f"{number} {word}" for word, number in counts.items() if number)
