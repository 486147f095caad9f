"""What the functions that apply, follow and wait return."""

from __future__ import annotations

from uuid import UUID

from bootstrapper.dataclass import dataclass
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep


@dataclass(frozen=True)
class Outcome:
    """What `apply` did.

    Attributes:
        plan: As it stood before the lock was taken.
        applied: The steps that changed something, with what they changed.
        run_id: None where nothing was to do, or nothing any more once the lock was free.
        was_applied: Whether the saved plan had been applied before, so that there was nothing to do.
        ahead: Whether the database is ahead of this code, which the start of an application accepts: it wrote nothing,
            or nothing more.
    """

    plan: Plan
    applied: tuple[PlannedStep, ...]
    run_id: UUID | None
    seconds: float
    embedded: bool
    ahead: bool = False
    was_applied: bool = False


@dataclass(frozen=True)
class Followed:
    """How a wait for other runs ended.

    Attributes:
        is_reached: Whether the database is as declared. Else it is ahead of this code, which will do unless the file
            says `ahead: refuse`.
    """

    is_reached: bool
    seconds: float


@dataclass(frozen=True)
class Ready:
    """A database that accepts connections, and how long that took."""

    database: DatabaseIdentity
    seconds: float
