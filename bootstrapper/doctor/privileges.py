"""The privileges that each command and each built-in step needs: the one table that `doctor` asks the server about, and
that docs/reference/privileges.md is made from."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from bootstrapper.dataclass import dataclass
from bootstrapper.postgres.ledger.table_names import TABLES


class On(StrEnum):
    """Kinds of objects, as the page names them."""

    DATABASE = "the database"
    LEDGER_SCHEMA = "the ledger's schema"
    LEDGER_TABLES = "the ledger's tables"
    VERSION_SCHEMA = "the schema of the version table"
    VERSION_TABLE = "the version table"
    FIXTURE_SCHEMA = "the schema of a fixture's table"
    KEY = "the key columns of a fixture"
    COMPARED = "the columns that rows set beside the key and `create_only`, in mode update or sync"
    UPDATED = "the same, but those GENERATED ALWAYS AS IDENTITY"
    DECLARED = "the columns that rows of a fixture set"
    SYNCED_TABLE = "the table of a fixture in mode sync"
    LOCKED_TABLE = "the table of a fixture whose key is not unique, or that has rules"
    REFERENCED = "the columns of other tables by which `$ref` finds rows, and those that it takes"
    OWN_SEQUENCES = "the sequences of `serial` columns that rows leave out"
    SET_SEQUENCES = "the sequences of columns that rows set"
    TRACKED = "the ledger's table `digests`, for fixtures in mode update or sync"
    EXPIRED = "the ledger's tables, with `keep_for`"
    DUMPED = "all tables and sequences, and USAGE on their schemas; membership of `pg_read_all_data` has both"
    ROLE = "role"
    OWNER = "the owner of the database"
    ITSELF = "the role itself"
    PROJECT = "objects of the project"


@dataclass(frozen=True)
class Right:
    """Privileges on objects of one kind.

    Attributes:
        privileges: All of them; in one with commas, any of those.
        names: Of the ledger's tables, of a role, or of another database.
        when: The case in which it is needed; empty for always.
        when_missing: It is needed only while these objects do not exist.
        without: What is lost without it; empty if the command fails.
        known: Whether the server can be asked about it beforehand.
    """

    privileges: tuple[str, ...]
    on: On
    names: tuple[str, ...] = ()
    when: str = ""
    when_missing: On | None = None
    without: str = ""
    known: bool = True


@dataclass(frozen=True)
class Command:
    """What a command needs besides its steps.

    Attributes:
        also: Other commands that need the same.
        looks: Whether it looks at the steps.
        applies: Whether it applies them.
        writes: Whether the server must accept writes.
    """

    rights: tuple[Right, ...]
    also: tuple[str, ...] = ()
    looks: bool = False
    applies: bool = False
    writes: bool = False


@dataclass(frozen=True)
class StepRights:
    """What a step needs to be looked at, and what else to be applied."""

    looks: tuple[Right, ...] = ()
    applies: tuple[Right, ...] = ()


_OF_RUNS = tuple(name for name in TABLES if name != "digests")
_UNKNOWN = "what depends on earlier runs is unknown"
_CONNECT = Right(("CONNECT",), On.DATABASE)
_READ_IF_THERE = (
    Right(("USAGE",), On.LEDGER_SCHEMA, without=_UNKNOWN),
    Right(("SELECT",), On.LEDGER_TABLES, TABLES, without=_UNKNOWN),
)
_READ = (
    Right(("USAGE",), On.LEDGER_SCHEMA, when="the ledger exists"),
    Right(("SELECT",), On.LEDGER_TABLES, _OF_RUNS, when="the ledger exists"),
)
_READ_LOCK = (
    Right(("USAGE",), On.LEDGER_SCHEMA, when="the ledger exists"),
    Right(("SELECT",), On.LEDGER_TABLES, ("lock", "runs", "steps", "meta"), when="the ledger exists"),
)
_TEMPORARY = Right(("TEMPORARY",), On.DATABASE, without="large fixtures are compared batch by batch")
_WRITE = (
    Right(("CREATE",), On.DATABASE, when="the ledger's schema does not exist", when_missing=On.LEDGER_SCHEMA),
    Right(("CREATE",), On.LEDGER_SCHEMA, when="the ledger's tables do not exist", when_missing=On.LEDGER_TABLES),
    Right(("USAGE",), On.LEDGER_SCHEMA),
    Right(("SELECT",), On.LEDGER_TABLES, _OF_RUNS),
    Right(("UPDATE",), On.LEDGER_TABLES, ("lock",)),
    Right(("INSERT", "UPDATE"), On.LEDGER_TABLES, ("runs",)),
    Right(("DELETE",), On.LEDGER_TABLES, ("runs",), without="a run that found nothing to do stays in `history`"),
    Right(("INSERT",), On.LEDGER_TABLES, ("steps",)),
    Right(("INSERT", "UPDATE"), On.LEDGER_TABLES, ("meta",)),
    Right(("INSERT",), On.LEDGER_TABLES, ("revisions",), without="`history` does not name revisions"),
)
_EXPIRE = (
    Right(("SELECT",), On.EXPIRED, ("digests",), without="old runs stay in the ledger"),
    Right(("DELETE",), On.EXPIRED, ("runs", "steps"), without="old runs stay in the ledger"),
)
_NEW_LEDGER = _WRITE[:3]
_NEW_VERSION_TABLE = Right(
    ("CREATE",), On.VERSION_SCHEMA, when="the version table does not exist", when_missing=On.VERSION_TABLE
)

COMMANDS: Mapping[str, Command] = {
    "plan": Command((_CONNECT, *_READ_IF_THERE, _TEMPORARY), also=("status", "fleet plan", "fleet status"), looks=True),
    "apply": Command(
        (_CONNECT, *_WRITE, *_EXPIRE, _TEMPORARY),
        also=("run", "migrate", "upgrade", "seed", "backup", "fleet apply"),
        looks=True,
        applies=True,
        writes=True,
    ),
    "wait": Command((_CONNECT,)),
    "history": Command((_CONNECT, *_READ)),
    "drift": Command(
        (
            _CONNECT,
            Right(("USAGE",), On.VERSION_SCHEMA),
            Right(("SELECT",), On.VERSION_TABLE),
            Right(("CREATEDB",), On.ITSELF),
        ),
    ),
    "lock show": Command((_CONNECT, *_READ_LOCK)),
    "lock break": Command(
        (
            _CONNECT,
            *_READ_LOCK,
            Right(("UPDATE",), On.LEDGER_TABLES, ("lock", "runs")),
            Right(
                ("membership",),
                On.ROLE,
                ("pg_signal_backend",),
                without="it ends only runs of roles that it is a member of",
            ),
        ),
        writes=True,
    ),
    "freeze": Command(
        (
            _CONNECT,
            *_NEW_LEDGER,
            Right(("SELECT",), On.LEDGER_TABLES, ("lock",)),
            Right(("SELECT", "INSERT"), On.LEDGER_TABLES, ("meta",)),
        ),
        writes=True,
    ),
    "unfreeze": Command(
        (
            _CONNECT,
            Right(("USAGE",), On.LEDGER_SCHEMA, when="the ledger exists"),
            Right(("SELECT", "DELETE"), On.LEDGER_TABLES, ("meta",), when="the ledger exists"),
        ),
        writes=True,
    ),
    "environment show": Command((_CONNECT, *_READ_LOCK)),
    "environment set": Command(
        (_CONNECT, *_NEW_LEDGER, Right(("SELECT", "INSERT", "UPDATE"), On.LEDGER_TABLES, ("meta",))),
        writes=True,
    ),
    "downgrade": Command(
        (
            _CONNECT,
            *_WRITE,
            Right(("USAGE",), On.VERSION_SCHEMA),
            Right(("SELECT", "UPDATE", "DELETE"), On.VERSION_TABLE),
            Right(("ownership",), On.PROJECT, when="the revisions change or drop them", known=False),
        ),
        writes=True,
    ),
    "stamp": Command(
        (
            _CONNECT,
            *_WRITE,
            Right(("USAGE", "CREATE"), On.VERSION_SCHEMA),
            Right(("SELECT", "INSERT", "DELETE"), On.VERSION_TABLE),
        ),
        writes=True,
    ),
    "reset": Command(
        (
            _CONNECT,
            *_WRITE,
            Right(("USAGE",), On.VERSION_SCHEMA),
            Right(("SELECT",), On.VERSION_TABLE),
            Right(("CREATEDB",), On.ITSELF, when="a revision is applied"),
            Right(
                ("ownership",), On.PROJECT, when="it drops them: what the revisions built, and the ledger", known=False
            ),
        ),
        writes=True,
    ),
    "pull": Command(
        (
            _CONNECT,
            Right(("USAGE",), On.PROJECT, when="they are schemas of the tables that it names", known=False),
            Right(("SELECT",), On.PROJECT, when="they are the tables that it names", known=False),
        ),
        also=("init --from-database",),
    ),
    "restore": Command(
        (
            _CONNECT,
            *_WRITE,
            Right(("CREATEDB",), On.ITSELF),
            Right(("membership",), On.OWNER),
            Right(
                ("CONNECT",),
                On.DATABASE,
                ("postgres",),
                when="a database to rename the others from; template1 will do, too",
                known=False,
            ),
            Right(
                ("membership",),
                On.ROLE,
                ("pg_signal_backend",),
                without="--terminate ends only its own sessions",
            ),
        ),
        writes=True,
    ),
    "backups verify --restore": Command(
        (_CONNECT, Right(("CREATEDB",), On.ITSELF, without="it needs an embedded server to restore into"))
    ),
    "restore --in-place": Command(
        (_CONNECT, *_WRITE, Right(("ownership",), On.PROJECT, when="all of them, since they are dropped", known=False)),
        writes=True,
    ),
}
"""By the command's name."""
WITHOUT_DATABASE = (
    *("validate", "revision", "backups list", "config", "explain", "init", "dev", "url", "plugins", "completion"),
)
"""Commands that connect to no server, or to one of their own."""

NAMES: Mapping[str, Command] = {name: command for first, command in COMMANDS.items() for name in (first, *command.also)}
"""The same, also by the names of other commands."""

STEPS: Mapping[str, StepRights] = {
    "extension": StepRights(
        applies=(
            Right(("CREATE",), On.DATABASE, when="a trusted extension is created", known=False),
            Right(("ownership",), On.PROJECT, when="they are the extension that is updated or moved", known=False),
        )
    ),
    "migrate": StepRights(
        looks=(
            Right(("USAGE",), On.VERSION_SCHEMA),
            Right(("SELECT",), On.VERSION_TABLE, when="the version table exists"),
        ),
        applies=(
            _NEW_VERSION_TABLE,
            Right(("INSERT", "UPDATE", "DELETE"), On.VERSION_TABLE, when="the version table exists"),
            Right(("CREATE",), On.VERSION_SCHEMA, without="revisions cannot create tables there"),
            Right(("CREATEDB",), On.ITSELF, when="`adopt` is set and the database has no version"),
            Right(("ownership",), On.PROJECT, when="the revisions change or drop them", known=False),
        ),
    ),
    "seed": StepRights(
        looks=(
            Right(("USAGE",), On.FIXTURE_SCHEMA),
            Right(("SELECT",), On.KEY),
            Right(("SELECT",), On.COMPARED),
            Right(("SELECT",), On.REFERENCED),
        ),
        applies=(
            Right(("INSERT",), On.DECLARED),
            Right(("UPDATE",), On.UPDATED),
            Right(("DELETE",), On.SYNCED_TABLE),
            Right(("UPDATE,DELETE,TRUNCATE",), On.LOCKED_TABLE),
            Right(("USAGE,UPDATE",), On.OWN_SEQUENCES),
            Right(("SELECT", "UPDATE"), On.SET_SEQUENCES),
            Right(("SELECT", "INSERT", "DELETE"), On.TRACKED),
        ),
    ),
    "backup": StepRights(applies=(Right(("SELECT",), On.DUMPED),)),
}
"""By `uses`; checks and conditions of a step need what their questions read."""
