"""Finds the address of the database: on a server, or embedded in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrapper.config.document import Place
from bootstrapper.config.load import Loaded
from bootstrapper.deadline import Stop
from bootstrapper.engine.secrets import learn_target
from bootstrapper.errors import GuardError, InvalidFileError, Problem
from bootstrapper.plugin.evaluate import evaluate
from bootstrapper.plugin.inspect import problem_with_value
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.embedded import EmbeddedServer, scratch

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
            search_path = self.embedded.search_path if self.embedded is not None else ""
            with scratch(search_path=search_path, stop=stop) as target:
                yield target


def find_address(loaded: Loaded, context: RunContext) -> Address:
    """Raises InvalidFileError with the place of a wrong address, GuardError for an embedded one that is protected."""
    database = loaded.config.database
    key = "direct_url" if database.direct_url is not None else "url"
    raw = getattr(database, key)
    if raw is None:
        return Address(target=_from_parts(loaded, context))
    place: Place = ("database", key)
    text = str(_resolved(loaded, context, place, raw))
    if not text.startswith(EMBEDDED_SCHEME):
        return Address(target=_target(loaded, context, place, text))
    if loaded.protected:
        raise GuardError(
            f"environment {loaded.environment!r} is protected, but its database is embedded",
            hint="Set the variable that holds the address of the real database.",
            source=loaded.document.source(place),
        )
    folder = text.removeprefix(EMBEDDED_SCHEME) or ".bootstrapper/postgres"
    search_path = loaded.variables.get("PATH", "")
    return Address(embedded=EmbeddedServer(Path(loaded.directory, folder).absolute(), search_path=search_path))


def _target(loaded: Loaded, context: RunContext, place: Place, text: str) -> Target:
    try:
        target = Target.from_url(text)
    except ValueError as error:
        raise InvalidFileError([Problem(str(error), loaded.document.source(place))]) from error
    learn_target(context.masker, target)
    return target


def _from_parts(loaded: Loaded, context: RunContext) -> Target:
    parts = loaded.config.database.model_dump(exclude_none=True, exclude={"url", "direct_url"})
    resolved: dict[str, object] = {}
    problems: list[Problem] = []
    for key, raw in parts.items():
        try:
            resolved[key] = _resolved(loaded, context, ("database", key), raw)
        except InvalidFileError as error:
            problems += error.problems
    given = {key: str(item) for key, item in resolved.items() if item not in (None, "")}
    problems += _wrong_parts(loaded, given)
    if problems:
        raise InvalidFileError(problems)
    try:
        target = Target.from_parameters(given)
    except ValueError as error:
        raise InvalidFileError([Problem(str(error), loaded.document.source(("database",)))]) from error
    learn_target(context.masker, target)
    return target


def _wrong_parts(loaded: Loaded, given: Mapping[str, str]) -> Iterator[Problem]:
    """Yields the problems of each part by itself."""
    for key, text in given.items():
        try:
            Target.from_parameters({key: text} if key != "port" else {"host": "," * text.count(","), key: text})
        except ValueError as error:
            yield Problem(str(error), loaded.document.source(("database", key)))


def _resolved(loaded: Loaded, context: RunContext, place: Place, raw: object) -> object:
    try:
        return evaluate(raw, context, database=False).value
    except ValueError as error:
        raise InvalidFileError([problem_with_value(error, loaded.document.source(place))]) from error
