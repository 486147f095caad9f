"""Examines what a command needs before anything is tried; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg

from bootstrapper.api.interruption import stoppable
from bootstrapper.backups.settings import BackupSettings
from bootstrapper.dataclass import dataclass
from bootstrapper.doctor import access, ledger_state, machine, objects, server, server_facts
from bootstrapper.doctor.privileges import NAMES
from bootstrapper.doctor.result import Result, Verdict, of_error, ok, problem
from bootstrapper.doctor.server_facts import ServerFacts
from bootstrapper.engine.open import Opened, opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError, ExitCode
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.plugin.traits import SeedsFixtures
from bootstrapper.postgres.connection.server_messages import said
from bootstrapper.postgres.connection.session import Session

DEFAULT_COMMAND = "apply"
_EXAMINE = "Run doctor as a role that may read the catalogues."


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        command: The command whose needs were examined.
        where: The address of the database, without secrets.
        role: None if it could not log in.
    """

    command: str
    where: str
    role: str | None
    results: tuple[Result, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Returns that of the first problem; 0 without one, warnings or not."""
        problems = (each.exit_code for each in self.results if each.verdict is Verdict.PROBLEM)
        return next(problems, ExitCode.DONE)


def diagnose(request: Request, command: str = DEFAULT_COMMAND) -> Diagnosis:
    """Examines server, connection, privileges, programs, folders and variables; waits for nothing.

    Raises InvalidFileError for a file that no command accepts.
    """
    with stoppable(request.stop), opened(request, "doctor", writes=False) as run:
        examination = _Examination(request, run, command)
        results = tuple(_masked(request, each) for each in examination.results())
        role = examination.facts.role if examination.facts is not None else None
        return Diagnosis(command, run.project.target.where, role, results)


class _Examination:
    """One pass over all checks, on a session of its own, which accepts a ledger that runs do not."""

    def __init__(self, request: Request, run: Opened, command: str) -> None:
        self._run = run
        self._command = command
        self._project = run.project
        self._wanted = NAMES[command]
        name = f"bootstrapper/{run.project.name}"
        self._session = Session(run.project.target, application_name=name, deadline=run.deadline)
        self._units: list[Unit] = [entry.unit for entry in run.entries]
        self._backups = [
            (unit, unit.options)
            for unit in self._units
            if self._wanted.applies and isinstance(unit.options, BackupSettings)
        ]
        self.facts: ServerFacts | None = None

    def results(self) -> Iterator[Result]:
        invalid = list(self._in_files())
        yield from invalid
        try:
            yield from self._on_server(reads_rows=not invalid)
        except BootstrapperError as error:
            yield of_error("server", error)
        except psycopg.Error as error:  # a catalogue that an administrator closed to the role, for instance
            yield problem("server", f"cannot be examined: {said(error)}", ExitCode.REFUSED, _EXAMINE)
        finally:
            major = self._session.server.major if self._session.is_open else None
            self._session.close()
        yield from self._on_machine(major)

    def _on_machine(self, server_major: int | None) -> Iterator[Result]:
        size = self.facts.database_size if self.facts is not None else None
        for _, settings in self._backups:
            yield machine.programs(settings, self._project, server_major)
            yield machine.folder(settings, self._project, size)
        yield machine.queue()
        for entry in self._run.entries:
            if isinstance(entry.unit, SeedsFixtures) and self._wanted.applies:
                names = entry.unit.seeds(list(self._project.fixtures))
                yield from machine.variables(self._run.looker.context(entry), names)

    def _in_files(self) -> Iterator[Result]:
        """Yields what the steps find wrong with their options and files, as `validate` does; those of plugins, too."""
        for unit in self._units:
            for found in unit.problems(self._project) if isinstance(unit, Step) else ():
                yield problem(unit.name, str(found), ExitCode.CONFIG, found.hint or "")

    def _on_server(self, *, reads_rows: bool) -> Iterator[Result]:
        with self._session.read_only() as connection:
            facts = self.facts = server_facts.read(connection)
            found, target = self._session.server, self._project.target
            writes = self._wanted.writes
            embedded = self._run.address.embedded
            if embedded is not None and not embedded.exists:
                yield ok("embedded", "does not exist yet; this is about a temporary server in its place")
            yield from server.examine(
                found,
                facts,
                target,
                writes=writes,
                has_direct_url=self._has_direct_url,
                needs_direct=bool(self._backups),
            )
            yield from ledger_state.state(connection, self._project.ledger, target.where, writes=writes)
            seeding = [unit for unit in self._units if isinstance(unit, SeedsFixtures)]
            units = [unit for unit in self._units if reads_rows or unit not in seeding]
            around = objects.find(connection, self._project, units, facts)
            yield from access.privileges(connection, self._command, units, around)
            for unit, settings in self._backups:
                yield access.dump(connection, unit, settings, around)
            yield from ledger_state.lock(connection, self._project.ledger)

    @property
    def _has_direct_url(self) -> bool:
        database = self._project.document.data.get("database")
        return isinstance(database, dict) and database.get("direct_url") is not None


def _masked(request: Request, result: Result) -> Result:
    mask = request.masker.mask
    details = tuple(map(mask, result.details))
    return replace(result, message=mask(result.message), remedy=mask(result.remedy), details=details)
