"""What a run with nothing to do asked, and what it was answered: the record that a run under the lock leaves."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from bootstrapper.quick.command_line import RUN
from bootstrapper.quick.libpq import Result, Statement

MOST_BYTES = 256 * 1024
"""What a record is at most: it is read at each start."""


class Record(NamedTuple):
    """One record.

    Attributes:
        inputs: The files and variables that the run read, each a kind and a name (`inputs.py`).
        digest: Of the inputs.
        server: What the run depends on of the server: version number, version, whether it is a standby, whether it
            takes no writes, and the oid of the database.
        pooled: Whether it went through a pooler.
        statements: What it asked in the one READ ONLY transaction of its look, in order.
        reviewed: What `plan` and `status` ask after that.
        answers: By command, the digest of the results of all that it asks; without those that had more to say.
        gates: The gates, which open first, each with its name and a description of the server.
        plan: What a run with nothing to do plans, as data.
        recorded_at: In seconds since 1970.
    """

    inputs: Sequence[tuple[str, str]]
    digest: str
    server: Sequence[str]
    pooled: bool
    statements: Sequence[Statement]
    reviewed: Sequence[Statement]
    answers: Mapping[str, str]
    gates: Sequence[tuple[str, str]]
    plan: Mapping[str, Any]
    recorded_at: float

    def text(self) -> str:
        """Returns the record as JSON."""
        written = {name: [_written(each) for each in getattr(self, name)] for name in _STATEMENTS}
        return json.dumps({**self._asdict(), **written}, separators=(",", ":"))

    def asked(self, command: str) -> Sequence[Statement]:
        """Returns what the command asks; `plan` and `status` ask more than a run."""
        return self.statements if command == RUN else [*self.statements, *self.reviewed]


_STATEMENTS = ("statements", "reviewed")


def read(text: bytes) -> Record:
    """Returns the record; raises ValueError, TypeError or KeyError for anything else."""
    facts: dict[str, Any] = json.loads(text)
    facts["inputs"] = [(kind, name) for kind, name in facts["inputs"]]
    for name in _STATEMENTS:
        facts[name] = [_read(*each) for each in facts[name]]
    return Record(**facts)


def digest(results: Iterable[Result]) -> str:
    """Returns the SHA-256 in hex over what the server answered."""
    state = sha256()
    for result in results:
        state.update(b"%d %d %d;" % (result.status, result.columns, len(result.rows)))
        for value in (value for row in result.rows for value in row):
            state.update(b"-" if value is None else b"%d:%b" % (len(value), value))
    return state.hexdigest()


def _written(statement: Statement) -> tuple[Any, ...]:
    query, parameters, *rest = statement
    return (_text(query), [None if each is None else _text(each) for each in parameters], *rest)


def _read(query: str, parameters: Sequence[str | None], *rest: Any) -> Statement:
    return Statement(b64decode(query), [None if each is None else b64decode(each) for each in parameters], *rest)


def _text(content: bytes) -> str:
    return b64encode(content).decode()
