"""The contracts. Plugin authors start here.

    Gate    opened before anything is planned        wait
    Scope   put around the rest of the run           lock
    Step    one idempotent unit of work              backup, migrate, seed, sql, command
    Check   a read-only question: yes, no, unknown   revision, rows, table, sql, ...
    Value   what `{$key: argument}` stands for       $password, $env, $file, ...

A class of one's own is registered by a hook (hookspecs.py); one instance is made for each place of the file that
uses it, after its options were validated. Instances keep no state between calls.
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

from bootstrapper.deadline import Deadline
from bootstrapper.errors import Problem, Source
from bootstrapper.events import Emit, StepProgressed, StepReported
from bootstrapper.masking import Masker
from bootstrapper.options import StepModel
from bootstrapper.plan import Action, Answer, Bounds, Change, Deferred, Finding, Verdict
from bootstrapper.postgres.ledger import LedgerNames
from bootstrapper.postgres.lock import Hold
from bootstrapper.postgres.session import Session
from bootstrapper.postgres.target import Target

if TYPE_CHECKING:
    from psycopg import Connection, sql
    from sqlalchemy import Connection as SQLAlchemyConnection

    from bootstrapper.config import FixtureConfig
    from bootstrapper.document import Document

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
    """What the file and the command line say; the same for the whole run.

    Attributes:
        command: The word on the command line, as the ledger notes it.
        directory: The file's folder; relative paths start here.
        inputs: SHA-256 over all inputs but the database's address.
        variables: The environment a value may come from: the process's own, then the env files.
        environment: The named environment, None where the file declares none.
        default_secrets: Whether a default may stand in for a secret variable (development only).
        protected_environments: Names of all those of the file that are protected.
        fixture_conditions: What the `when` of a fixture asks, by the fixture's name; none for those without one.
        remembered: What took long to find out and holds for the whole run, by whatever it depends on.
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
    remembered: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def written(self) -> str:
        """All that the file has, with its variables as they are written: what may be shown of it."""
        return repr(self.document.data)

    def path(self, text: str | Path) -> Path:
        """An absolute path; a relative one starts at the file's folder."""
        return (self.directory / text).absolute()


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step, check or value may use; nothing in it is global.

    Attributes:
        session: The one connection of the run; `connection` is its psycopg connection, opened when first used.
        hold: The lock that is held, None while planning.
        options: The validated `with:` block of the step at hand.
        pending: Tells for names of steps whether any of them has changes, or may have.
        earlier: Tells the names of the steps before this one that have changes, or may have; none at its own turn.
        deadline: When the run, or this step of it, has to be finished.
        scratch: Kept from a step's `prepare` to its `apply`; a new one for every turn.
            What an attempt that was rolled back put there is dropped before the next one.
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
        """Under a hold only the connection that has it: a new one would write without the fence."""
        return self.hold.connection if self.hold is not None else self.session.connection

    @property
    def run_id(self) -> UUID | None:
        return self.hold.fence.run_id if self.hold else None

    @property
    def application_name(self) -> str:
        """For sessions beside this one: it names the run in pg_stat_activity."""
        return self.session.name_of(self.run_id)

    @property
    def own_target(self) -> Target:
        """The database's address for sessions beside this one, with their name in it."""
        return self.project.target.replacing(application_name=self.application_name)

    def sqlalchemy(self) -> SQLAlchemyConnection:
        """A SQLAlchemy Connection on the step's own backend.

        Its begin, commit and rollback are inert, so that no code can leave the step's transaction and its fence.
        """
        from bootstrapper.postgres.sqlalchemy import borrow  # noqa: PLC0415 - SQLAlchemy stays off the fast path

        return borrow(self.connection)

    def progress(self, done: int, total: int | None, unit: str, detail: str = "") -> None:
        self.emit(StepProgressed(self.step, done, total, unit, self.masker.mask(detail)))

    def report(self, line: str) -> None:
        """Passes on a line that a tool printed, masked."""
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
    """Opened before planning, in the file's order."""

    @abstractmethod
    def open(self, context: Context) -> None:
        """Returns when the way is free; raises UnreachableError or RefusedError otherwise. Writes nothing."""


class Scope(Unit, ABC):
    """Put around all later steps; entered only if one of them has changes."""

    @abstractmethod
    def enter(self, context: Context, pending: Callable[[], bool]) -> AbstractContextManager[Hold] | None:
        """Takes hold.

        Args:
            context: Without a transaction; its session may be closed and opened again between tries.
            pending: Asks the database whether there still is something to do.

        Returns:
            The hold, through which all later steps write; None where everything was done meanwhile.
        """


class Step(Unit, ABC):
    """One idempotent unit of work.

    Attributes:
        transactional: Whether `apply` runs in one transaction with the fence, the check and the ledger row. Steps
            that can not (a backup, a program) leave an intent row before and a result after.
    """

    transactional: ClassVar[bool] = True
    repeatable: ClassVar[bool] = True
    """Whether the step may be begun again after it was cut off somewhere; else the run ends with the error."""
    borrows_session: bool = True
    """Whether `apply` sends statements of the project: they run with the settings of the project's own sessions, and
    what they change of the session is undone before the step's check is asked."""
    always_on_command: ClassVar[bool] = False
    """Whether the command of its name does it in any case: neither `when` nor `check` is asked then, as of backup."""
    needs_check: ClassVar[bool] = False
    """Whether the file must declare a `check`, because the step can not compare by itself."""
    leaves_others_alone: ClassVar[bool] = False
    """Whether applying it cannot give a later step more to do, as a backup cannot; else plans say that it may."""
    has_when: bool = False
    """Whether the file declares a `when` for this step, which may keep it from running; set as `has_check` is."""
    has_check: bool = False
    """Whether the file declares a `check` for this step, which then decides instead of `changes`; set on the instance
    by the resolver."""

    @abstractmethod
    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """What would be done, read in a READ ONLY transaction; empty means done.

        Never raises because something does not exist yet: that is a Deferred. Never empty because it could not look.
        """

    def done_reason(self, context: Context) -> str:
        """Why nothing is to be done, where `changes` found nothing and no check was declared."""
        return "as declared"

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        """What the step may do beyond these changes once earlier steps were applied; None where nothing.

        Asked for a plan in which earlier steps have changes. Never raises for what is wrong with the step: `changes`
        does that. A deletion that the plan does not show is never made, so it is not among the actions.
        """
        return Bounds(frozenset(Action) - {Action.DELETE, Action.NOOP})

    def prepare(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Slow work outside any transaction, such as hashing passwords, just before `apply`."""

    def parts(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Sequence[Change | Deferred]]:
        """The changes of a transactional step, cut into parts that are applied and committed one after the other.

        One part, as here, is the rule: all or nothing. Where a run is cut off between two parts, the next run finds
        by `changes` what is left.
        """
        return (changes,)

    @abstractmethod
    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Makes the changes. Never commits; raises a leaf of StepError where it can not."""

    def remarks(self, changes: Sequence[Change | Deferred]) -> Sequence[str]:
        """What these changes overwrite, a line each and without secrets; a run warns of it, and the ledger keeps it."""
        return ()

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """What a reader of the plan should know besides; read in the READ ONLY transaction, whatever a check said."""
        return ()

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        """The changes, each with its statements under the name SQL of `after`, as far as they can be known."""
        return changes

    def seeds(self, declared: Collection[str]) -> Collection[str]:
        """Names of the declared fixtures that this step takes care of."""
        return ()

    def problems(self, project: Project) -> Sequence[Problem]:
        """What is wrong with what the step was given, as far as that shows without a database; for `validate`."""
        return ()

    def inputs(self, project: Project) -> Sequence[Path]:
        """Files whose contents belong to the configuration's digest."""
        return ()

    def heads(self, project: Project) -> Sequence[str]:
        """Revisions that the step's own files lead to; a plan notes them."""
        return ()


@dataclass(frozen=True)
class Probe:
    """A question in SQL, sent together with all others in one pipeline.

    Attributes:
        missing: The answer where a table, column or schema does not exist; None means unknown.
        borrows_session: Whether it is asked with the settings of the project's own sessions, such as search_path; else
            only names of pg_catalog are found.
    """

    statement: str | sql.Composable
    parameters: Sequence[object] | Mapping[str, object] = ()
    missing: Answer | None = None
    borrows_session: bool = True


class Check(ABC):
    """A read-only question about the database or files. Overrides either `probe` and `answer`, or `ask`.

    Attributes:
        Argument: What the value beside the key has to be: a StepModel or any type pydantic validates. None allowed
            by `type[None]` unions lets the bare key stand alone.
        borrows_session: Whether `ask` sends statements of the project, which run with its own sessions' settings.
        asked_after: Whether the answer must be yes after the step was applied.
        only_in_when: Whether the question is about this run, and so makes no sense as a `check`.
        is_settled: Whether no step of the run can change the answer, because it is not about what the database holds.
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
        """The question as SQL; None where `ask` answers instead."""
        return None

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        """Reads the probe's rows."""
        raise NotImplementedError

    def ask(self, context: Context) -> Answer:
        """Answers by other means; costs its own round trips."""
        raise NotImplementedError

    def beforehand(self) -> Answer | None:
        """The answer where the file and the environment alone give it; None where anything has to be looked at."""
        return None

    def problems(self) -> Sequence[Problem]:
        """What is wrong with what the check was given, as far as that shows without a database; for `validate`."""
        return ()

    def marks(self) -> tuple[str, ...]:
        """Ids that the ledger row of a success carries, for `once`."""
        return ()

    def about(self) -> tuple[str, ...]:
        """Names of the steps that the question is about; each must exist, and none may ask back."""
        return ()


class Unknown(Enum):
    """Stands in an argument for what variables and other functions are yet to give."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


class Value(ABC):
    """A value function: what `{$key: argument}` stands for. Also the way secrets come in.

    Attributes:
        secret: The result is masked everywhere.
        needs_database: Only usable in fixtures, where there is a connection.
        borrows_session: Whether one that needs the database sees the search_path of the project's own sessions.
        create_only: The result is written when a row is created and never compared.
        verbatim: The argument is handed over as the file wrote it, its own variables and functions untouched.
    """

    key: ClassVar[str]
    secret: ClassVar[bool] = False
    needs_database: ClassVar[bool] = False
    borrows_session: ClassVar[bool] = True
    create_only: ClassVar[bool] = False
    verbatim: ClassVar[bool] = False

    def is_secret(self, argument: Any) -> bool:
        """Whether the result is a secret for this argument, as the file wrote it."""
        return self.secret

    def variables(self, argument: Any) -> tuple[str, ...]:
        """Names of the variables that it reads by itself for this argument, as the file wrote it."""
        return ()

    def check(self, argument: Any) -> None:
        """Raises ValueError, without the secret, for an argument that `resolve` is going to refuse. Makes nothing.

        Asked when the file is read, and by plans for rows to create, so that `apply` is not the first to meet a
        mistake. Parts of the argument that are not known by then are `UNKNOWN`.
        """
        return

    @abstractmethod
    def resolve(self, context: Context, argument: Any) -> object:
        """The value; raises ValueError with a reason, and without the secret, where there is none."""

    def is_compared(self, argument: Any) -> bool:
        """Whether `holds` judges existing rows for this argument, as the file wrote it.

        Only of a `create_only` function, as the whole value of a column, in modes update and sync. Raises ValueError
        for an argument that can not be right.
        """
        return False

    def holds(self, context: Context, argument: Any, stored: str | None) -> bool:
        """Whether the text in an existing row still stands for the argument; where not, `resolve` makes a new one.

        Asked of many rows at once, in threads, and never of a row that is to be created. What the answer depends on
        beside argument and text must not change within a run. Raises as `resolve` does.
        """
        raise NotImplementedError
