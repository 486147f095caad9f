"""The locks that a plan says its statements take."""

from __future__ import annotations

from bootstrapper.dataclass import dataclass


@dataclass(frozen=True)
class TableLock:
    """A lock on an existing table that holds rows.

    Attributes:
        relation: The table with its schema: "public.users".
        mode: PostgreSQL's name of the lock, such as "ACCESS EXCLUSIVE"; the strongest one that the target takes on it.
        target: What takes it, such as "revision 4f1c".
        place: The file, with the line where it is known: "migrations/versions/4f1c.py:12"; empty if unknown.
    """

    relation: str
    mode: str
    target: str
    place: str = ""
