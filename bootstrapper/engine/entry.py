"""One step, gate or scope of the file, validated, with its conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import Source
from bootstrapper.plans import ChangeLimits
from bootstrapper.plugin.conditions import Condition
from bootstrapper.plugin.project import Declaration
from bootstrapper.plugin.step import Unit


@dataclass(frozen=True)
class Entry:
    """One entry of `steps:`, ready to run."""

    name: str
    unit: Unit
    when: Condition | None
    check: Condition | None
    source: Source
    timeout_seconds: float | None = None
    limits: ChangeLimits = field(default_factory=ChangeLimits)
    allowed: tuple[str, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)
    """The `with:` block as the file writes it, its variables unresolved."""

    @property
    def declaration(self) -> Declaration:
        """What the file says of the step; a command may have dropped `when` and `check`."""
        return Declaration(self.written, has_when=self.when is not None, has_check=self.check is not None)

    @property
    def marks(self) -> tuple[str, ...]:
        """Ids that the ledger notes when the step succeeds."""
        checks = self.check.checks() if self.check is not None else ()
        return tuple(mark for check in checks for mark in check.marks())
