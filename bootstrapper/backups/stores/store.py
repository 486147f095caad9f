"""Where backups lie: a local folder, or a remote place behind fsspec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

from bootstrapper.backups.stores.catalogue import Backup
from bootstrapper.backups.stores.manifest import Manifest


class Draft(ABC):
    """A dump that is being written under a temporary name; gone at the end unless it was published."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Appends all of it."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes written so far."""

    @abstractmethod
    def finish(self) -> None:
        """Returns when all that was written lasts."""

    @abstractmethod
    def read(self) -> Iterator[bytes]:
        """What is stored, from its beginning, as the place itself gives it."""

    @abstractmethod
    def publish(self, manifest: Manifest) -> Backup:
        """Gives manifest and dump their names. The dump comes last: its name stands only for what is complete."""


class Store(ABC):
    """Every method raises BackupError where the place can not be reached or refuses.

    Attributes:
        where: Its address, without secrets.
    """

    where: str

    @abstractmethod
    def prepare(self) -> None:
        """Makes the place where it is missing, and removes what killed runs did not finish there.

        Raises BackupError where nothing can be written there: a long dump would only find that out at its end.
        """

    @abstractmethod
    def backups(self) -> list[Backup]:
        """Newest first; none where the place does not exist."""

    @abstractmethod
    def is_taken(self, name: str) -> bool:
        """Whether there is something of this name."""

    @abstractmethod
    def draft(self, name: str) -> AbstractContextManager[Draft]:
        """A new dump, which no other run writes to."""

    @abstractmethod
    def has_draft(self, name: str) -> bool:
        """Whether somebody is at work on a dump of this name."""

    @abstractmethod
    def read(self, backup: Backup) -> Iterator[bytes]:
        """The dump in pieces."""

    @abstractmethod
    def remove(self, backup: Backup) -> None:
        """The dump first: a kill in between leaves a manifest without dump, which the next run removes."""
