"""Turns a request into a run: reads the file, loads the plugins, finds the database, prepares the session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from bootstrapper.config import load
from bootstrapper.config.load import Loaded
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.engine import digest as inputs
from bootstrapper.engine import plugins
from bootstrapper.engine.address import Address, find_address
from bootstrapper.engine.callbacks import ask_configured
from bootstrapper.engine.contract import Contract, require_trusted
from bootstrapper.engine.declared import declared
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.first_project import first_project
from bootstrapper.engine.guard import Guard
from bootstrapper.engine.look import Looker
from bootstrapper.engine.masked_errors import masked_errors
from bootstrapper.engine.masked_logger import MaskedLogger
from bootstrapper.engine.plugins import Plugins
from bootstrapper.engine.recorded_inputs import Inputs, Named
from bootstrapper.engine.recorder import Notes, Recorder
from bootstrapper.engine.request import Request
from bootstrapper.engine.resolver import Resolver
from bootstrapper.engine.run import Executor
from bootstrapper.engine.secrets import learn_declared, learn_target, learn_variables
from bootstrapper.engine.selection import select, with_explicit, with_operation
from bootstrapper.engine.turn import AfterApply
from bootstrapper.errors import InvalidFileError, PluginError, Problem, UsageError
from bootstrapper.events import Emit, Event, RunStarted
from bootstrapper.plans import unknown_hazard
from bootstrapper.plugin.inspect import needs
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.purity import is_pure
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.lock.turnstile import Turnstile


@dataclass(frozen=True)
class Resolved:
    """A request whose file was read and is valid."""

    loaded: Loaded
    plugins: Plugins
    project: Project
    entries: tuple[Entry, ...]
    address: Address
    every: tuple[Entry, ...]
    inputs: Callable[[int], Inputs | None]
    since_ns: int = 0


@dataclass(frozen=True)
class Opened:
    """A request that can be run. The session connects when it is first used."""

    project: Project
    entries: tuple[Entry, ...]
    session: Session
    looker: Looker
    executor: Executor
    address: Address
    deadline: Deadline
    guard: Guard | None = None
    contract: Contract | None = None


def resolve(request: Request, command: str, *, connects: bool = True, looks_further: bool = False) -> Resolved:
    """Reads and validates everything; connects to nothing and starts nothing.

    Args:
        connects: Whether the database's address is needed; else its variables may be missing here.
        looks_further: Whether the files that steps and checks name are looked into as well.
    """
    since_ns = time.time_ns()
    _require_hazards(request.allow)
    with masked_errors(request.masker):
        learn_variables(request.masker, request.variables)  # what is wrong with the file may quote one
        loaded = load.read_all(request.file, request.environment, request.variables)
        try:
            found = load_plugins(request, loaded)
            resolved = _resolved(request, command, loaded, found, connects=connects, looks_further=looks_further)
            return replace(resolved, since_ns=since_ns)
        except PluginError as error:
            raise _with_all_else(request, command, loaded, error, looks_further=looks_further) from error


def _with_all_else(
    request: Request, command: str, loaded: Loaded, error: PluginError, *, looks_further: bool
) -> PluginError | InvalidFileError:
    """Returns the error of a plugin together with all problems that can be found without it."""
    found = plugins.load([], loaded.directory)
    context = _first_context(request, loaded, found, command, validates=looks_further)
    source = error.source or loaded.document.source(("plugins",))
    problem = Problem(error.message, source, error.hint)
    try:
        Resolver(loaded, found, context, [problem], is_incomplete=True, looks_further=looks_further).resolve()
    except InvalidFileError as everything:
        if len(everything.problems) > 1:
            return everything
    return error


def _resolved(
    request: Request, command: str, loaded: Loaded, found: Plugins, *, connects: bool, looks_further: bool
) -> Resolved:
    context = _first_context(request, loaded, found, command, validates=looks_further)
    learn_declared(request.masker, loaded.document.data, context.project.values, loaded.variables)
    problems: list[Problem] = []
    address = Address()
    if ("database",) in {place[:1] for place in loaded.misshapen}:
        pass  # reported already
    elif connects or not needs(loaded.config.database.model_dump(exclude_none=True), context):
        try:
            address = find_address(loaded, context, request.url, connects=connects)
            if request.database is not None:
                address = address.with_database(request.database)
        except InvalidFileError as error:
            problems += error.problems
    target, default_secrets = address.target or context.project.target, _allows_default_secrets(loaded, address)
    project = replace(context.project, default_secrets=default_secrets, target=target)
    context = replace(context, project=project)
    project, entries = Resolver(loaded, found, context, problems, looks_further=looks_further).resolve()
    files = [path for entry in entries if isinstance(entry.unit, Step) for path in entry.unit.inputs(project)]
    named = Named(loaded.variables)
    digest = inputs.digest(
        loaded.document.data,
        [*files, *found.files],
        environment=loaded.environment,
        variables=named,
        values=found.values,
        versions=found.versions,
        cache=project.cache,
    )
    chosen = _selected(request, entries, found)
    applied = chosen if request.operation is None else ()
    plan = request.saved.digest if request.saved is not None else None
    project = replace(
        project,
        inputs=digest,
        plan=plan,
        allowed=request.allow,
        declared=cache(partial(declared, loaded, project, applied)),
        ignores_freeze=all(not isinstance(entry.unit, Step) or entry.unit.leaves_others_alone for entry in chosen),
    )
    ask_configured(found.configured, project, request.masker.quote)
    is_quick = not found.observers and not found.configured  # those are to be called at each run
    read = partial(_inputs, loaded, project, (*files, *found.files), named.names) if is_quick else lambda _: None
    return Resolved(loaded, found, project, chosen, address, entries, read)


def _inputs(
    loaded: Loaded, project: Project, files: Iterable[Path], variables: Iterable[str], since_ns: int
) -> Inputs | None:
    """Returns what the run reads; None if that is not known by name, such as the code of an installed plugin."""
    folders = plugins.folders(loaded.config.plugins, loaded.directory)
    if folders is None or not is_pure(project.cache):
        return None
    contents = inputs.files_of(loaded.document.data, loaded.variables, project.values)
    paths = (*files, *folders, *(project.path(Path(text)) for text in contents))
    return Inputs.of(paths, tuple(variables), loaded.files, since_ns)


def _require_hazards(names: Iterable[str]) -> None:
    """Raises UsageError for a name that is not of a hazard."""
    for name in names:
        if problem := unknown_hazard(name):
            raise UsageError(problem[0], hint=problem[1])


def _allows_default_secrets(loaded: Loaded, address: Address) -> bool:
    return not loaded.protected and (address.is_local or loaded.environment is not None)


def load_plugins(request: Request, loaded: Loaded) -> Plugins:
    """Loads the plugins; the masker learns the variables first, since plugins are code that runs."""
    learn_variables(request.masker, loaded.variables)
    listed = plugins.listed(loaded)
    return plugins.load(listed, loaded.directory, quote=request.masker.quote, protected=loaded.protected)


@contextmanager
def opened(
    request: Request, command: str, *, writes: bool, queues: bool = True, after_apply: AfterApply = lambda step: None
) -> Iterator[Opened]:
    """Opens a run that is about to begin.

    Args:
        writes: Where nothing may last, nothing does: see Address.reached.
        queues: Whether one that writes is a replica among others, which queue before they connect.
        after_apply: A fault point, for tests of what a step leaves if it fails at the last moment.
    """
    resolved = resolve(request, command)
    if request.saved is not None:
        require_trusted(request.saved, resolved.project, request.plan_key)
    if request.observers is not None:
        request.observers.begin(resolved.plugins.observers)
    address = resolved.address
    request.tell(RunStarted(command, address.server, address.database, resolved.project.environment))
    notes = Notes()
    tell = _one_at_a_time(request.tell, notes)
    with masked_errors(request.masker), address.reached(writes=writes, stop=request.stop) as target:
        learn_target(request.masker, target)
        project, entries = replace(resolved.project, target=target), resolved.entries
        limits = resolved.loaded.config.limits
        seconds = request.timeout_seconds if request.timeout_seconds is not None else limits.timeout
        deadline = Deadline.after(seconds, request.stop)
        turnstile = Turnstile(target.where) if writes and queues and request.queues else None
        name = f"bootstrapper/{project.name}"
        session = Session(target, application_name=name, deadline=deadline, turnstile=turnstile, ledger=project.ledger)

        def make_context(entry: Entry) -> RunContext:
            seconds = entry.timeout_seconds if entry.timeout_seconds is not None else limits.step_timeout
            return RunContext(
                project=project,
                step=entry.name,
                session=session,
                emit=tell,
                deadline=deadline.sooner(seconds),
                logger=MaskedLogger(f"bootstrapper.steps.{entry.name}", request.masker),
                masker=request.masker,
                options=entry.unit.options,
                declaration=entry.declaration,
            )

        digest = request.saved.digest if request.saved is not None else None
        looker = Looker(entries, session, make_context, force=request.force, plan=digest)
        every = Looker(resolved.every, session, make_context, force=request.force)
        guard = Guard(looker, every, project, session) if request.startup else None
        contract = Contract(request.saved, entries, request.masker) if request.saved is not None else None
        read = resolved.inputs(resolved.since_ns) if writes else None
        recorder = Recorder(request, entries, session, make_context, found=read, notes=notes)
        executor = Executor(
            entries,
            session,
            looker,
            after_apply,
            guard=guard,
            confirmed=request.confirmed,
            contract=contract,
            record=recorder.record,
            records=request.records,
        )
        try:
            yield Opened(project, entries, session, looker, executor, address, deadline, guard, contract)
        finally:
            session.close()
            session.make_way()


def _selected(request: Request, entries: tuple[Entry, ...], found: Plugins) -> tuple[Entry, ...]:
    if request.operation is not None:
        return with_operation(entries, found.steps[request.types[0]], request.operation, request.steps)
    if request.explicit is not None:
        kind = found.steps[request.types[0]]
        return with_explicit(entries, kind, request.explicit, only=request.steps, skip=request.skip)
    return select(entries, only=request.steps, skip=request.skip, types=request.types)


def _first_context(request: Request, loaded: Loaded, found: Plugins, command: str, *, validates: bool) -> RunContext:
    """Returns a context that suffices to evaluate the file's values, without a database."""
    return bare_context(request, first_project(loaded, found, command, validates=validates))


def bare_context(request: Request, project: Project) -> RunContext:
    """Returns a context whose session must not be used."""
    session = Session(project.target, application_name="bootstrapper", deadline=Deadline.after(0))
    return RunContext(
        project=project,
        step="",
        session=session,
        emit=request.tell,
        deadline=Deadline.after(request.timeout_seconds, request.stop),
        logger=MaskedLogger("bootstrapper", request.masker),
        masker=request.masker,
    )


def _one_at_a_time(emit: Emit, notes: Notes) -> Emit:
    """Notes events from several threads and passes them on, one after the other."""
    lock = threading.RLock()

    def pass_on(event: Event) -> None:
        with lock:
            notes.take(event)
            emit(event)

    return pass_on
