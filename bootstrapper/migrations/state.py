"""The state of a database in a project's history: the declared revisions beside the version rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from psycopg import Connection

from bootstrapper.config.files import FileFacts, once, sha256
from bootstrapper.config.recent import Recent
from bootstrapper.config.run_cache import Kept
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.errors import AheadError, InvalidFileError, MigrationError, Problem, Source
from bootstrapper.migrations.history.history import BrokenHistory, History
from bootstrapper.migrations.history.origin import brought_by
from bootstrapper.migrations.history.revisions import Revision, line_of, read_revision
from bootstrapper.migrations.history.versions import Versions, read_versions
from bootstrapper.migrations.project.configuration import BadConfiguration
from bootstrapper.migrations.project.layout import DynamicProject, Layout, read
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.worker.launch import conversation, start
from bootstrapper.migrations.worker.process import Reported
from bootstrapper.migrations.worker.request import history_request
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.run_context import RunContext

_NO_REVISIONS = (
    "Set `options: {version_locations: ...}` under `with:`, or create the first revision with"
    " `bootstrapper revision MESSAGE`."
)
_Files = dict[str, tuple[int, int]]
"""Files, each with its size and when it was written."""


class _Question(NamedTuple):
    """Everything that the answer of Alembic depends on."""

    layout: Layout
    python: str | None
    section: str
    x: tuple[str, ...]
    cwd: Path
    variables: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, settings: MigrationSettings, layout: Layout) -> Self:
        variables = tuple(sorted(settings.env.items()))
        return cls(layout, settings.python, settings.section, settings.x, settings.cwd, variables)


_REVISIONS = FileFacts[Revision]()
_WRITTEN_DOWN = Kept[Layout, bool]()
_ANSWERS = Kept[_Question, tuple[list[Revision], _Files]]()
_HISTORIES = Recent[tuple[int, ...], tuple[Sequence[Revision], History]](most=8)


@dataclass(frozen=True)
class Declared:
    """The history that the project's files declare.

    Attributes:
        goals: The targets in order: as the settings name them, and the revisions that each stands for.
    """

    layout: Layout
    history: History
    goals: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class State:
    """Attributes:
    unknown: Version rows that no file declares; pending revisions are unknown then, and left empty.
    walks: The targets that have pending revisions, each with the version rows to start from.
    """

    declared: Declared
    versions: Versions
    unknown: tuple[str, ...]
    pending: tuple[Revision, ...] = ()
    walks: tuple[tuple[tuple[str, ...], str], ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        return self.versions.rows


def compare(declared: Declared, versions: Versions) -> State:
    unknown = declared.history.unknown(versions.rows)
    if unknown:
        return State(declared, versions, unknown)
    history, rows = declared.history, versions.rows
    pending: list[Revision] = []
    walks = []
    for text, revisions in declared.goals:
        found = history.pending(rows, revisions)
        if found:
            pending += found
            walks.append((rows, text))
            rows = history.rows_after(rows, revisions)
    return State(declared, versions, (), tuple(pending), tuple(walks))


def look(connection: Connection[Any], declared: Declared, settings: MigrationSettings) -> State:
    """Reads the version rows of the configured database."""
    return compare(declared, read_versions(connection, settings))


def find_known(context: RunContext, declared: Declared, settings: MigrationSettings) -> State:
    """As `look`; raises AheadError if the database is at a revision that the project does not have."""
    state = look(context.connection, declared, settings)
    if state.unknown:
        origin = brought_by(context, state.unknown)
        raise AheadError(
            f"{context.project.target.where} is at revision {', '.join(state.unknown)},"
            f" which {state.declared.layout.script_location} does not have{f'; {origin} brought it' if origin else ''}",
            is_acceptable=settings.ahead == "accept",
            hint="Deploy a version of the code that has it.",
        )
    return state


def find_layout(settings: MigrationSettings, project: Project, source: Source | None = None) -> Layout:
    """Reads the places of the files; raises InvalidFileError if Alembic could not use the configuration."""
    try:
        return read(settings, project)
    except BadConfiguration as error:
        raise InvalidFileError([Problem(f"not a valid Alembic project: {error}", source)]) from error


def read_declared(
    settings: MigrationSettings,
    project: Project,
    *,
    deadline: Deadline,
    report: Callable[[str], None],
    source: Source | None = None,
) -> Declared:
    """Reads the files without importing them; where that is not enough, asks Alembic and reports so.

    Raises InvalidFileError, also if there are no revisions, they contradict each other, or a target does not exist;
    MigrationError if Alembic could not read them.
    """
    layout = find_layout(settings, project, source)
    try:
        revisions = _read_all(layout, project)
    except DynamicProject as reason:
        revisions = _answered(settings, layout, project)
        if not revisions:
            report(f"{reason}: Alembic reads the revisions, which runs the project's code")
            revisions = _ask_alembic(settings, layout, project, deadline.sooner(settings.timeout), report)
            answer = (revisions, _files_beside(revisions))
            project.cache.of(_ANSWERS)[_Question.of(settings, layout)] = answer
    if not revisions:
        raise InvalidFileError([Problem(f"no revisions found in {layout.places}", source, _NO_REVISIONS)])
    try:
        history = _history(revisions)
        return Declared(layout, history, tuple((text, history.targets(text)) for text in settings.targets))
    except BrokenHistory as error:
        raise InvalidFileError([_problem(error, project, source)]) from error


def is_written_down(settings: MigrationSettings, project: Project, source: Source | None = None) -> bool:
    """Whether the history can be read without running code of the project; the answer is kept for the run."""
    layout = find_layout(settings, project, source)
    known = project.cache.of(_WRITTEN_DOWN)
    if layout not in known:
        known[layout] = _is_readable(layout, project)
    return known[layout]


def _is_readable(layout: Layout, project: Project) -> bool:
    try:
        _read_all(layout, project)
    except DynamicProject:
        return False
    return True


def misnamed(
    settings: MigrationSettings, project: Project, source: Source | None, names: Iterable[str]
) -> list[Problem]:
    """Returns the targets that do not exist, as far as the files can be read without running code of the project."""
    try:
        layout = find_layout(settings, project, source)
        history = _history(_read_all(layout, project))
    except DynamicProject:
        return []
    except InvalidFileError as error:
        return list(error.problems)
    except BrokenHistory as error:
        return [_problem(error, project, source)]
    problems = []
    for name in names:
        try:
            history.targets(name)
        except BrokenHistory as error:
            problems.append(_problem(error, project, source))
    return problems


def _problem(error: BrokenHistory, project: Project, source: Source | None) -> Problem:
    """Returns the problem at the file of the revision that is wrong, else at the step."""
    file = error.revision.file if error.revision is not None else None
    if file is not None:
        shown = file.relative_to(project.directory) if file.is_relative_to(project.directory) else file
        source = Source(str(shown), line_of(file, "down_revision"), 1)
    return Problem(str(error), source, error.hint)


def _history(revisions: Sequence[Revision]) -> History:
    """Returns the history of revisions; that of the same ones, which each look reads again, stays the same."""
    key = tuple(map(id, revisions))
    return _HISTORIES.get(key, lambda: (revisions, History(revisions)))[1]  # the ids belong to what it keeps


def _read_all(layout: Layout, project: Project) -> list[Revision]:
    return [_read(file, project) for file in layout.revision_files()]


def _read(file: Path, project: Project) -> Revision:
    """Once in a run, unless the file changes meanwhile: each look at a long history would read all of it."""
    try:
        return once(project.cache, _REVISIONS, file, lambda: read_revision(file, sha256(project.cache, file)))
    except OSError:
        return read_revision(file)  # reports the error


def _answered(settings: MigrationSettings, layout: Layout, project: Project) -> list[Revision]:
    """Returns what Alembic answered earlier in this run; empty if the files changed since."""
    revisions, files = project.cache.of(_ANSWERS).get(_Question.of(settings, layout), ([], {}))
    return revisions if _files_beside(revisions) == files else []


def _files_beside(revisions: list[Revision]) -> _Files:
    """The files in all folders that hold revisions."""
    folders = {revision.file.parent for revision in revisions if revision.file is not None}
    entries = [entry for folder in folders if folder.is_dir() for entry in folder.iterdir() if entry.is_file()]
    stats = [(str(entry), entry.stat()) for entry in entries]
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats}


def _ask_alembic(
    settings: MigrationSettings, layout: Layout, project: Project, deadline: Deadline, report: Callable[[str], None]
) -> list[Revision]:
    asked = history_request(settings, layout, project.target)
    revisions: list[Revision] = []
    with start(settings, project, asked) as worker:
        try:
            for message in conversation(worker, deadline):
                match message:
                    case str():
                        report(message)
                    case Reported("environment_failed", facts):
                        report(f"env.py failed while its version folders were read: {facts['reason']}")
                    case Reported("revision", facts):
                        revisions.append(Revision.from_facts(facts))
                    case Reported("failed", facts):
                        raise MigrationError(facts["reason"], traceback=facts["traceback"])
        except TimeoutError as error:
            raise MigrationError(
                "deadline exceeded while Alembic read the revisions",
                hint="Raise the step's `timeout`, `limits` in the file, or --timeout.",
            ) from error
    return revisions
