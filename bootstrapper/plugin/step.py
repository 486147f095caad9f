"""The contracts. Plugin authors start here.

    Gate    opened before anything is planned        wait
    Scope   put around the rest of the run           lock
    Step    one idempotent unit of work              backup, migrate, seed, sql, command
    Check   a read-only question: yes, no, unknown   revision, rows, table, sql, ...
    Value   what `{$key: argument}` stands for       $password, $env, $file, ...

A plugin registers its classes by a hook (hookspecs.py); one instance is made for each use in the file, after its
options are validated. Instances keep no state between calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from logging import Logger
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from bootstrapper.config.run_cache import RunCache
from bootstrapper.deadline import Deadline
from bootstrapper.errors import Problem, Source
from bootstrapper.events import Emit, StepProgressed, StepReported
from bootstrapper.masking import Masker
from bootstrapper.plans import Action, Answer, Bounds, Change, Deferred, Finding, Verdict
from bootstrapper.plugin.options import StepModel
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.lock import Hold

if TYPE_CHECKING:
    from psycopg import Connection, sql
    from sqlalchemy import Connection as SQLAlchemyConnection

    from bootstrapper.config.document import Document
    from bootstrapper.config.load import FixtureConfig

__all__ = [
    "UNKNOWN",
    "Action",
    "Answer",
    "Bounds",
    "Change",
    "Check",
    "Context",
    "Deferred",
    "Finding",
    "Gate",
    "Probe",
    "Project",
    "Scope",
    "Step",
    "StepModel",
    "Value",
    "Verdict",
]


@dataclass(frozen=True, kw_only=True)
class Project:
    """The configuration from the file and the command line; constant during a run.

    Attributes:
        command: Name of the command, as the ledger records it.
        directory: The file's folder; relative paths start here.
        inputs: SHA-256 over all inputs except the database's address.
        variables: Environment variables for values: those of the process, then those of the env files.
        environment: The chosen environment; None if the file declares none.
        default_secrets: Whether a default may stand in for a secret variable (development only).
        protected_environments: Names of the protected environments of the file.
        fixture_conditions: The `when` of each fixture that has one, by the fixture's name.
        cache: Results that stay valid for the whole run and take long to find out.
    """

    name: str
    command: str
    directory: Path
    document: Document
    environment: str | None
    protected: bool
    target: Target
    ledger: LedgerNames
    inputs: str
    variables: Mapping[str, str]
    default_secrets: bool
    protected_environments: Collection[str] = ()
    fixtures: Mapping[str, FixtureConfig] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    steps: Mapping[str, Unit] = field(default_factory=dict)
    fixture_conditions: Mapping[str, Callable[[Context], Answer]] = field(default_factory=dict)
    cache: RunCache = field(default_factory=RunCache, repr=False, compare=False)
    remembered: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def written(self) -> str:
        """The content of the file with its variables unresolved: the form that may be shown."""
        return repr(self.document.data)

    def path(self, text: str | Path) -> Path:
        """Returns an absolute path; a relative one starts at the file's folder."""
        return (self.directory / text).absolute()


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step, check or value may use; nothing in it is global state.

    Attributes:
        session: The session of the run; `connection` is its psycopg connection, opened on first use.
        hold: The lock that is held; None while planning.
        options: The validated `with:` block of the current step.
        pending: Answers whether any of the named steps has changes, or may have.
        earlier: Returns the names of the steps before this one that have changes, or may have; none when this step's
            turn has come.
        deadline: The time limit of the run, or of this step.
        scratch: Kept from `prepare` to `apply` of one turn of the step. What an attempt that was rolled back put there
            is dropped before the next one.
    """

    project: Project
    step: str
    session: Session
    emit: Emit
    deadline: Deadline
    logger: Logger
    masker: Masker
    options: StepModel | None = None
    hold: Hold | None = None
    pending: Callable[[Collection[str]], Answer] = lambda names: Answer.unknown("nothing is planned yet")
    earlier: Callable[[], Sequence[str]] = lambda: ()
    scratch: dict[str, object] = field(default_factory=dict)

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the hold, if one is held: another one would write without the fence."""
        return self.hold.connection if self.hold is not None else self.session.connection

    @property
    def run_id(self) -> UUID | None:
        return self.hold.fence.run_id if self.hold else None

    @property
    def application_name(self) -> str:
        """The name for further sessions; it identifies the run in pg_stat_activity."""
        return self.session.name_of(self.run_id)

    @property
    def own_target(self) -> Target:
        """The database's address for further sessions, with their application_name."""
        return self.project.target.replacing(application_name=self.application_name)

    def sqlalchemy(self) -> SQLAlchemyConnection:
        """Returns a SQLAlchemy Connection on the step's own backend.

        Its begin, commit and rollback do nothing, so that code cannot leave the step's transaction and its fence.
        """
        from bootstrapper.postgres.connection.sqlalchemy import borrow  # noqa: PLC0415 - SQLAlchemy stays off the fast path

        return borrow(self.connection)

    def progress(self, done: int, total: int | None, unit: str, detail: str = "") -> None:
        self.emit(StepProgressed(self.step, done, total, unit, self.masker.mask(detail)))

    def report(self, line: str) -> None:
        """Reports a line that a tool printed, masked."""
        self.emit(StepReported(self.step, self.masker.quote(line)))


class Unit:
    """What `uses:` names: a gate, a scope or a step."""

    uses: ClassVar[str]

    as_written: Mapping[str, Any] = MappingProxyType({})
    """The `with:` block as the file writes it: what is shown of it, since its options may hold secrets. Set on the
    instance by the resolver."""

    class With(StepModel):
        """The `with:` block."""

    def __init__(self, name: str, options: Any, source: Source | None = None) -> None:
        self.name = name
        self.options = options
        self.source = source


class Gate(Unit, ABC):
    """A unit that is opened before planning, in the order of the file."""

    @abstractmethod
    def open(self, context: Context) -> None:
        """Returns once the database is available; raises UnreachableError or RefusedError otherwise. Writes nothing."""


class Scope(Unit, ABC):
    """A unit that encloses all later steps; entered only if one of them has changes."""

    @abstractmethod
    def enter(self, context: Context, pending: Callable[[], bool]) -> AbstractContextManager[Hold] | None:
        """Acquires the hold.

        Args:
            context: Has no open transaction; its session may be closed and reopened between attempts.
            pending: Asks the database whether any changes are still pending.

        Returns:
            The hold, through which all later steps write; None if no changes are pending any more.
        """


class Step(Unit, ABC):
    """An idempotent unit of work.

    Attributes:
        transactional: Whether `apply` runs in one transaction with the fence, the check and the ledger row. For steps
            that cannot (a backup, a program), the ledger gets an intent before and a result after.
    """

    transactional: ClassVar[bool] = True
    repeatable: ClassVar[bool] = True
    """Whether the step may be started again after it was interrupted; otherwise the run ends with the error."""
    borrows_session: bool = True
    """Whether `apply` sends statements of the project: they run with the settings of the project's own sessions, and
    what they change in the session is undone before the step's check is asked."""
    always_on_command: ClassVar[bool] = False
    """Whether the command of the same name always runs the step: neither `when` nor `check` is asked then, as for
    backup."""
    needs_check: ClassVar[bool] = False
    """Whether the file must declare a `check`, because the step cannot compare by itself."""
    leaves_others_alone: ClassVar[bool] = False
    """Whether applying it never gives a later step more to do, like a backup; otherwise plans say that it may."""
    has_when: bool = False
    """Whether the file declares a `when` for this step, which may keep it from running; set as `has_check` is."""
    has_check: bool = False
    """Whether the file declares a `check` for this step, which then decides instead of `changes`; set on the instance
    by the resolver."""

    @abstractmethod
    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns what would be done, read in a READ ONLY transaction; empty means done.

        What does not exist yet, or cannot be read, is a Deferred: neither an error nor an empty result.
        """

    def done_reason(self, context: Context) -> str:
        """Returns why nothing is to be done, if `changes` found nothing and no check was declared."""
        return "as declared"

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        """Returns what the step may do beyond these changes once earlier steps are applied; None for nothing.

        Called for a plan in which earlier steps have changes. Does not raise for errors of the step: `changes` does
        that. Deletion is not among the actions: one that the plan does not show is never made.
        """
        return Bounds(frozenset(Action) - {Action.DELETE, Action.NOOP})

    def prepare(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Does slow work outside any transaction, such as hashing passwords, just before `apply`."""

    def parts(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Sequence[Change | Deferred]]:
        """Cuts the changes of a transactional step into parts that are applied and committed one after the other.

        The default is one part: all or nothing. If a run is interrupted between two parts, the next run finds the rest
        by `changes`.
        """
        return (changes,)

    @abstractmethod
    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Makes the changes. Never commits; raises a leaf of StepError on failure."""

    def remarks(self, changes: Sequence[Change | Deferred]) -> Sequence[str]:
        """Returns what these changes overwrite, a line each, without secrets, for a warning and the ledger."""
        return ()

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """Returns findings for the reader of the plan; called in the READ ONLY transaction, whatever a check said."""
        return ()

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        """Returns the changes, each with its statements under the key SQL of `after`, as far as they are known."""
        return changes

    def seeds(self, declared: Collection[str]) -> Collection[str]:
        """Returns the names of the declared fixtures that this step writes."""
        return ()

    def problems(self, project: Project) -> Sequence[Problem]:
        """Returns the problems of the step's options that are visible without a database; for `validate`."""
        return ()

    def inputs(self, project: Project) -> Sequence[Path]:
        """Returns the files whose contents belong to the digest of the configuration."""
        return ()

    def heads(self, project: Project) -> Sequence[str]:
        """Returns the newest revisions in the step's own files; a plan records them."""
        return ()


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


class Check(ABC):
    """A read-only question about the database or files. Overrides either `probe` and `answer`, or `ask`.

    Attributes:
        Argument: The type of the argument: a StepModel or any type that pydantic validates. A union with None allows
            the key without an argument.
        borrows_session: Whether `ask` sends statements of the project, which run with the settings of its own sessions.
        asked_after: Whether the answer must be yes after the step is applied.
        only_in_when: Whether the question is about this run, so that it is allowed in `when` only.
        is_settled: Whether the answer stays the same during a run, because it does not depend on the database's
            content.
    """

    key: ClassVar[str]
    Argument: ClassVar[Any] = None
    borrows_session: ClassVar[bool] = True
    asked_after: ClassVar[bool] = True
    only_in_when: ClassVar[bool] = False
    is_settled: ClassVar[bool] = False

    def __init__(self, argument: Any, project: Project, step: str, source: Source | None = None) -> None:
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
    """

    key: ClassVar[str]
    secret: ClassVar[bool] = False
    needs_database: ClassVar[bool] = False
    borrows_session: ClassVar[bool] = True
    create_only: ClassVar[bool] = False
    verbatim: ClassVar[bool] = False

    def is_secret(self, argument: Any) -> bool:
        """Returns whether the result is a secret for this argument, as written in the file."""
        return self.secret

    def variables(self, argument: Any) -> tuple[str, ...]:
        """Returns the names of the variables that it reads itself for this argument, as written in the file."""
        return ()

    def check(self, argument: Any) -> None:
        """Raises ValueError, without the secret, for an argument that `resolve` would refuse. Has no other effect.

        Called when the file is read, and by plans for rows to create, so that mistakes are found before `apply`. Parts
        of the argument that are not known yet are `UNKNOWN`.
        """
        return

    @abstractmethod
    def resolve(self, context: Context, argument: Any) -> object:
        """Returns the value; raises ValueError with a reason, without the secret, on failure."""

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
