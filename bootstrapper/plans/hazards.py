"""The closed list of hazards: named dangers of changes, and what is found of them in a plan."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum, unique

from bootstrapper.dataclass import dataclass
from bootstrapper.text import did_you_mean, one_line


class Danger(StrEnum):
    """What a hazard does; a protected environment refuses those that destroy or block, unless they are allowed."""

    DESTROYS = "destroys"
    BLOCKS = "blocks"
    WARNS = "warns"


@unique
class HazardName(StrEnum):
    """Every hazard there is; docs/reference/hazards.md is written from this list."""

    DROP_TABLE = "drop-table"
    DROP_COLUMN = "drop-column"
    DROP_OBJECT = "drop-object"
    DELETE_ROWS = "delete-rows"
    DOWNGRADE = "downgrade"
    UNKNOWN_SQL = "unknown-sql"
    REWRITE = "rewrite"
    INDEX_WITHOUT_CONCURRENTLY = "index-without-concurrently"
    LONG_LOCK = "long-lock"
    BRIEF_LOCK = "brief-lock"
    FAILS_ON_ROWS = "fails-on-rows"
    RENAME = "rename"
    DROP_VIEW = "drop-view"
    CHANGE_TYPE = "change-type"

    @property
    def danger(self) -> Danger:
        return _FACTS[self][0]

    @property
    def meaning(self) -> str:
        """One sentence."""
        return _FACTS[self][1]

    @property
    def safer(self) -> str:
        """The safer way, in the imperative."""
        return _FACTS[self][2]

    @property
    def needs_allowance(self) -> bool:
        """Whether a protected environment refuses it unless it is allowed."""
        return self.danger is not Danger.WARNS


_FACTS = {
    HazardName.DROP_TABLE: (
        Danger.DESTROYS,
        "A table or a materialized view is dropped, with its rows.",
        "Release code that no longer uses it first, and keep a backup of the data.",
    ),
    HazardName.DROP_COLUMN: (
        Danger.DESTROYS,
        "A column, or an attribute of a composite type, is dropped, with its values.",
        "Release code that no longer uses it first, and keep a backup of the data.",
    ),
    HazardName.DROP_OBJECT: (
        Danger.DESTROYS,
        "A schema, type, sequence, extension or the like is dropped; with CASCADE, also what depends on it.",
        "Drop what is in it one by one, without CASCADE, and keep a backup.",
    ),
    HazardName.DELETE_ROWS: (
        Danger.DESTROYS,
        "Rows are deleted: by a fixture in mode `sync`, by DELETE, TRUNCATE or MERGE, or by a step of a plugin.",
        "Set `limits: {deletes: ...}` on the fixture or its step, which then counts as the permission.",
    ),
    HazardName.DOWNGRADE: (
        Danger.DESTROYS,
        "A revision is reverted: what it created is dropped, with the data in it.",
        "Write a new revision that changes what is wrong.",
    ),
    HazardName.UNKNOWN_SQL: (
        Danger.DESTROYS,
        "The SQL of a revision cannot be rendered, or it runs code by DO or CALL.",
        "Read the revision. To make its SQL visible, use `op` and `sa.text` without reading from the database.",
    ),
    HazardName.REWRITE: (
        Danger.BLOCKS,
        "A table is rewritten, which blocks reads and writes until it is done.",
        "Add a new column, fill it in batches, then switch to it.",
    ),
    HazardName.INDEX_WITHOUT_CONCURRENTLY: (
        Danger.BLOCKS,
        "An index is built without CONCURRENTLY, also for a constraint, which blocks writes until it is done.",
        "Build it CONCURRENTLY, in an autocommit block; add a constraint USING INDEX.",
    ),
    HazardName.LONG_LOCK: (
        Danger.BLOCKS,
        "A lock that blocks others is held while all rows of a table are checked, refreshed or written.",
        "Add constraints NOT VALID and validate them in a later revision; fill rows in batches.",
    ),
    HazardName.BRIEF_LOCK: (
        Danger.WARNS,
        "A big table is locked for a moment, or an index is dropped without CONCURRENTLY; if it waits, others queue.",
        "Keep `lock_timeout` short; drop indexes CONCURRENTLY, in an autocommit block.",
    ),
    HazardName.FAILS_ON_ROWS: (
        Danger.WARNS,
        "A column is added that is NOT NULL and has no default, which fails where the table has rows.",
        "Add the column with a constant default, or without NOT NULL and fill it before SET NOT NULL.",
    ),
    HazardName.RENAME: (
        Danger.WARNS,
        "Something gets another name, and running code that uses the old one fails.",
        "Keep the old name, by a view or a second column, until no running code uses it.",
    ),
    HazardName.DROP_VIEW: (
        Danger.WARNS,
        "A view, collation or role is dropped, and running code that uses it fails.",
        "Release code that no longer uses it first.",
    ),
    HazardName.CHANGE_TYPE: (
        Danger.WARNS,
        "A composite type is changed, and what uses it changes with it.",
        "Check each table and function that uses the type first.",
    ),
}


@dataclass(frozen=True)
class Hazard:
    """A named danger of one change.

    Attributes:
        name: One of the closed list.
        target: What it is about, such as "revision 4f1c" or "fixture users".
        message: What would happen.
        remedy: The safer way.
        place: The file, with the line where it is known: "migrations/versions/4f1c.py:12"; empty if unknown. It is
            relative to the folder of the configuration file.
        allowed: Whether the run may do it, by --allow or by limits in the file; null where it needs no permission, as
            in an environment that is not protected.
    """

    name: HazardName
    target: str
    message: str
    remedy: str = ""
    place: str = ""
    allowed: bool | None = None

    @property
    def where(self) -> str:
        """Words target and place: `revision 4f1c, migrations/versions/4f1c.py:12`."""
        return f"{self.target}, {self.place}" if self.place else self.target


def refused(hazards: Iterable[Hazard]) -> list[HazardName]:
    """Returns the names that are missing a permission, each once."""
    return list(dict.fromkeys(hazard.name for hazard in hazards if hazard.allowed is False))


def unknown_hazard(text: str) -> tuple[str, str | None] | None:
    """Returns what is wrong with the name of a hazard, and a hint; None for one of the list."""
    names = [name.value for name in HazardName]
    return None if text in names else (f"unknown hazard {one_line(text)!r}", did_you_mean(text, names))
