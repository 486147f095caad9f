"""Records under the lock what a run with nothing to do asks and is answered, for the quick look of later runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bootstrapper import __version__
from bootstrapper.config.files import state_of
from bootstrapper.config.run_cache import RunCache
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.look import Looker
from bootstrapper.engine.planner import MakeContext
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import Event, GateOpened, Warned
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.purity import is_pure
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import Gate
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.connection.listening import Exchange, listening
from bootstrapper.postgres.connection.pooling import BEGIN_LOOK
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.ledger import quick_records
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.quick import declared, inputs, record
from bootstrapper.quick.declared import Declared
from bootstrapper.quick.libpq import Result, Statement
from bootstrapper.quick.record import Record

_FRAME = (BEGIN_LOOK, b"ROLLBACK")
# The run has done its work: nothing more may keep it waiting, or be cut off at its deadline.
_LOCK_SECONDS = 1.0
_LEAST_SECONDS_LEFT = 5.0


@dataclass(frozen=True)
class Inputs:
    """What a run reads beside its file, as the quick look finds it again.

    Attributes:
        paths: Of files, and of folders to which files may be added.
        variables: The names of the variables of the environment.
        states: Of the paths, and of the file and its overlay, once they were read; None of one that does not exist.
        since_ns: When reading began, in nanoseconds since 1970.
    """

    paths: Sequence[Path]
    variables: Sequence[str]
    states: Mapping[Path, _State | None]
    since_ns: int

    @classmethod
    def of(cls, paths: Sequence[Path], variables: Sequence[str], read: Sequence[Path], since_ns: int) -> Self:
        return cls(paths, variables, {path: _state(path) for path in (*paths, *read)}, since_ns)

    def are_unchanged(self) -> bool:
        """Returns whether the files are still those that were read when the run began."""
        now = {path: _state(path) for path in self.states}
        times = [state.changed_ns for state in now.values() if state is not None]
        return now == self.states and max(times, default=0) <= self.since_ns


class _State(NamedTuple):
    """What differs once a file was written to or replaced, or once a folder has other files; and when it changed."""

    content: object
    changed_ns: int = 0


def _state(path: Path) -> _State | None:
    try:
        if path.is_dir():
            return _State(inputs.tree_of(str(path)))  # modules that are compiled change the folder as well
        return _State(state_of(path), path.stat().st_ctime_ns)
    except (OSError, inputs.TooManyError):
        return None


@dataclass
class Notes:
    """What the run told until now.

    Attributes:
        gates: The gates that opened, with a description of the server.
        has_warned: Whether there was a warning, which a quick look could not repeat.
    """

    gates: dict[str, str] = field(default_factory=dict)
    has_warned: bool = False

    def take(self, event: Event) -> None:
        if isinstance(event, GateOpened):
            self.gates[event.step] = event.detail
        self.has_warned |= isinstance(event, Warned)


class Recorder:
    """Records for one run; records nothing where a quick look could not find the same as an ordinary run."""

    def __init__(
        self,
        request: Request,
        entries: Sequence[Entry],
        session: Session,
        make_context: MakeContext,
        *,
        found: Inputs | None,
        notes: Notes,
    ) -> None:
        self._request = request
        self._entries = entries
        self._session = session
        self._make_context = make_context
        self._inputs = found
        self._notes = notes

    def record(self, hold: Hold) -> None:
        """Looks once more, and records the look if it finds nothing to do; never fails a run that did its work."""
        project = self._make_context(self._entries[0]).project
        file = self._file(project)
        if (
            file is None
            or self._inputs is None
            or self._notes.has_warned
            or not all(map(_opens_for_all, self._entries))
        ):
            return
        with suppress(psycopg.Error, BootstrapperError, OSError, inputs.TooManyError):
            text = self._text(project, file, self._inputs)
            if text is not None:
                with hold.transaction() as connection:
                    quick_records.keep(connection, hold.fence.ledger, file.key, text)

    def _text(self, project: Project, file: Declared, found: Inputs) -> str | None:
        look = self._look(project)
        made = self._record(project, file.folder, found, *look) if look is not None else None
        if made is None or self._tells_secret(made) or not found.are_unchanged():
            return None
        text = made.text()
        return text if len(text) <= record.MOST_BYTES else None

    def _file(self, project: Project) -> Declared | None:
        """Returns the file as the quick look reads it; None if it does not, or would connect elsewhere."""
        asked = self._request
        special = (asked.steps, asked.skip, asked.types, asked.explicit, asked.operation, asked.force)
        if any(special) or asked.url is not None or asked.database is not None:
            return None
        try:
            file = declared.read(str(asked.file), asked.environment, asked.variables, __version__)
            given = conninfo_to_dict(file.url) if file is not None else {}
        except Exception:  # noqa: BLE001 - the quick look leaves to the ordinary run what it cannot read
            return None
        return file if {name: str(value) for name, value in given.items()} == project.target.parameters else None

    def _look(self, project: Project) -> tuple[Sequence[PlannedStep], Sequence[Exchange]] | None:
        """Looks as a new run does, without what this one knows already; None if a quick look could not repeat that."""
        fresh = replace(project, cache=RunCache())

        def make_context(entry: Entry) -> RunContext:
            return replace(self._make_context(entry), project=fresh)

        if make_context(self._entries[0]).deadline.seconds_left < _LEAST_SECONDS_LEFT:
            return None
        looker = Looker(self._entries, self._session, make_context)
        with (
            listening(self._session.connection) as heard,
            looker.looking(lock_timeout_seconds=_LOCK_SECONDS) as looking,
        ):
            planned = [step.without_payloads() for step in looking[0].plan()]
        is_done = not any(step.has_changes for step in planned)
        is_all = heard.is_complete and is_pure(fresh.cache) and not self._notes.has_warned
        return (planned, heard.exchanges) if is_done and is_all else None

    def _record(
        self, project: Project, folder: str, found: Inputs, planned: Sequence[PlannedStep], heard: Sequence[Exchange]
    ) -> Record | None:
        """Returns the record; None if a statement failed."""
        asked = [each for each in heard if each.query not in _FRAME]
        results = [result for each in asked if (result := _result(each)) is not None]
        if len(results) < len(asked):
            return None
        server = self._session.server
        named = list(_named(found, Path(folder)))
        return Record(
            inputs=named,
            digest=inputs.digest(named, folder, self._request.variables),
            server=(
                *(str(server.version_num), server.version, _bool(server.in_recovery), _bool(server.read_only)),
                str(server.oid),
            ),
            pooled=server.pooled,
            statements=[
                Statement(each.query, each.parameters, each.types, each.formats, each.result_format) for each in asked
            ],
            answer=record.digest(results),
            gates=list(self._notes.gates.items()),
            plan=_plan(project, server, planned).to_data(),
            recorded_at=time.time(),
        )

    def _tells_secret(self, made: Record) -> bool:
        """Returns whether the record holds a secret; the ledger never does."""
        sent = (part for each in made.statements for part in (each.query, *each.parameters) if part is not None)
        texts = (*(part.decode(errors="replace") for part in sent), str(made.plan))
        return any(self._request.masker.quote(text) != text for text in texts)


def _plan(project: Project, server: Server, planned: Sequence[PlannedStep]) -> Plan:
    database = DatabaseIdentity(
        project.target.server, server.database, server.version, server.system_identifier, server.oid
    )
    steps = tuple(step.without_payloads() for step in planned)
    return Plan(project.name, project.environment, project.inputs, database, None, steps, version=__version__)


def _opens_for_all(entry: Entry) -> bool:
    return not isinstance(entry.unit, Gate) or entry.unit.pure


def _named(found: Inputs, start: Path) -> Iterator[tuple[str, str]]:
    """Yields what was read, each by its own name: a link on the way may lead elsewhere when it is read again."""
    within = f"{start}{os.sep}"
    folders = [path for path in found.paths if path.is_dir()]
    real = tuple(f"{path.resolve()}{os.sep}" for path in folders)
    for path in dict.fromkeys(found.paths):
        if path.suffix == ".py" and str(path).startswith(real):
            continue  # it counts with its folder
        is_within = str(path).startswith(within)
        name = str(path).removeprefix(within) if is_within else str(path.absolute())
        yield (inputs.FOLDER if path in folders else inputs.FILE, name)
    yield from ((inputs.VARIABLE, name) for name in sorted(set(found.variables)))


def _result(exchange: Exchange) -> Result | None:
    found = exchange.result
    if found is None:
        return None
    rows = [[found.get_value(row, column) for column in range(found.nfields)] for row in range(found.ntuples)]
    return Result(int(found.status), found.nfields, rows)


def _bool(value: bool) -> str:
    return "t" if value else "f"


class Named(Mapping[str, str]):
    """A mapping of variables that notes the names it is asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
