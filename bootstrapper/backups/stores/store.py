"""The contract of a store of backups, and the backups in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.dataclass import dataclass


@dataclass(frozen=True)
class Backup:
    """A dump with its manifest.

    Attributes:
        path: The file or folder; in a remote store only its name.
        verified: Whether the dump exists with the size that it was verified with. The checksum is not computed again.
        url: Its address in a remote store, without secrets; None in a local folder.
    """

    path: Path
    manifest: Manifest
    verified: bool
    url: str | None = None

    @property
    def where(self) -> str:
        return self.url or str(self.path)


class Draft(ABC):
    """A dump being written under a temporary name; removed at the end unless it was published."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Appends all of the data."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of bytes written so far."""

    @abstractmethod
    def finish(self) -> None:
        """Returns when everything is on disk, or stored remotely."""

    @abstractmethod
    def read(self) -> Iterator[bytes]:
        """Yields the stored bytes from the beginning, as read from the store."""

    @abstractmethod
    def publish(self, manifest: Manifest) -> Backup:
        """Renames manifest and dump to their final names, the dump last: its name exists only once it is complete."""


class Store(ABC):
    """A local folder or a remote place. Every method raises BackupError if the store is unreachable or refuses.

    Attributes:
        where: The address, without secrets.
    """

    where: str

    @abstractmethod
    def prepare(self) -> None:
        """Creates the store if it does not exist, and removes drafts of killed runs.

        Raises BackupError if it is not writable, which a long dump would only find out at its end.
        """

    @abstractmethod
    def backups(self) -> list[Backup]:
        """Returns the backups, newest first; empty if the store does not exist."""

    @abstractmethod
    def is_taken(self, name: str) -> bool:
        """Returns whether the name is in use."""

    @abstractmethod
    def draft(self, name: str) -> AbstractContextManager[Draft]:
        """Yields a new dump that no other run writes to."""

    @abstractmethod
    def has_draft(self, name: str) -> bool:
        """Returns whether a dump of this name is being written."""

    @abstractmethod
    def read(self, backup: Backup) -> Iterator[bytes]:
        """Yields the dump in pieces."""

    @abstractmethod
    def remove(self, backup: Backup) -> None:
        """Removes the dump first: if killed in between, the manifest without a dump is removed by the next run."""
