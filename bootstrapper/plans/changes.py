"""What a step would do, and what a check answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Self, TypeVar

from bootstrapper.dataclass import dataclass

JSONValue = None | bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"]

SQL = "sql"
"""The name under which `after` holds the statements of a change; several lines."""

Kind = TypeVar("Kind")


class Action(StrEnum):
    """What a change does: with a row or an object of the database, or `run` for all else."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RUN = "run"

    @property
    def glyph(self) -> str:
        return {"create": "+", "update": "~", "delete": "-", "run": ">"}[self]


class Verdict(StrEnum):
    """What a check answers."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """The answer of a check; unknown if it cannot be asked yet.

    Attributes:
        verdict: Yes, no or unknown.
        reason: Why, for the reader of the plan, in one line.
    """

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


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between declared and actual.

    Attributes:
        action: What is done.
        target: What it is done to, such as "table books"; not empty.
        reason: Why, in one line.
        before: Values by column or property, as text fit for display; a secret stands there as the name of its source.
        after: The same after the change.
        unset: Names of variables that applying this change needs and that have no value here; a file that it needs and
            that cannot be used stands there as `file admin.txt does not exist`.
        count: Above 1 where it stands for that many rows of a large fixture, which are not listed.
        digest: A SHA-256 over the rows that are not listed.
        origin: The declaration that it comes from, where a step has several, such as a fixture.
        sensitive: The columns whose value is a secret, for readers of the plan as JSON. It hides nothing: `before` and
            `after` are shown as they are, so put `***` or the name of the source there.
        payload: What the step's `apply` needs to make the change; never shown, serialised or compared.
    """

    action: Action
    target: str
    reason: str = ""
    before: Mapping[str, str | None] = field(default_factory=dict)
    after: Mapping[str, str | None] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    count: int = 1
    digest: str = ""
    origin: str = ""
    sensitive: tuple[str, ...] = ()
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


def payload_of(change: Change, kind: type[Kind]) -> Kind:
    """Returns what the change carries. Raises TypeError for a change that was not made by the step's own `changes`."""
    if not isinstance(change.payload, kind):
        raise TypeError(f"change {change.target!r} does not carry what apply needs")
    return change.payload


@dataclass(frozen=True)
class Deferred:
    """Changes that cannot be known yet, bounded by what they may at most be.

    Attributes:
        needs: What has to exist first, such as "table documents".
        reason: Why that matters, in one line.
        may: The actions that are possible; empty only where nothing is known.
        at_most: The largest possible number of changes; None for any number.
        unset: Names of variables that applying the changes needs and that have no value here; a file that it needs and
            that cannot be used stands there as `file admin.txt does not exist`.
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
        at_most: The largest possible number of changes; None for any number.
    """

    may: frozenset[Action] = frozenset()
    at_most: int | None = None


@dataclass(frozen=True)
class ChangeLimits:
    """The most deletions and updates that a run may make; None where there is no limit."""

    deletes: int | None = None
    updates: int | None = None

    def exceeded_by(self, changes: Sequence[Change]) -> Iterator[tuple[Action, int, int]]:
        """Yields each action of which there are too many, with their number and the most that may be."""
        for action, most in ((Action.DELETE, self.deletes), (Action.UPDATE, self.updates)):
            if most is not None and total(changes, action) > most:
                yield action, total(changes, action), most


@dataclass(frozen=True)
class Finding:
    """Something that the reader of a plan should know, and that its changes do not fix by themselves.

    Attributes:
        target: What it is about, such as "index public.users_email_idx" or "revision 4f1c".
        message: What is to be known, in one line.
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
