"""The graph of a project's revisions: heads, targets, and pending revisions in Alembic's order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Self

from bootstrapper.migrations.history.order import Walk
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.text import counted, did_you_mean


class BrokenHistory(Exception):  # noqa: N818 - the caller, which knows the step, makes an error of it
    """Revisions that contradict each other, or a target that is not one of them."""

    hint: str | None = None
    revision: Revision | None = None
    """The one that is wrong, if it is one."""

    @classmethod
    def of(cls, revision: Revision, reason: str, hint: str | None = None) -> Self:
        error = cls(reason)
        error.revision, error.hint = revision, hint
        return error


class NoSuchRevision(BrokenHistory):
    """A name that is neither a revision nor a label, or a prefix of several revisions."""

    def __init__(self, name: str, *, could_be: Sequence[str], known: Iterable[str]) -> None:
        several = f"; it is a prefix of {', '.join(could_be)}" if could_be else ""
        super().__init__(f"revision or branch {name!r} does not exist{several}")
        self.hint = (
            None if could_be else did_you_mean(name, known, "Name a revision by its id, or a branch by its label.")
        )


class SeveralHeads(BrokenHistory):
    """Several heads where one is required."""

    hint = "Merge them with `alembic merge heads`, or use `heads` instead of `head`."

    def __init__(self, heads: Sequence[str]) -> None:
        super().__init__(f"there are {len(heads)} heads: {', '.join(heads)}")


class History:
    """All revisions of the project, in the order in which Alembic reads them."""

    def __init__(self, revisions: Iterable[Revision]) -> None:
        self.revisions: dict[str, Revision] = {}
        for revision in revisions:
            if revision.id in self.revisions:
                raise BrokenHistory.of(revision, f"revision {revision.id} is declared by two files")
            self.revisions[revision.id] = revision
        self._labels = {label: revision.id for revision in self.revisions.values() for label in revision.labels}
        self._depends = {revision.id: self._dependencies(revision) for revision in self.revisions.values()}
        self._require_parents()
        self._require_no_cycle()

    def _dependencies(self, revision: Revision) -> tuple[str, ...]:
        return tuple(self._labels.get(name, name) for name in revision.depends)

    def _require_parents(self) -> None:
        for revision in self.revisions.values():
            for parent in self._parents(revision.id):
                if parent not in self.revisions:
                    hint = did_you_mean(parent, self.revisions, "Correct its down_revision, or add the missing file.")
                    said = f"revision {revision.id} follows {parent}, which does not exist"
                    raise BrokenHistory.of(revision, said, hint)

    def _require_no_cycle(self) -> None:
        graph = {name: self._parents(name) for name in self.revisions}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            raise BrokenHistory(f"dependency cycle of revisions {' -> '.join(error.args[1])}") from error

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Revisions without a successor; one that another branch only depends on is still a head."""
        followed = {parent for revision in self.revisions.values() for parent in revision.down}
        return tuple(name for name in self.revisions if name not in followed)

    @cached_property
    def _tips(self) -> tuple[str, ...]:
        """Heads that no other branch depends on: what `heads` stands for, and what version rows show afterwards."""
        followed = {parent for name in self.revisions for parent in self._parents(name)}
        return tuple(name for name in self.revisions if name not in followed)

    def targets(self, text: str) -> tuple[str, ...]:
        """Returns the revisions that `head`, `heads`, `label@head`, a label, or an identifier or its prefix stands for.

        Raises BrokenHistory if there is none, or more than one where one is required.
        """
        label, _, name = text.rpartition("@")
        heads = self._heads_of(label) if label else self.heads
        if name == "heads":
            return heads if label else self._tips
        if name == "head":
            if len(heads) > 1:
                raise SeveralHeads(heads)
            return heads
        found = self._find(name)
        if label and not any(found in self._line(head) for head in heads):
            raise BrokenHistory(f"revision {found} is not on branch {label}")
        return (found,)

    def _heads_of(self, label: str) -> tuple[str, ...]:
        member = self._find(label)
        return tuple(head for head in self.heads if member in self._line(head))

    def _find(self, name: str) -> str:
        if name in self.revisions:
            return name
        if name in self._labels:
            return self._labels[name]
        found = [known for known in self.revisions if len(known) > 3 and known.startswith(name)]
        if len(found) != 1:
            raise NoSuchRevision(name, could_be=found, known=[*self.revisions, *self._labels])
        return found[0]

    def unknown(self, rows: Collection[str]) -> tuple[str, ...]:
        """Returns the version rows that no file declares."""
        return tuple(row for row in rows if row not in self.revisions)

    def includes(self, rows: Collection[str], name: str) -> bool:
        """Whether a revision is applied to a database with these version rows."""
        return name in self._closure(rows, self._parents)

    def rows_after(self, rows: Collection[str], targets: Sequence[str]) -> tuple[str, ...]:
        """Returns the version rows of a database with these rows after an upgrade to the targets."""
        reached = self._closure((*rows, *targets), self._parents)
        followed = {parent for name in reached for parent in self._parents(name)}
        return tuple(name for name in self.revisions if name in reached and name not in followed)

    def undone(self, rows: Collection[str], target: str | None) -> tuple[Revision, ...]:
        """Returns the revisions that a downgrade to the target reverts, in order; None stands for the base.

        These are, as in Alembic, the successors of the target on its own branch, and all that require any of them.
        Raises BrokenHistory if the target was not applied to a database with these rows, or has no successor there.
        """
        reached = self._closure(rows, self._parents)
        if target is not None and target not in reached:
            raise BrokenHistory(f"revision {target} is not applied")
        following = {name for name in reached if target is None or target in self.revisions[name].down}
        above = {name for name in reached if not following.isdisjoint(self._closure([name], self._parents))}
        if not above and target is not None and target not in rows:
            raise BrokenHistory(f"revision {target} has no successor on its own branch")
        return tuple(self.revisions[name] for name in self._sorted(above, rows))

    def beside(self, rows: Collection[str], names: Collection[str]) -> tuple[str, ...]:
        """Returns the known version rows that are neither below nor above these revisions."""
        lines = [self._line(name) for name in names]
        return tuple(
            row
            for row in rows
            if row in self.revisions and not any(row in line for line in lines) and self._line(row).isdisjoint(names)
        )

    def below(self, rows: Collection[str], steps: int) -> str | None:
        """Returns the revision so many steps below these rows, None for the base.

        Raises BrokenHistory if the history branches there, or has fewer revisions.
        """
        names: tuple[str, ...] = tuple(rows)
        for _ in range(steps):
            if len(names) != 1:
                raise BrokenHistory("the history branches there; name the target revision")
            names = self._parents(names[0])
        if len(names) > 1:
            raise BrokenHistory("the history branches there; name the target revision")
        return names[0] if names else None

    def above(self, rows: Collection[str], steps: int) -> str:
        """Returns the revision so many steps above these rows; raises BrokenHistory as `below` does."""
        if len(rows) > 1:
            raise BrokenHistory("the history branches there; name the target revision")
        name = next(iter(rows), None)
        for step in range(steps):
            following = [
                other.id for other in self.revisions.values() if (name in other.down if name else not other.down)
            ]
            if not following:
                above = f"only {counted(step, 'revision')}" if step else "no revisions"
                raise BrokenHistory(f"there {'is' if step == 1 else 'are'} {above} above")
            if len(following) > 1:
                raise BrokenHistory("the history branches there; name the target revision")
            name = following[0]
        assert name is not None
        return name

    def pending(self, rows: Collection[str], targets: Sequence[str]) -> tuple[Revision, ...]:
        """Returns the pending revisions of a database with these known version rows, in Alembic's order."""
        needed = self._closure(targets, self._parents) - self._closure(rows, self._parents)
        return tuple(self.revisions[name] for name in reversed(self._sorted(needed, targets)))

    def parents(self, name: str) -> tuple[str, ...]:
        """Returns the revisions that have to be applied right before this one."""
        return self._parents(name)

    def _parents(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.revisions[name].down, *self._depends[name])))

    def _near_parents(self, name: str) -> tuple[str, ...]:
        """Returns the parents without dependencies that an ancestor on the same branch already has."""
        depends = set(self._depends[name])
        if not depends:
            return self.revisions[name].down
        for ancestor in self._line(name) - {name}:
            depends.difference_update(self._depends[ancestor])
        return tuple(dict.fromkeys((*self.revisions[name].down, *(d for d in self._depends[name] if d in depends))))

    def _line(self, name: str) -> set[str]:
        """Returns the revision and its ancestors, without dependencies."""
        return self._closure([name], lambda item: self.revisions[item].down)

    def _closure(self, names: Iterable[str], parents: Callable[[str], Iterable[str]]) -> set[str]:
        seen: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(parents(name))
        return seen

    def _sorted(self, names: set[str], heads: Collection[str]) -> list[str]:
        """Sorts, newest first."""
        return list(Walk(names, heads, list(self.revisions), self._near_parents, self._ancestors))

    def _ancestors(self, name: str) -> set[str]:
        return self._closure([name], self._near_parents)
