"""Records under the lock what a run with nothing to do asks and is answered, for the quick look of later runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from bootstrapper import __version__
from bootstrapper.config.run_cache import RunCache
from bootstrapper.engine import identity
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.look import Looker
from bootstrapper.engine.masked_errors import told
from bootstrapper.engine.planner import MakeContext, Planner
from bootstrapper.engine.recorded_inputs import Inputs, named_inputs
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import Event, GateOpened, Warned
from bootstrapper.plans import DatabaseIdentity, Plan, PlannedStep, State
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.purity import is_pure, note_impure, noted
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import Gate
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import HasHeads
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.connection.listening import Exchange, listening
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.session_texts import BEGIN_LOOK
from bootstrapper.postgres.ledger import frozen, quick_records, rights
from bootstrapper.postgres.lock.hold import Hold
from bootstrapper.quick import declared, inputs, record
from bootstrapper.quick.command_line import RUN
from bootstrapper.quick.declared import Declared
from bootstrapper.quick.libpq import Result, Statement
from bootstrapper.quick.record import Record

_FRAME = (BEGIN_LOOK, b"ROLLBACK")
# The run has done its work: nothing more may keep it waiting, or be cut off at its deadline.
_LOCK_SECONDS = 1.0
_LEAST_SECONDS_LEFT = 5.0


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


class _Looked(NamedTuple):
    """A look that found nothing to do.

    Attributes:
        asked: What a run asks.
        reviewed: What its readers ask after that.
        readers: The commands that would print nothing with `--exit-code --quiet`.
    """

    planned: Sequence[PlannedStep]
    asked: Sequence[Exchange]
    reviewed: Sequence[Exchange]
    readers: Sequence[str]


class _NotRecordedError(Exception):
    """Why a quick look could not find the same as an ordinary run, for people."""


def _depends(what: str) -> _NotRecordedError:
    return _NotRecordedError(f"{what} depends on more than the files and the database")


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

    def record(self, hold: Hold) -> str:
        """Looks once more, and records the look if it finds nothing to do; returns why it did not, else nothing.

        Never fails a run that did its work.
        """
        try:
            project = self._make_context(self._entries[0]).project
            file = self._file(project)
            text = self._text(project, file, self._read_inputs(project))
            with hold.transaction() as connection:
                quick_records.keep(connection, hold.fence.ledger, file.key, text)
        except _NotRecordedError as error:
            return str(error)
        except (psycopg.Error, BootstrapperError, OSError, inputs.TooManyError) as error:
            return told(error, self._request.masker)
        return ""

    def _read_inputs(self, project: Project) -> Inputs:
        """Returns what the run read; raises _NotRecordedError where that does not suffice to repeat it."""
        for entry in self._entries:
            if isinstance(entry.unit, Gate) and not entry.unit.pure:
                raise _depends(f"step {entry.name} at {entry.source}")
        if self._inputs is None:
            if what := noted(project.cache):
                raise _depends(what)
            raise _NotRecordedError("a plugin is an installed package, or is called at each run")
        if self._notes.has_warned:
            raise _NotRecordedError("the run gave a warning, which the quick look could not repeat")
        return self._inputs

    def _text(self, project: Project, file: Declared, found: Inputs) -> str:
        made = self._record(project, file.folder, found, self._look(project))
        if self._tells_secret(made):
            raise _NotRecordedError("a statement contains a secret")
        if not found.are_unchanged():
            raise _NotRecordedError("a file changed during the run")
        text = made.text()
        if len(text) > record.MOST_BYTES:
            raise _NotRecordedError(f"its statements take more than {record.MOST_BYTES // 1024} KiB")
        return text

    def _file(self, project: Project) -> Declared:
        """Returns the file as the quick look reads it; raises _NotRecordedError if it would connect elsewhere."""
        asked = self._request
        special = (asked.steps, asked.skip, asked.types, asked.explicit, asked.operation, asked.force)
        if any(special) or asked.url is not None or asked.database is not None:
            raise _NotRecordedError("the run was not of the whole file as it is")
        try:
            file = declared.read(str(asked.file), asked.environment, asked.variables, __version__)
            given = conninfo_to_dict(file.url)
        except declared.NotReadError as error:
            raise _NotRecordedError(str(error)) from error
        except Exception as error:  # the quick look leaves to the ordinary run what it cannot read
            raise _NotRecordedError("the file or its address cannot be read without the whole of the tool") from error
        if {name: str(value) for name, value in given.items()} != project.target.parameters:
            raise _NotRecordedError("the address has parameters that are not for libpq, or not in its form")
        return file

    def _look(self, project: Project) -> _Looked:
        """Looks as a new run does, without what this one knows already.

        Raises _NotRecordedError if a quick look could not repeat that.
        """
        fresh, notes = replace(project, cache=RunCache()), Notes()

        def make_context(entry: Entry) -> RunContext:
            return replace(self._make_context(entry), project=fresh, emit=notes.take)

        if make_context(self._entries[0]).deadline.seconds_left < _LEAST_SECONDS_LEFT:
            raise _NotRecordedError("too little time was left")
        looker = Looker(self._entries, self._session, make_context)
        with (
            listening(self._session.connection) as heard,
            looker.looking(lock_timeout_seconds=_LOCK_SECONDS) as (planner, _),
        ):
            planned = planner.plan()
            pending = [step.name for step in planned if step.has_changes]
            what, has_warned = noted(fresh.cache), notes.has_warned
            asked, readers = len(heard.exchanges), tuple[str, ...]()
            if not pending and not what and not has_warned:
                with suppress(psycopg.Error, BootstrapperError):  # they say it, and a run does not ask for it
                    readers = self._review(planner, planned)
        if pending:
            raise _NotRecordedError(f"step {pending[0]} has changes again")
        if what:
            raise _depends(what)
        if has_warned:
            raise _NotRecordedError("the look gives a warning, which the quick look could not repeat")
        if not heard.is_complete:
            raise _NotRecordedError("a plugin sends statements past the connection")
        if notes.has_warned or not is_pure(fresh.cache):
            readers = ()
        steps = [step.without_payloads() for step in planned]
        return _Looked(steps, heard.exchanges[:asked], heard.exchanges[asked:], readers)

    def _review(self, planner: Planner, planned: Sequence[PlannedStep]) -> tuple[str, ...]:
        """Asks what `plan` and `status` ask beside the changes; returns those of them that have nothing to warn of."""
        context = planner.context(self._entries[0])
        project, connection = context.project, self._session.connection
        for entry, step in zip(self._entries, planned, strict=True):
            if isinstance(entry.unit, Step) and step.state is not State.SKIPPED:
                note_impure(project.cache, entry.unit, f"step {entry.name}", entry.source)
                Looker.reviewed(planner, entry, step)
        with planner.lending.session(connection, borrows=False):
            for entry in self._entries:
                if isinstance(entry.unit, HasHeads):
                    entry.unit.heads(project)
                    _read_position(connection, entry)
            is_refused = rights.refusal(connection, project.ledger, self._session.target.where) is not None
            freeze = frozen.read(connection, project.ledger)
            said = identity.intrusion(connection, self._session, project)
        if is_refused or freeze is not None or said is not None:
            return ()
        knows_all = all(entry.unit.pure for entry in self._entries if isinstance(entry.unit, Step))
        return ("plan", "status") if knows_all else ("plan",)  # status reads the stores of backups

    def _record(self, project: Project, folder: str, found: Inputs, looked: _Looked) -> Record:
        """Returns the record; raises _NotRecordedError if a statement failed."""
        run, review = _transcript(looked.asked), _transcript(looked.reviewed)
        if run is None:
            raise _NotRecordedError("a statement of the look failed")
        statements, results = run
        reviewed, more = review or ((), ())
        answer = record.digest([*results, *more])
        readers = looked.readers if review is not None else ()
        server = self._session.server
        named = list(named_inputs(found, Path(folder)))
        return Record(
            inputs=named,
            digest=inputs.digest(named, folder, self._request.variables),
            server=(
                *(str(server.version_num), server.version, _bool(server.in_recovery), _bool(server.read_only)),
                str(server.oid),
            ),
            pooled=server.pooled,
            statements=statements,
            reviewed=reviewed if readers else (),
            answers={RUN: record.digest(results), **dict.fromkeys(readers, answer)},
            gates=list(self._notes.gates.items()),
            plan=_plan(project, server, looked.planned).to_data(),
            recorded_at=time.time(),
        )

    def _tells_secret(self, made: Record) -> bool:
        """Returns whether the record holds a secret; the ledger never does."""
        asked = (*made.statements, *made.reviewed)
        sent = (part for each in asked for part in (each.query, *each.parameters) if part is not None)
        texts = (*(part.decode(errors="replace") for part in sent), str(made.plan))
        return any(self._request.masker.quote(text) != text for text in texts)


def _plan(project: Project, server: Server, planned: Sequence[PlannedStep]) -> Plan:
    database = DatabaseIdentity(
        project.target.server, server.database, server.version, server.system_identifier, server.oid
    )
    return Plan(project.name, project.environment, project.inputs, database, None, tuple(planned), version=__version__)


def _read_position(connection: Connection[Any], entry: Entry) -> None:
    """Reads the version rows, as `status` does whatever the check of the step asks."""
    # Loaded already where a step has revisions.
    from bootstrapper.migrations.history.versions import read_versions  # noqa: PLC0415
    from bootstrapper.migrations.settings import MigrationSettings  # noqa: PLC0415

    if isinstance(entry.unit.options, MigrationSettings):
        read_versions(connection, entry.unit.options)


def _transcript(heard: Sequence[Exchange]) -> tuple[Sequence[Statement], Sequence[Result]] | None:
    """Returns the statements with their results; None if one of them failed."""
    asked = [each for each in heard if each.query not in _FRAME]
    results = [result for each in asked if (result := _result(each)) is not None]
    if len(results) < len(asked):
        return None
    sent = [Statement(each.query, each.parameters, each.types, each.formats, each.result_format) for each in asked]
    return sent, results


def _result(exchange: Exchange) -> Result | None:
    found = exchange.result
    if found is None:
        return None
    rows = [[found.get_value(row, column) for column in range(found.nfields)] for row in range(found.ntuples)]
    return Result(int(found.status), found.nfields, rows)


def _bool(value: bool) -> str:
    return "t" if value else "f"
