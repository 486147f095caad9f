"""The steps of a plan, and the plan as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Self

from bootstrapper.plans.changes import Action, Answer, Change, Deferred, Finding, Verdict, total, unset_in
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

    `when` and `check` are the answers to what the file declares, None where it declares nothing. A gate or a scope
    has neither changes nor deferred ones: it is pending when the run will go through it.
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
    """Which database a plan is about; the identifiers survive renames of host and database, but not a restore."""

    server: str
    database: str
    server_version: str
    system_identifier: str | None
    oid: int


@dataclass(frozen=True)
class Plan:
    """All steps with their changes, and what they were worked out from.

    Attributes:
        inputs: SHA-256 over all inputs except the database's address.
        heads: Revisions that the migrations on disk lead to.
        serial: The ledger's count of runs; None where there is no ledger or it cannot be read.
    """

    name: str
    environment: str | None
    inputs: str
    database: DatabaseIdentity
    serial: int | None
    steps: tuple[PlannedStep, ...]
    heads: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    @property
    def pending(self) -> tuple[PlannedStep, ...]:
        return tuple(step for step in self.steps if step.has_changes)

    @property
    def unset(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for step in self.steps for name in step.unset))

    def count(self, action: Action) -> int:
        return sum(total(step.changes, action) for step in self.steps)

    def to_json(self) -> str:
        bare = replace(self, steps=tuple(step.without_payloads() for step in self.steps))
        raw = asdict(bare)
        for step in raw["steps"]:
            for change in step["changes"]:
                del change["payload"]
        return dumps(raw, default=_json_default)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError if the text is not a plan of this format version."""
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"not a plan of format version {FORMAT_VERSION}")
        try:
            steps = tuple(_step(item) for item in raw.pop("steps"))
            database = DatabaseIdentity(**raw["database"])
            return cls(**{**raw, "database": database, "steps": steps, "heads": tuple(raw["heads"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a plan: {error}") from error


def _json_default(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a plan")


def _step(raw: dict[str, object]) -> PlannedStep:
    data = dict(raw)
    data["state"] = State(str(data["state"]))
    data["when"] = _answer(data["when"])
    data["check"] = _answer(data["check"])
    data["changes"] = tuple(_change(item) for item in _objects(data["changes"]))
    data["deferred"] = tuple(_deferred(item) for item in _objects(data["deferred"]))
    data["findings"] = tuple(Finding(**item) for item in _objects(data["findings"]))  # type: ignore[arg-type]
    return PlannedStep(**data)  # type: ignore[arg-type]


def _objects(raw: object) -> list[dict[str, object]]:
    if not isinstance(raw, list):
        raise TypeError("expected a list")
    return raw


def _answer(raw: object) -> Answer | None:
    if not isinstance(raw, dict):
        return None
    return Answer(Verdict(raw["verdict"]), raw["reason"])


def _change(raw: dict[str, object]) -> Change:
    return Change(**{**raw, "action": Action(str(raw["action"])), "unset": tuple(raw["unset"])})  # type: ignore[arg-type]


def _deferred(raw: dict[str, object]) -> Deferred:
    may = frozenset(Action(item) for item in raw["may"])  # type: ignore[attr-defined]
    names = {name: tuple(raw[name]) for name in ("unset", "targets", "after")}  # type: ignore[arg-type,var-annotated]
    return Deferred(**{**raw, **names, "may": may})  # type: ignore[arg-type]
