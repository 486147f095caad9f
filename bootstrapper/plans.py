"""The data of a plan, the same in memory and as JSON.

A plan holds no secret: a change names the source of a secret value, never the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Self

from bootstrapper.text import dumps

JSONValue = None | bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"]

FORMAT_VERSION = 1
SQL = "sql"
"""The name under which `after` holds the statements of a change; several lines."""


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RUN = "run"

    @property
    def glyph(self) -> str:
        return {"create": "+", "update": "~", "delete": "-", "run": ">"}[self]


class Verdict(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """The answer of a check and its reason; unknown if it cannot be asked yet."""

    verdict: Verdict
    reason: str = ""

    @classmethod
    def yes(cls, reason: str = "") -> Self:
        return cls(Verdict.YES, reason)

    @classmethod
    def no(cls, reason: str = "") -> Self:
        return cls(Verdict.NO, reason)

    @classmethod
    def unknown(cls, reason: str = "") -> Self:
        return cls(Verdict.UNKNOWN, reason)

    @property
    def is_yes(self) -> bool:
        return self.verdict is Verdict.YES

    @property
    def is_no(self) -> bool:
        return self.verdict is Verdict.NO

    @property
    def is_unknown(self) -> bool:
        return self.verdict is Verdict.UNKNOWN


@dataclass(frozen=True)
class Change:
    """One difference between declared and actual.

    `before` and `after` hold values by column or property, as text fit for display; a secret stands there as the
    name of its source. `unset` names variables that applying this change needs and that have no value here. `count` is
    above 1 where it stands for that many rows of a large fixture, which are not listed. `origin` names the declaration
    that it comes from, where a step has several, such as a fixture. `payload` is what the step's `apply` needs to make
    the change: the step's own data, never shown, serialised or compared.
    """

    action: Action
    target: str
    reason: str = ""
    before: Mapping[str, str | None] = field(default_factory=dict)
    after: Mapping[str, str | None] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    count: int = 1
    origin: str = ""
    payload: object = field(default=None, repr=False, compare=False)

    @classmethod
    def create(
        cls, target: str, *, reason: str = "", after: Mapping[str, str | None] | None = None, payload: object = None
    ) -> Self:
        return cls(Action.CREATE, target, reason, after=after or {}, payload=payload)

    @classmethod
    def update(
        cls,
        target: str,
        *,
        reason: str = "",
        before: Mapping[str, str | None] | None = None,
        after: Mapping[str, str | None] | None = None,
        payload: object = None,
    ) -> Self:
        return cls(Action.UPDATE, target, reason, before or {}, after or {}, payload=payload)

    @classmethod
    def delete(
        cls, target: str, *, reason: str = "", before: Mapping[str, str | None] | None = None, payload: object = None
    ) -> Self:
        return cls(Action.DELETE, target, reason, before=before or {}, payload=payload)

    @classmethod
    def run(cls, target: str, *, reason: str = "", payload: object = None) -> Self:
        return cls(Action.RUN, target, reason, payload=payload)


@dataclass(frozen=True)
class Deferred:
    """Changes that cannot be known yet, bounded by what they may at most be.

    Attributes:
        needs: What has to exist first, such as "table documents".
        may: The actions that are possible; empty only where nothing is known.
        at_most: The most changes there can be; None when there is no bound.
        targets: What the changes would be about, as far as that is declared; existing things may turn out to be done.
        after: The earlier steps that may bring them about; as the database is now, nothing of them is to be done.
    """

    needs: str
    reason: str = ""
    may: frozenset[Action] = frozenset()
    at_most: int | None = None
    unset: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bounds:
    """What the changes of a step may at most become.

    Attributes:
        may: The actions that are possible; empty where any is.
        at_most: The most changes there can be; None when there is no bound.
    """

    may: frozenset[Action] = frozenset()
    at_most: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that the reader of a plan should know, and that its changes do not fix by themselves.

    Attributes:
        target: What it is about, such as "index public.users_email_idx" or "revision 4f1c".
        remedy: What to do about it: a statement to run, or an imperative sentence; empty where nothing is.
    """

    target: str
    message: str
    remedy: str = ""


def total(changes: Iterable[Change], action: Action | None = None) -> int:
    """Returns the number of changes of this action, or of all."""
    return sum(change.count for change in changes if action is None or change.action is action)


def unset_in(changes: Iterable[Change], deferred: Iterable[Deferred]) -> tuple[str, ...]:
    """Returns the names of all variables that they need and that have no value, each once."""
    names = [name for change in changes for name in change.unset]
    return tuple(dict.fromkeys([*names, *(name for item in deferred for name in item.unset)]))


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
        return unset_in(self.changes, self.deferred)


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
        bare = replace(self, steps=tuple(map(_without_payloads, self.steps)))
        raw = asdict(bare)
        for step in raw["steps"]:
            for change in step["changes"]:
                del change["payload"]
        return dumps(raw, default=_json_default)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError where the text is no plan of this format version."""
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"not a plan of format version {FORMAT_VERSION}")
        try:
            steps = tuple(_step(item) for item in raw.pop("steps"))
            database = DatabaseIdentity(**raw["database"])
            return cls(**{**raw, "database": database, "steps": steps, "heads": tuple(raw["heads"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a plan: {error}") from error


def _without_payloads(step: PlannedStep) -> PlannedStep:
    return replace(step, changes=tuple(replace(change, payload=None) for change in step.changes))


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
