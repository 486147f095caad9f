"""The steps of a plan, and the plan as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Any, Self

from bootstrapper.dataclass import dataclass
from bootstrapper.plans.changes import Action, Answer, Change, Deferred, Finding, total, unset_in
from bootstrapper.plans.hazards import Hazard, HazardName, refused
from bootstrapper.plans.locks import TableLock
from bootstrapper.text import dumps

FORMAT_VERSION = 1


class State(StrEnum):
    """The state of a step in a plan."""

    DONE = "done"
    PENDING = "pending"
    DEFERRED = "deferred"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # it could not be looked at, for the `reason`; only in `status`


@dataclass(frozen=True)
class PlannedStep:
    """One step of the plan.

    A gate or a scope has neither changes nor deferred ones: it is pending when the run will go through it.

    Attributes:
        name: Its name in the file.
        uses: What it uses.
        state: Whether it has changes.
        reason: Why it is in that state, if its changes do not say so.
        when: The answer to its `when`; None if the file declares none.
        check: The answer to its `check`; None if the file declares none.
        last_seconds: How long it took when it was last applied to this database.
    """

    name: str
    uses: str
    state: State
    reason: str = ""
    when: Answer | None = None
    check: Answer | None = None
    changes: tuple[Change, ...] = ()
    deferred: tuple[Deferred, ...] = ()
    findings: tuple[Finding, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    locks: tuple[TableLock, ...] = ()
    last_seconds: float | None = None

    @property
    def has_changes(self) -> bool:
        """Whether anything will or may be done."""
        return bool(self.changes or self.deferred)

    @property
    def has_own_changes(self) -> bool:
        """Whether anything will or may be done even if no earlier step changes what the step finds."""
        return bool(self.changes) or any(not item.after for item in self.deferred)

    @property
    def unset(self) -> tuple[str, ...]:
        """Names of the variables that its changes need and that have no value."""
        return unset_in(self.changes, self.deferred)

    def without_payloads(self) -> Self:
        """Returns the step as it is shown and kept: without what only `apply` needs."""
        return replace(self, changes=tuple(replace(change, payload=None) for change in self.changes))


@dataclass(frozen=True)
class DatabaseIdentity:
    """Which database a plan is about; the identifiers survive renames of host and database, but not a restore.

    Attributes:
        oid: 0 for an embedded server that does not exist yet.
    """

    server: str
    database: str
    server_version: str
    system_identifier: str | None
    oid: int


@dataclass(frozen=True)
class Selection:
    """Which steps the plan was asked for, by name: only these, or all but those; both empty means all."""

    steps: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All steps with their changes, and what they were worked out from.

    Attributes:
        inputs: SHA-256 over all inputs except the database's address.
        heads: Revisions that the migrations on disk lead to.
        serial: The ledger's count of runs; None without a readable ledger.
        last_run: The id of the last one.
        version: That of the tool.
        made_at: When it was made, as ISO 8601; empty where that does not matter.
    """

    name: str
    environment: str | None
    inputs: str
    database: DatabaseIdentity
    serial: int | None
    steps: tuple[PlannedStep, ...]
    last_run: str | None = None
    heads: tuple[str, ...] = ()
    selection: Selection = Selection()
    version: str = ""
    made_at: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def pending(self) -> tuple[PlannedStep, ...]:
        return tuple(step for step in self.steps if step.has_changes)

    @property
    def unset(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for step in self.steps for name in step.unset))

    @property
    def refused(self) -> list[HazardName]:
        """The hazards for which `apply` refuses the plan until they are allowed."""
        return refused(hazard for step in self.steps for hazard in step.hazards)

    def count(self, action: Action) -> int:
        return sum(total(step.changes, action) for step in self.steps)

    def to_data(self) -> dict[str, Any]:
        """Returns the plan as JSON has it, without payloads."""
        data = asdict(replace(self, steps=tuple(step.without_payloads() for step in self.steps)))
        for step in data["steps"]:
            for change in step["changes"]:
                del change["payload"]
            for deferred in step["deferred"]:
                deferred["may"] = sorted(deferred["may"])
        return data

    def to_json(self) -> str:
        return dumps(self.to_data())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError if the text is not a plan of this format version."""
        return cls.from_data(json.loads(text))

    @classmethod
    def from_data(cls, data: object) -> Self:
        """Raises ValueError if the data is not a plan of this format version."""
        if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"not a plan of format version {FORMAT_VERSION}")
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - few commands read a plan

        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"not a plan: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
