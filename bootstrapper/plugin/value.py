"""The contract of a value function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, ClassVar

from bootstrapper.plugin.context import Context


class Unknown(Enum):
    """Stands in an argument for what variables and other functions are yet to give."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


class Value(ABC):
    """A value function, written `{$key: argument}`; also the source of secrets.

    Attributes:
        secret: Whether the result is masked everywhere.
        needs_database: Whether it is only usable in fixtures, with a connection.
        borrows_session: Whether it sees the search_path of the project's own sessions, if it needs the database.
        create_only: Whether the result is written when a row is created, and never compared.
        verbatim: Whether the argument is passed as written in the file, its variables and functions unresolved.
        constant: Whether the result is the same each time during a run. Where the address of the database is not, it is
            resolved again at each connect, as for a password that is rotated.
        runs_program: Whether it starts a program; then `validate` only checks its argument.
        is_path_to_secret: Whether the argument of a secret only tells where to find it, so that its variables
            are not secrets.
        pure: Whether the value depends only on the argument, `variables` and `files`. Only then does the quick
            look answer where it is compared.
    """

    key: ClassVar[str]
    secret: ClassVar[bool] = False
    needs_database: ClassVar[bool] = False
    borrows_session: ClassVar[bool] = True
    create_only: ClassVar[bool] = False
    verbatim: ClassVar[bool] = False
    constant: ClassVar[bool] = False
    runs_program: ClassVar[bool] = False
    is_path_to_secret: ClassVar[bool] = False
    pure: ClassVar[bool] = False

    def is_secret(self, argument: Any) -> bool:
        """Returns whether the result is a secret for this argument, as written in the file."""
        return self.secret

    def hides_argument(self, argument: Any, *, in_secret: bool = False) -> bool:
        """Returns whether the argument is a secret itself, as written in the file.

        Args:
            in_secret: Whether the call stands where a secret belongs, as in the argument of another function.
        """
        return (in_secret or self.is_secret(argument)) and not self.is_path_to_secret

    def variables(self, argument: Any) -> tuple[str, ...]:
        """Returns the names of the variables that it reads itself for this argument, as written in the file."""
        return ()

    def files(self, argument: Any) -> tuple[str, ...]:
        """Returns the paths of the files whose content is the value for this argument, as written in the file."""
        return ()

    def check(self, argument: Any) -> None:
        """Raises ValueError, without the secret, for an argument that `resolve` would refuse. Has no other effect.

        Called when the file is read, and by plans for rows to create, so that mistakes are found before `apply`. Parts
        of the argument that are not known yet are `UNKNOWN`.
        """
        return

    @abstractmethod
    def resolve(self, context: Context, argument: Any) -> object:
        """Returns the value; raises ValueError with a reason, without the secret, on failure.

        Text, a number, a date, a time, a UUID, None, or lists and mappings of these.
        """

    def is_compared(self, argument: Any) -> bool:
        """Returns whether `holds` compares existing rows for this argument, as written in the file.

        Called only for a `create_only` function that is the whole value of a column, in modes update and sync. Raises
        ValueError for an argument that cannot be right.
        """
        return False

    def holds(self, context: Context, argument: Any, stored: str | None) -> bool:
        """Returns whether the text in an existing row still matches the argument; if not, `resolve` makes a new one.

        Called for many rows at once, in threads, and never for a row to be created. The answer must depend only on the
        argument, the text, and what is constant during a run. Raises as `resolve` does.
        """
        raise NotImplementedError
