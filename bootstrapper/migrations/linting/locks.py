"""Reads the strongest lock of each SQL statement, and what it does under that lock, without a server."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.linting import lockrules
from bootstrapper.migrations.linting.canonical import actions, canonical, each, folded
from bootstrapper.migrations.linting.causes import Cause, Lock
from bootstrapper.migrations.linting.known import Known, Relation
from bootstrapper.postgres.connection.statements import Statement, split
from bootstrapper.text import listed, one_line

_LONG = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})
_HEAD = 1000  # the name of the table stands there; the rows of an INSERT may be many
_LONGEST_SHOWN = 100
_CREATES_TABLE = re.compile(r"CREATE [\w ]*TABLE\b", re.IGNORECASE)


@dataclass(frozen=True)
class Effect:
    """The effect of one statement.

    Attributes:
        taken: The locks, strongest first; none on objects that the same SQL created.
        causes: What makes hazards of it, worst first.
        subjects: The relations that the causes are about.
    """

    statement: Statement
    taken: tuple[tuple[Lock, Relation], ...] = ()
    causes: tuple[Cause, ...] = ()
    subjects: tuple[Relation, ...] = ()

    @property
    def lock(self) -> Lock | None:
        return self.taken[0][0] if self.taken else None

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The relations that the strongest lock is taken on."""
        return tuple(relation for lock, relation in self.taken if lock is self.lock)

    @property
    def shown(self) -> str:
        """The statement on one line of bounded length."""
        line = one_line(" ".join(self.statement.text.split()))
        return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN].rstrip()} ..."

    @property
    def blocks(self) -> str:
        """What other sessions cannot do meanwhile."""
        if self.lock is None:
            return ""
        return self.lock.blocks if any(relation.has_rows for relation in self.relations) else "blocks its use"


def effects(text: str, known: Known | None = None) -> list[Effect]:
    """Returns the effect of each statement, in order; `known` carries over from one text to the next."""
    return effects_of(split(text), known)


def effects_of(statements: Iterable[Statement], known: Known | None = None) -> list[Effect]:
    known = Known() if known is None else known
    return [_effect(statement, known) for statement in statements]


def annotate(text: str, known: Known | None = None) -> str:
    """Adds a comment above each statement whose lock is stronger than that of an ordinary write."""
    pieces, position = [], 0
    for effect in effects(text, known):
        if effect.lock is None or effect.lock <= Lock.ROW_EXCLUSIVE:
            continue
        start = effect.statement.start
        begins_line = not text[text.rfind("\n", 0, start) + 1 : start].strip()
        comment = f"-- takes {effect.lock.label} on {listed(map(str, effect.relations))}: {effect.blocks}\n"
        pieces += [text[position:start], "" if begins_line else "\n", comment]
        position = start
    return "".join([*pieces, text[position:]])


def _effect(statement: Statement, known: Known) -> Effect:
    is_long = statement.words[:1] and statement.words[0] in _LONG
    text = canonical(statement.text[:_HEAD] if is_long else statement.text)
    draft = _Draft(known)
    if altered := lockrules.ALTER_TABLE.match(text):
        draft.read_alteration(Relation.read(altered["table"]), altered["actions"])
        effect = draft.effect(statement)
        known.learn_alteration(altered)
        return effect
    draft.read(text)
    effect = draft.effect(statement)
    known.learn(text)
    return effect


class _Draft:
    """Gathers the locks of a statement on existing relations."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._locks: dict[Relation, Lock] = {}
        self._subjects: dict[Relation, None] = {}
        self._causes: set[Cause] = set()

    def effect(self, statement: Statement) -> Effect:
        taken = sorted(((lock, relation) for relation, lock in self._locks.items()), key=lambda pair: -pair[0])
        causes = tuple(cause for cause in Cause if cause in self._causes) if self._subjects else ()
        return Effect(statement, tuple(taken), causes, tuple(self._subjects))

    def read_alteration(self, table: Relation, text: str) -> None:
        for action in actions(text):
            if attached := lockrules.ATTACH.match(action):
                self._take(Lock.ACCESS_EXCLUSIVE, Relation.read(attached["other"]))
                self._take(Lock.SHARE_UPDATE_EXCLUSIVE, table, is_subject=False)
                self._causes.add(Cause.PARTITION_SCAN)
                continue
            rule, found = next(fit for fit in _fitting(lockrules.ACTIONS, action))
            self._take(rule.lock, table)
            self._causes.update(self._causes_of(action, rule, found, table))
            self._take_referenced(action)

    def _causes_of(self, action: str, rule: lockrules.Rule, found: re.Match[str], table: Relation) -> Iterable[Cause]:
        if column := lockrules.ADD_COLUMN.match(action):
            return lockrules.causes_of_column(column["definition"])
        existing = self._known.existing(table)
        if rule.cause is Cause.NULL_SCAN and (existing, folded(found["column"])) in self._known.proven:
            return ()
        return (rule.cause,) if rule.cause else ()

    def read(self, text: str) -> None:
        if _CREATES_TABLE.match(text):
            self._take_referenced(text)
        for rule, match in _fitting(lockrules.STATEMENTS, text)[:1]:
            names = match.groupdict()
            kind = names.get("kind") or ("index" if names.get("index") else "table")
            named = next(names[group] for group in ("table", "tables", "index", "objects") if names.get(group))
            for name in each(named):
                self._take(rule.lock, Relation.read(name, kind.lower()))
            self._causes.update((rule.cause,) if rule.cause else ())

    def _take(self, lock: Lock, named: Relation, *, is_subject: bool = True) -> None:
        relation = self._known.existing(named)
        if relation is None:
            return
        self._locks[relation] = max(lock, self._locks.get(relation, lock))
        if is_subject:
            self._subjects[relation] = None

    def _take_referenced(self, text: str) -> None:
        for found in lockrules.REFERENCES.finditer(text):
            self._take(Lock.SHARE_ROW_EXCLUSIVE, Relation.read(found["other"]), is_subject=False)


def _fitting(rules: Iterable[lockrules.Rule], text: str) -> list[tuple[lockrules.Rule, re.Match[str]]]:
    return [(rule, match) for rule in rules if (match := rule.pattern.match(text))]
