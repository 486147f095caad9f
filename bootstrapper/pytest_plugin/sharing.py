"""What the workers of one pytest session tell each other: who makes a template, and how that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")


class NotMadeError(Exception):
    """The template cannot be made, or not be cloned."""

    @classmethod
    def again(cls) -> Self:
        """Returns the error of later tests, which leaves out the reason."""
        return cls("the database cannot be bootstrapped; the reason is in another error of this session")


class Agreement:
    """One worker makes each template; the others take it, or its failure, without trying again.

    Args:
        folder: Shared by the workers of the session, and new for each session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reach(self, key: str, first: Callable[[], T], later: Callable[[], T]) -> T:
        """Calls `first` in one process, and `later` in all others once that has succeeded.

        Raises NotMadeError of `first`, without the reason for all but the first caller.
        """
        done, failed = self._folder / f"bootstrap-{key}.done", self._folder / f"bootstrap-{key}.failed"
        if not done.exists():
            with _locked(self._folder / f"bootstrap-{key}.lock"):
                if failed.exists():
                    raise NotMadeError.again()
                if not done.exists():
                    return self._first(first, done, failed)
        return later()

    def _first(self, first: Callable[[], T], done: Path, failed: Path) -> T:
        try:
            made = first()
        except NotMadeError:
            failed.touch()
            raise
        done.touch()
        return made


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    import fcntl  # noqa: PLC0415 - not on Windows, where sessions that use no fixture of ours must not fail

    with file.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
