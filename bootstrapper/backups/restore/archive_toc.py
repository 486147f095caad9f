"""Reads the table of contents of an archive in custom or directory format.

`pg_restore --list` prints names without quotes, which is ambiguous. The format:
https://github.com/postgres/postgres/blob/REL_18_STABLE/src/bin/pg_dump/pg_backup_archiver.c (ReadHead, ReadToc)
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BackupError

_MAGIC = b"PGDMP"
_OLDEST, _NEWEST = (1, 12), (1, 16)  # of pg_dump 9.0 and of 17 and 18
_CUSTOM, _TAR = 1, 3  # a directory has the format of a tar archive in its table
_DATE_PARTS = 7


@dataclass(frozen=True)
class Entry:
    """One entry of an archive.

    Attributes:
        number: Its id within the archive.
        kind: Such as TABLE, TABLE DATA, FK CONSTRAINT.
        schema: None for database-wide objects.
        name: The exact name of an object; of a part of an object, only a description.
        owner: None without one.
        needs: The numbers of entries that this one depends on; of comments and grants, that of their object.
    """

    number: int
    kind: str
    schema: str | None
    name: str
    owner: str | None
    needs: tuple[int, ...]


def entries(path: Path) -> list[Entry]:
    """Returns all entries in order; raises BackupError if it is not a dump in custom or directory format."""
    place = path / "toc.dat" if path.is_dir() else path
    try:
        with place.open("rb") as file:
            return _Reader(file, place.stat().st_size).entries()
    except OSError as error:
        raise BackupError(f"cannot read {place}: {error.strerror or error}") from error


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self._number_size = self._offset_size = self._format = 0
        self._version = (0, 0)

    def entries(self) -> list[Entry]:
        self._head()
        return [self._entry() for _ in range(self._number())]

    def _head(self) -> None:
        if self._take(len(_MAGIC)) != _MAGIC:
            raise BackupError("not a dump in custom or directory format")
        major, minor, _ = self._take(3)
        self._version = (major, minor)
        if not _OLDEST <= self._version <= _NEWEST:
            raise BackupError(
                f"unsupported archive version {major}.{minor}",
                hint="Remove --in-place.",
            )
        self._number_size, self._offset_size, self._format = self._take(3)
        if self._format not in (_CUSTOM, _TAR):
            raise BackupError("not a dump in custom or directory format")
        if self._version >= (1, 15):
            self._take(1)  # the method of compression
        else:
            self._number()  # the level
        for _ in range(_DATE_PARTS):
            self._number()
        for _ in ("database", "server's version", "pg_dump's version"):
            self._text()

    def _entry(self) -> Entry:
        number, _has_data = self._number(), self._number()
        _table_oid, _oid = self._text(), self._text()
        name, kind = self._text() or "", self._text() or ""
        self._number()  # the section
        for _ in ("definition", "statement that drops it", "statement that copies into it"):
            self._text()
        schema = self._text()
        self._text()  # the tablespace
        if self._version >= (1, 14):
            self._text()  # the access method
        if self._version >= (1, 16):
            self._number()  # the kind of relation
        owner = self._text()
        self._text()  # whether it has oids
        needs = []
        while (needed := self._text()) is not None:
            needs.append(int(needed))
        if self._format == _CUSTOM:
            self._take(1 + self._offset_size)  # where its data begins
        else:
            self._text()  # the file of its data
        return Entry(number, kind, schema or None, name, owner or None, tuple(needs))

    def _number(self) -> int:
        sign, *digits = self._take(1 + self._number_size)
        value = int.from_bytes(bytes(digits), "little")
        return -value if sign else value

    def _text(self) -> str | None:
        length = self._number()
        return self._take(length).decode(errors="surrogateescape") if length >= 0 else None

    def _take(self, length: int) -> bytes:
        self._left -= length
        data = self._file.read(length) if self._left >= 0 else b""
        if len(data) != length:
            raise BackupError("the dump is truncated within its table of contents")
        return data
