"""The contract of a check, and the question that it sends."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from typing_extensions import TypeVar

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import Problem, Source
from bootstrapper.plans import Answer
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.options import type_argument
from bootstrapper.plugin.project import Project

if TYPE_CHECKING:
    from psycopg import sql

Argument = TypeVar("Argument", default=object, covariant=True)


@dataclass(frozen=True)
class Probe:
    """A question in SQL, sent in one pipeline with all others.

    Attributes:
        missing: The answer if a table, column or schema does not exist; None means unknown.
        borrows_session: Whether it is asked with the settings of the project's own sessions, such as search_path;
            otherwise only names of pg_catalog are found.
    """

    statement: str | sql.Composable
    parameters: Sequence[object] | Mapping[str, object] = ()
    missing: Answer | None = None
    borrows_session: bool = True


class Check(ABC, Generic[Argument]):
    """A read-only question about the database or files. Overrides either `probe` and `answer`, or `ask`.

    The type of its argument stands in brackets, as in `class RoleCheck(Check[str])`: a StepModel, or any type that
    pydantic validates. A union with None allows the key without an argument; without brackets it takes none.

    Attributes:
        key: The name that the file uses.
        argument_type: The type of the argument, taken from the brackets.
        argument: The validated argument.
        project: The configuration.
        step: The name of the step that the check belongs to.
        source: Its place in the file.
        borrows_session: Whether `ask` sends statements of the project, which run with the settings of its own sessions.
        asked_after: Whether the answer must be yes after the step is applied.
        only_in_when: Whether the question is about this run, so that it is allowed in `when` only.
        is_settled: Whether the answer stays the same during a run, because it does not depend on the database's
            content.
        pure: Whether the answer depends only on the argument and what the connection answers; not on the time,
            files or the network. Only then does the quick look answer for the check.
    """

    key: ClassVar[str]
    argument_type: ClassVar[Any] = None
    borrows_session: ClassVar[bool] = True
    asked_after: ClassVar[bool] = True
    only_in_when: ClassVar[bool] = False
    is_settled: ClassVar[bool] = False
    pure: ClassVar[bool] = False

    argument: Argument
    project: Project
    step: str
    source: Source | None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.argument_type = type_argument(cls, Check, cls.argument_type)

    def __init__(self, argument: Argument, project: Project, step: str, source: Source | None = None) -> None:
        self.argument = argument
        self.project = project
        self.step = step
        self.source = source

    def probe(self) -> Probe | None:
        """Returns the question as SQL; None if `ask` answers instead."""
        return None

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        """Returns the answer from the rows of the probe."""
        raise NotImplementedError

    def ask(self, context: Context) -> Answer:
        """Returns the answer by other means, at the cost of further round trips."""
        raise NotImplementedError

    def beforehand(self) -> Answer | None:
        """Returns the answer if the file and the environment suffice for it; None otherwise."""
        return None

    def problems(self) -> Sequence[Problem]:
        """Returns the problems of the check's argument that are visible without a database; for `validate`."""
        return ()

    def marks(self) -> tuple[str, ...]:
        """Returns ids that the ledger row of a success carries, for `once`."""
        return ()

    def about(self) -> tuple[str, ...]:
        """Returns the names of the steps that the question is about; they must exist and not ask about this one."""
        return ()
