"""What a statement can do to a live table: locks by PostgreSQL's names, and hazards under them."""

from __future__ import annotations

from enum import Enum, IntEnum, unique


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
class Hazard(Enum):
    """Effects beyond the lock, worst first; `consequence` continues the text about what the lock blocks."""

    FAILS_ON_ROWS = (
        ", and fails where the table has rows: the new column is NOT NULL and has no default",
        "Add the column with a constant default, or without NOT NULL and fill it before SET NOT NULL.",
    )
    DROP = (
        ", and the dropped data is lost",
        "Release code that no longer uses it first, and keep a backup of the data.",
    )
    DROP_USED = (
        ", and code that uses it fails afterwards",
        "Release code that no longer uses it first.",
    )
    TRUNCATE = (", and deletes all rows", "Keep a backup of the rows, or delete them in batches.")
    NEW_TYPE = (
        " while the table is rewritten, unless the server can keep the stored values",
        "Add a column of the new type, fill it in batches, then switch to it.",
    )
    NEW_VALUES = (
        " while the table is rewritten to give each row its value",
        "Add the column without a default, set the default for new rows, and fill the old rows in batches.",
    )
    MAY_BE_NEW_VALUES = (
        " while the table is rewritten, if the default calls a volatile function",
        "Add the column without a default, set the default for new rows, and fill the old rows in batches.",
    )
    REWRITE = (" while the table is rewritten", "Run it while no other session uses the table.")
    SCAN = (
        " while all rows are checked",
        "Add the constraint NOT VALID, and VALIDATE CONSTRAINT in a transaction of its own.",
    )
    NULL_SCAN = (
        " while all rows are checked",
        "Add CHECK (... IS NOT NULL) NOT VALID, validate it in a transaction of its own, then SET NOT NULL.",
    )
    PARTITION_SCAN = (
        " while all rows of the partition are checked",
        "Add a CHECK that implies the partition's bounds first, and validate it.",
    )
    FOREIGN_KEY = (
        " while all rows are checked",
        "Add the foreign key NOT VALID, and VALIDATE CONSTRAINT in a transaction of its own.",
    )
    CONSTRAINT_INDEX = (
        " while its index is built",
        "Build a unique index CONCURRENTLY first, then add the constraint USING INDEX.",
    )
    INDEX = (" while the index is built", "Build it CONCURRENTLY, in an autocommit block.")
    REINDEX = (" while the index is rebuilt", "Use REINDEX ... CONCURRENTLY, in an autocommit block.")
    DROP_INDEX = (" until the transaction ends", "Drop it CONCURRENTLY, in an autocommit block.")
    REFRESH = (" while the view is refreshed", "Refresh it CONCURRENTLY, which requires a unique index on it.")
    RENAME = (
        ", and code that uses the old name fails afterwards",
        "Keep the old name, by a view or a second column, until no running code uses it.",
    )
    TYPE = (
        ", and what uses the type changes with it",
        "Check each table and function that uses the type first.",
    )

    @property
    def consequence(self) -> str:
        return self.value[0]

    @property
    def remedy(self) -> str:
        return self.value[1]

    @property
    def loses_data(self) -> bool:
        """Whether it matters even for a table without rows."""
        return self is Hazard.DROP
