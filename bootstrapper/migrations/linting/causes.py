"""What a statement can do to a live table: locks by PostgreSQL's names, and what it does under them."""

from __future__ import annotations

from enum import Enum, IntEnum, unique

from bootstrapper.plans import HazardName

_LOST = ", and the dropped data is lost"
_FILL = "Add the column without a default, set the default for new rows, and fill the old rows in batches."


class Lock(IntEnum):
    """Table-level locks, the weakest first (manual, section 13.3)."""

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")

    @property
    def blocks(self) -> str:
        """What other sessions cannot do meanwhile."""
        if self is Lock.ACCESS_EXCLUSIVE:
            return "blocks reads and writes"
        if self >= Lock.SHARE:
            return "blocks writes"
        return "blocks changes of its schema"


@unique
class Cause(Enum):
    """How a statement comes by a hazard, worst first.

    Attributes:
        hazard: The name in the closed list, which also has the remedy unless the cause has a better one.
        consequence: Continues the text about what the lock blocks.
    """

    FAILS_ON_ROWS = (
        HazardName.FAILS_ON_ROWS,
        ", and fails where the table has rows: the new column is NOT NULL and has no default",
    )
    DROP_TABLE = HazardName.DROP_TABLE, _LOST
    DROP_COLUMN = HazardName.DROP_COLUMN, _LOST
    DROP_OBJECT = HazardName.DROP_OBJECT, _LOST, "Release code that no longer uses it first, and keep a backup."
    DROP_USED = HazardName.DROP_VIEW, ", and code that uses it fails afterwards"
    TRUNCATE = (
        HazardName.DELETE_ROWS,
        ", and deletes all rows",
        "Keep a backup of the rows, or delete them in batches.",
    )
    DELETE = HazardName.DELETE_ROWS, ", and deletes rows", "Keep a backup of the rows."
    NEW_TYPE = (
        HazardName.REWRITE,
        " while the table is rewritten, unless the server can keep the stored values",
        "Add a column of the new type, fill it in batches, then switch to it.",
    )
    NEW_VALUES = (
        HazardName.REWRITE,
        " while the table is rewritten to give each row its value",
        _FILL,
    )
    MAY_BE_NEW_VALUES = (
        HazardName.REWRITE,
        " while the table is rewritten, if the default calls a volatile function",
        _FILL,
    )
    REWRITE = HazardName.REWRITE, " while the table is rewritten", "Run it while no other session uses the table."
    SCAN = (
        HazardName.LONG_LOCK,
        " while all rows are checked",
        "Add the constraint NOT VALID, and VALIDATE CONSTRAINT in a transaction of its own.",
    )
    NULL_SCAN = (
        HazardName.LONG_LOCK,
        " while all rows are checked",
        "Add CHECK (... IS NOT NULL) NOT VALID, validate it in a transaction of its own, then SET NOT NULL.",
    )
    PARTITION_SCAN = (
        HazardName.LONG_LOCK,
        " while all rows of the partition are checked",
        "Add a CHECK that implies the partition's bounds first, and validate it.",
    )
    FOREIGN_KEY = (
        HazardName.LONG_LOCK,
        " while all rows are checked",
        "Add the foreign key NOT VALID, and VALIDATE CONSTRAINT in a transaction of its own.",
    )
    CONSTRAINT_INDEX = (
        HazardName.INDEX_WITHOUT_CONCURRENTLY,
        " while its index is built",
        "Build a unique index CONCURRENTLY first, then add the constraint USING INDEX.",
    )
    INDEX = (
        HazardName.INDEX_WITHOUT_CONCURRENTLY,
        " while the index is built",
        "Build it CONCURRENTLY, in an autocommit block.",
    )
    REINDEX = (
        HazardName.INDEX_WITHOUT_CONCURRENTLY,
        " while the index is rebuilt",
        "Use REINDEX ... CONCURRENTLY, in an autocommit block.",
    )
    REFRESH = (
        HazardName.LONG_LOCK,
        " while the view is refreshed",
        "Refresh it CONCURRENTLY, which requires a unique index on it.",
    )
    DROP_INDEX = (
        HazardName.BRIEF_LOCK,
        " until the transaction ends",
        "Drop it CONCURRENTLY, in an autocommit block.",
    )
    RENAME = HazardName.RENAME, ", and code that uses the old name fails afterwards"
    TYPE = HazardName.CHANGE_TYPE, ", and what uses the type changes with it"

    def __init__(self, hazard: HazardName, consequence: str, remedy: str = "") -> None:
        self.hazard = hazard
        self.consequence = consequence
        self.remedy = remedy or hazard.safer

    @property
    def loses_data(self) -> bool:
        """Whether it matters even for a table without rows."""
        return self in (Cause.DROP_TABLE, Cause.DROP_COLUMN, Cause.DROP_OBJECT)
