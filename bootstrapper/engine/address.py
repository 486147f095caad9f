"""Finds the address of the database: on a server, or embedded in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bootstrapper.config.document import Place
from bootstrapper.config.load import Loaded
from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline, Stop
from bootstrapper.engine.secrets import learn_target
from bootstrapper.errors import GuardError, InvalidFileError, Problem, Source, UnreachableError
from bootstrapper.plugin.evaluate import evaluate
from bootstrapper.plugin.inspect import may_change, problem_with_value, runs_program
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target

if TYPE_CHECKING:
    from bootstrapper.postgres.server.embedded import EmbeddedServer

EMBEDDED_SCHEME = "embedded:"


@dataclass(frozen=True)
class Address:
    """The address of the database: exactly one of the two is set, or none for a command without a database."""

    target: Target | None = None
    embedded: EmbeddedServer | None = None

    @property
    def server(self) -> str:
        """Returns the name of the server, known before connecting."""
        if self.embedded is not None:
            return "embedded PostgreSQL"
        assert self.target is not None
        return self.target.server

    @property
    def database(self) -> str:
        if self.embedded is not None:
            return self.embedded.database
        assert self.target is not None
        return self.target.database

    @property
    def is_local(self) -> bool:
        """Whether the server is embedded or at a loopback address. Without a host, PGHOST may point anywhere."""
        return self.embedded is not None or (
            self.target is not None and self.target.host is not None and self.target.is_loopback
        )

    def with_database(self, name: str) -> Self:
        """Returns the address of another database of the same server; an embedded server creates it when started."""
        if self.embedded is not None:
            here = self.embedded
            return replace(self, embedded=type(here)(here.folder, name, search_path=here.search_path))
        return replace(self, target=self.target.with_database(name) if self.target is not None else None)

    @contextmanager
    def reached(self, *, writes: bool, stop: Stop | None = None) -> Iterator[Target]:
        """The address to connect to; starts the embedded server where it does not run.

        Where nothing may last, an embedded server that was started is stopped again, and one that does not exist yet
        is played by a throw-away one, which is as empty. A stop ends the wait for a server that is starting.
        """
        if self.target is not None:
            yield self.target
        elif self.embedded is not None and writes:
            yield self.embedded.start(stop)
        elif self.embedded is not None and self.embedded.exists:
            with self.embedded.borrowed(stop) as target:
                yield target
        else:
            from bootstrapper.postgres.server.embedded import scratch  # noqa: PLC0415 - as in `_at`

            search_path = self.embedded.search_path if self.embedded is not None else ""
            with scratch(search_path=search_path, stop=stop) as target:
                yield target


class _Renewal:
    """Finds the address again for each login, since a password, a token or a whole URL may change during a run."""

    def __init__(self, loaded: Loaded, context: RunContext, first: Target) -> None:
        self._loaded, self._context = loaded, context
        self._first: Target | None = replace(first, source=self)
        self._where = first.where

    @property
    def first(self) -> Target:
        """The target that was found when the file was read; the first login takes it as it is."""
        assert self._first is not None
        return self._first

    def __call__(self, deadline: Deadline) -> Target:
        unused, self._first = self._first, None
        if unused is not None:
            return unused
        try:
            found = _find(self._loaded, replace(self._context, deadline=deadline)).target
        except InvalidFileError as error:
            reason = "; ".join(str(problem) for problem in error.problems)
            raise UnreachableError(self._where, reason, hint="Fix the source of the address, and run again.") from error
        if found is None:
            raise UnreachableError(self._where, "its address has become that of an embedded server")
        return replace(found, source=self)


def find_address(loaded: Loaded, context: RunContext, given: str | None = None, *, connects: bool = True) -> Address:
    """Returns the address; without a connection, an address that a program prints is only checked.

    Raises InvalidFileError with the place of a wrong address, GuardError for an embedded one that is protected.

    Args:
        given: A URL that is used instead of what the file declares.
    """
    if given is not None:
        return _at(loaded, context, given, None)
    if not connects and runs_program(_written(loaded, context), context.project.values):
        _check(loaded, context)
        return Address()
    found = _find(loaded, context)
    if found.target is None or not may_change(_written(loaded, context), context.project.values):
        return found
    return Address(target=_Renewal(loaded, context, found.target).first)


def _check(loaded: Loaded, context: RunContext) -> None:
    context = replace(context, project=replace(context.project, validates=True))
    if (key := _url_key(loaded, context)) is not None:
        _resolved(loaded, context, ("database", key), getattr(loaded.config.database, key))
        return
    parts, values = _parts(loaded), context.project.values
    given, problems = _given(loaded, context, parts)
    problems += _wrong_parts(loaded, {key: text for key, text in given.items() if not runs_program(parts[key], values)})
    if problems:
        raise InvalidFileError(problems)


def _written(loaded: Loaded, context: RunContext) -> object:
    """Returns the address in use as the file writes it: a value for a URL, a mapping of separate keys."""
    key = _url_key(loaded, context)
    return list(_parts(loaded).values()) if key is None else getattr(loaded.config.database, key)


def _url_key(loaded: Loaded, context: RunContext) -> str | None:
    """Returns the key of the URL in use; None for separate keys. An empty value of `direct_url` counts as absent."""
    database = loaded.config.database
    direct = database.direct_url
    if direct and isinstance(direct, str) and not _resolved(loaded, context, ("database", "direct_url"), direct):
        direct = None
    return "direct_url" if direct is not None else "url" if database.url is not None else None


def _parts(loaded: Loaded) -> dict[str, object]:
    return loaded.config.database.model_dump(exclude_none=True, exclude={"url", "direct_url"})


def _find(loaded: Loaded, context: RunContext) -> Address:
    key = _url_key(loaded, context)
    if key is None:
        return Address(target=_from_parts(loaded, context))
    place: Place = ("database", key)
    text = str(_resolved(loaded, context, place, getattr(loaded.config.database, key)))
    return _at(loaded, context, text, loaded.document.source(place))


def _at(loaded: Loaded, context: RunContext, text: str, source: Source | None) -> Address:
    if not text.startswith(EMBEDDED_SCHEME):
        return Address(target=_target(context, text, source))
    if loaded.protected:
        raise GuardError(
            f"environment {loaded.environment!r} is protected, but its database is embedded",
            hint="Set the variable that holds the address of the real database.",
            source=source,
        )
    from bootstrapper.postgres.server.embedded import EmbeddedServer  # noqa: PLC0415 - a server elsewhere needs none of it

    folder = text.removeprefix(EMBEDDED_SCHEME) or ".bootstrapper/postgres"
    search_path = loaded.variables.get("PATH", "")
    return Address(embedded=EmbeddedServer(Path(loaded.directory, folder).absolute(), search_path=search_path))


def _target(context: RunContext, text: str, source: Source | None) -> Target:
    try:
        target = Target.from_url(text)
    except ValueError as error:
        raise InvalidFileError([Problem(str(error), source)]) from error
    learn_target(context.masker, target)
    return target


def _from_parts(loaded: Loaded, context: RunContext) -> Target:
    given, problems = _given(loaded, context, _parts(loaded))
    problems += _wrong_parts(loaded, given)
    if problems:
        raise InvalidFileError(problems)
    try:
        target = Target.from_parameters(given)
    except ValueError as error:
        raise InvalidFileError([Problem(str(error), loaded.document.source(("database",)))]) from error
    learn_target(context.masker, target)
    return target


def _given(loaded: Loaded, context: RunContext, parts: Mapping[str, object]) -> tuple[dict[str, str], list[Problem]]:
    """Returns the parts that have a value, and the problems of those that cannot be resolved."""
    resolved: dict[str, object] = {}
    problems: list[Problem] = []
    for key, raw in parts.items():
        try:
            resolved[key] = _resolved(loaded, context, ("database", key), raw)
        except InvalidFileError as error:
            problems += error.problems
    return {key: str(item) for key, item in resolved.items() if item not in (None, "")}, problems


def _wrong_parts(loaded: Loaded, given: Mapping[str, str]) -> Iterator[Problem]:
    """Yields the problems of each part by itself."""
    for key, text in given.items():
        try:
            Target.from_parameters({key: text} if key != "port" else {"host": "," * text.count(","), key: text})
        except ValueError as error:
            yield Problem(str(error), loaded.document.source(("database", key)))


def _resolved(loaded: Loaded, context: RunContext, place: Place, raw: object) -> object:
    source = loaded.document.source(place)
    try:
        return evaluate(raw, context, database=False, source=source).value
    except ValueError as error:
        raise InvalidFileError([problem_with_value(error, source)]) from error
