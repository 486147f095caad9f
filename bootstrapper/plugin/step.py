"""The contract of a step. Plugin authors start here.

    Step    one idempotent unit of work              backup, extension, migrate, seed, ...
    Gate    opened before anything is planned        wait           (scopes.py)
    Scope   put around the steps below it                           (scopes.py)
    Check   a read-only question: yes, no, unknown   revision, rows, table, sql, ...
    Value   what `{$key: argument}` stands for       $password, $env, $file, ...

A plugin registers its classes by a hook (hooks.py); one instance is made for each use in the file, after its options
are validated. Instances keep no state between calls. What a step may do beyond this contract is in traits.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic

from typing_extensions import TypeVar

from bootstrapper.errors import Problem, Source
from bootstrapper.plans import Change, Deferred, Finding
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.options import StepModel, type_argument
from bootstrapper.plugin.project import Project

With = TypeVar("With", bound=StepModel, default=StepModel, covariant=True)


class Unit(Generic[With]):
    """What `uses:` names: a gate, a scope or a step.

    The model of its `with:` block stands in brackets, as in `class Grant(Step[GrantOptions])`; a unit without it
    takes no options.

    Attributes:
        uses: The name that the file uses.
        options_type: The model of the `with:` block, taken from the brackets.
        name: The name of this use of it.
        options: The validated `with:` block.
        source: Its place in the file.
    """

    uses: ClassVar[str]
    options_type: ClassVar[type[StepModel]] = StepModel
    name: str
    options: With
    source: Source | None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.options_type = type_argument(cls, Unit, cls.options_type)

    def __init__(self, name: str, options: With, source: Source | None = None) -> None:
        self.name = name
        self.options = options
        self.source = source


class Step(Unit[With], ABC):
    """An idempotent unit of work.

    Attributes:
        transactional: Whether `apply` runs in one transaction with the fence, the check and the ledger row. For steps
            that cannot (a backup, a program), the ledger gets an intent before and a result after.
        repeatable: Whether the step may be started again after it was interrupted; otherwise the run ends with the
            error.
        borrows_session: Whether `apply` sends statements of the project: they run with the settings of the project's
            own sessions, and what they change in the session is undone before the step's check is asked.
        always_on_command: Whether the command of the same name always runs the step: neither `when` nor `check` is
            asked then, as for backup.
        needs_check: Whether the file must declare a `check`, because the step cannot compare by itself.
        leaves_others_alone: Whether applying it never gives a later step more to do, like a backup; otherwise plans
            say that it may.
        pure: Whether `changes` and `findings` depend only on the options, the files of `inputs`, and what the
            connection answers; not on the time, other files or the network. Only then does the quick look answer for
            the step.
    """

    transactional: bool = True
    repeatable: ClassVar[bool] = True
    borrows_session: bool = True
    always_on_command: ClassVar[bool] = False
    needs_check: ClassVar[bool] = False
    leaves_others_alone: ClassVar[bool] = False
    pure: ClassVar[bool] = False

    @abstractmethod
    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns what would be done, read in a READ ONLY transaction; empty means done.

        Any iterable will do. What does not exist yet, or cannot be read, is a Deferred: neither an error nor an empty
        result. Asked for a plan, again at the step's turn under the lock, and once more after `apply`.
        """

    @abstractmethod
    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Makes exactly these changes, which `changes` found at the step's turn, each with its payload.

        Never commits; raises StepFailedError on failure.
        """

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """Returns findings for the reader of the plan; called in the READ ONLY transaction, whatever a check said."""
        return ()

    def problems(self, project: Project) -> Sequence[Problem]:
        """Returns the problems of the step's options that are visible without a database.

        Asked by each command that reads the file, before anything is connected to. Problems are reported together, and
        end the command with exit code 2; so does what it raises.
        """
        return ()

    def inputs(self, project: Project) -> Sequence[Path]:
        """Returns the files whose contents belong to the digest of the configuration.

        A folder stands for the Python files that may be added to it.
        """
        return ()
