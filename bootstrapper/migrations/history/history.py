"""The graph of a project's revisions: its heads, and what is pending in the order in which Alembic applies it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property

from bootstrapper.migrations.history.order import Walk
from bootstrapper.migrations.history.revisions import Revision
from bootstrapper.text import counted, did_you_mean


class BrokenHistory(Exception):  # noqa: N818 - turned into one of our errors by whoever knows the step
    """Revisions that do not fit together, or a target that is none of them."""

    hint: str | None = None


class NoSuchRevision(BrokenHistory):
    """A name that is neither a revision nor a label, or that several revisions begin with."""

    def __init__(self, name: str, *, could_be: Sequence[str], known: Iterable[str]) -> None:
        several = f"; it could be {', '.join(could_be)}" if could_be else ""
        super().__init__(f"there is no revision or branch {name!r}{several}")
        self.hint = (
            None if could_be else did_you_mean(name, known, "Name a revision by its id, or a branch by its label.")
        )


class SeveralHeads(BrokenHistory):
    """One head is meant, and there are more."""

    hint = "Merge them with `alembic merge heads`, or write `heads` in place of `head`."

    def __init__(self, heads: Sequence[str]) -> None:
        super().__init__(f"there are {len(heads)} heads: {', '.join(heads)}")


class History:
    """All revisions that the code knows, in the order in which Alembic reads them."""

    def __init__(self, revisions: Iterable[Revision]) -> None:
        self.revisions: dict[str, Revision] = {}
        for revision in revisions:
            if revision.id in self.revisions:
                raise BrokenHistory(f"two files declare revision {revision.id}")
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
                    raise BrokenHistory(f"revision {revision.id} follows {parent}, which no file declares")

    def _require_no_cycle(self) -> None:
        open_parents = {name: set(self._parents(name)) for name in self.revisions}
        children: dict[str, list[str]] = {}
        for name, parents in open_parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(name)
        free = [name for name, parents in open_parents.items() if not parents]
        reached = 0
        while free:
            name = free.pop()
            reached += 1
            for child in children.get(name, ()):
                open_parents[child].discard(name)
                if not open_parents[child]:
                    free.append(child)
        if reached < len(self.revisions):
            raise BrokenHistory("revisions follow each other in a circle")

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Revisions that none follows; one that another branch merely depends on is still a head."""
        followed = {parent for revision in self.revisions.values() for parent in revision.down}
        return tuple(name for name in self.revisions if name not in followed)

    @cached_property
    def _tips(self) -> tuple[str, ...]:
        """Heads that no other branch depends on: what `heads` stands for, and what version rows show afterwards."""
        followed = {parent for name in self.revisions for parent in self._parents(name)}
        return tuple(name for name in self.revisions if name not in followed)

    def targets(self, text: str) -> tuple[str, ...]:
        """The revisions that `head`, `heads`, `label@head`, a label, or (the start of) an identifier stands for.

        Raises BrokenHistory where that is none, or more than one where one is meant.
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
        """Which of the version rows no file declares."""
        return tuple(row for row in rows if row not in self.revisions)

    def includes(self, rows: Collection[str], name: str) -> bool:
        """Whether a database with these version rows has been through a revision."""
        return name in self._closure(rows, self._parents)

    def rows_after(self, rows: Collection[str], targets: Sequence[str]) -> tuple[str, ...]:
        """The version rows of a database with these rows once it was brought to the targets."""
        reached = self._closure((*rows, *targets), self._parents)
        followed = {parent for name in reached for parent in self._parents(name)}
        return tuple(name for name in self.revisions if name in reached and name not in followed)

    def undone(self, rows: Collection[str], target: str | None) -> tuple[Revision, ...]:
        """What a downgrade to the target takes back, in order; None stands for the base, so for everything.

        As Alembic has it: what follows the target on its own branch, and all that needs any of that. Raises
        BrokenHistory where a database with these rows has not been through the target, or nothing follows it there.
        """
        reached = self._closure(rows, self._parents)
        if target is not None and target not in reached:
            raise BrokenHistory(f"the database has not been through revision {target}")
        following = {name for name in reached if target is None or target in self.revisions[name].down}
        above = {name for name in reached if not following.isdisjoint(self._closure([name], self._parents))}
        if not above and target is not None and target not in rows:
            raise BrokenHistory(f"nothing follows revision {target} on its own branch")
        return tuple(self.revisions[name] for name in self._sorted(above, rows))

    def beside(self, rows: Collection[str], names: Collection[str]) -> tuple[str, ...]:
        """Those version rows that are neither on the way to these revisions nor above them; unknown ones are not."""
        lines = [self._line(name) for name in names]
        return tuple(
            row
            for row in rows
            if row in self.revisions and not any(row in line for line in lines) and self._line(row).isdisjoint(names)
        )

    def below(self, rows: Collection[str], steps: int) -> str | None:
        """The revision so many steps below these rows, None for the base.

        Raises BrokenHistory where that is not one place, or where there are not so many.
        """
        names: tuple[str, ...] = tuple(rows)
        for _ in range(steps):
            if len(names) != 1:
                raise BrokenHistory("it is not one line of revisions there; name the revision to go down to")
            names = self._parents(names[0])
        if len(names) > 1:
            raise BrokenHistory("it is not one line of revisions there; name the revision to go down to")
        return names[0] if names else None

    def above(self, rows: Collection[str], steps: int) -> str:
        """The revision so many steps above these rows; raises BrokenHistory as `below` does."""
        if len(rows) > 1:
            raise BrokenHistory("it is not one line of revisions there; name the revision to go up to")
        name = next(iter(rows), None)
        for step in range(steps):
            following = [
                other.id for other in self.revisions.values() if (name in other.down if name else not other.down)
            ]
            if not following:
                above = f"only {counted(step, 'revision')}" if step else "no revisions"
                raise BrokenHistory(f"there {'is' if step == 1 else 'are'} {above} above")
            if len(following) > 1:
                raise BrokenHistory("it is not one line of revisions there; name the revision to go up to")
            name = following[0]
        assert name is not None
        return name

    def pending(self, rows: Collection[str], targets: Sequence[str]) -> tuple[Revision, ...]:
        """What to apply to a database with these version rows, in Alembic's own order; the rows must be known."""
        needed = self._closure(targets, self._parents) - self._closure(rows, self._parents)
        return tuple(self.revisions[name] for name in reversed(self._sorted(needed, targets)))

    def _parents(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.revisions[name].down, *self._depends[name])))

    def _near_parents(self, name: str) -> tuple[str, ...]:
        """Parents without those dependencies that an ancestor on the same branch already has."""
        depends = set(self._depends[name])
        if not depends:
            return self.revisions[name].down
        for ancestor in self._line(name) - {name}:
            depends.difference_update(self._depends[ancestor])
        return tuple(dict.fromkeys((*self.revisions[name].down, *(d for d in self._depends[name] if d in depends))))

    def _line(self, name: str) -> set[str]:
        """The revision and all that it follows, without dependencies."""
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
        """Newest first."""
        return list(Walk(names, heads, list(self.revisions), self._near_parents, self._ancestors))

    def _ancestors(self, name: str) -> set[str]:
        return self._closure([name], self._near_parents)
