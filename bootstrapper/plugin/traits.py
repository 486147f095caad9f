"""What a step may offer beyond its contract: the engine uses what it finds.

A step takes a trait by inheriting it, as in `class Import(Step, Prepared)`, or just by having its method.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from bootstrapper.plans import Bounds, Change, ChangeLimits, Deferred, Hazard, TableLock
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.project import Project


@runtime_checkable
class Prepared(Protocol):
    """A step with slow work to do before its transaction."""

    def prepare(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Does slow work outside any transaction, such as hashing passwords, just before `apply`.

        Called under the lock, once a turn; what it writes is not fenced, and stays if `apply` fails.
        """


@runtime_checkable
class Parted(Protocol):
    """A transactional step that may commit in parts."""

    def parts(
        self, context: Context, changes: Sequence[Change | Deferred]
    ) -> Iterable[Sequence[Change | Deferred]] | None:
        """Returns the changes cut into parts, which are applied and committed one after the other.

        None stands for one transaction, as for a step without parts. Otherwise each part goes to `apply` as it is,
        in a transaction of its own with the fence, whether there is one or many; without any, `apply` is not called.
        A generator is asked for the next part once the one before it is committed, so that it sees its rows and needs
        the memory of one part. Called under the lock, and asked for each part, in a READ ONLY transaction.

        The ledger gets an intent before the first part and the result after the last one, with the check. If the run
        ends in between, the committed parts stay, and the next run finds the rest by `changes`.
        """
        ...


@runtime_checkable
class Bounded(Protocol):
    """A step that knows what earlier steps may make of it; of any other, anything but a deletion is expected."""

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        """Returns what the step may do beyond these changes once earlier steps are applied; None for nothing.

        Called for a plan in which earlier steps have changes. Does not raise for errors of the step: `changes` does
        that. Deletion is not among the actions: one that the plan does not show is never made.
        """
        ...


@runtime_checkable
class Explained(Protocol):
    """A step that says more than `as declared` where it has nothing to do."""

    def done_reason(self, context: Context) -> str:
        """Returns why nothing is to be done, if `changes` found nothing and no check was declared."""
        ...


@runtime_checkable
class Remarked(Protocol):
    """A step whose changes may overwrite the work of others."""

    def remarks(self, changes: Sequence[Change | Deferred]) -> Sequence[str]:
        """Returns what these changes overwrite, a line each, without secrets, for a warning and the ledger."""
        ...


@runtime_checkable
class ShowsSql(Protocol):
    """A step that can show the statements of its changes, for `plan --sql`."""

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        """Returns the changes, each with its statements under the key `sql` of `after`, as far as they are known."""
        ...


@runtime_checkable
class Hazardous(Protocol):
    """A step that knows the dangers of its changes; of any other, each deletion counts as `delete-rows`."""

    def hazards(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Hazard | TableLock]:
        """Returns the hazards of these changes, and the locks that they take, as far as those are known.

        Read in the READ ONLY transaction that found the changes. A protected environment refuses hazards that destroy
        or block, unless they are allowed. Called for plans, and before a protected environment is written to. The
        session has the search_path of bootstrapper itself: qualify the names of tables.
        """
        ...


@runtime_checkable
class SeedsFixtures(Protocol):
    """A step that writes declared fixtures."""

    def seeds(self, declared: Collection[str]) -> Collection[str]:
        """Returns the names of the declared fixtures that this step writes."""
        ...


@runtime_checkable
class Limited(Protocol):
    """A step whose parts have limits of their own for what a run may delete and update."""

    def limits(self, context: Context) -> Mapping[str, ChangeLimits]:
        """Returns the limits by the `origin` of the changes; without those that have none."""
        ...


@runtime_checkable
class HasHeads(Protocol):
    """A step with revision files of its own."""

    def heads(self, project: Project) -> Sequence[str]:
        """Returns the newest revisions in the step's own files; a plan records them."""
        ...


TRAITS = (
    Prepared,
    Parted,
    Bounded,
    Explained,
    Remarked,
    ShowsSql,
    Hazardous,
    SeedsFixtures,
    Limited,
    HasHeads,
)
