"""Where a target's database is, as the file says: which server it loads, and that no two targets are the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bootstrapper.config.document import OF_TARGET, UnsetVariable, expand
from bootstrapper.config.load import Loaded
from bootstrapper.errors import InvalidFileError, Problem
from bootstrapper.fleet.targets import Target
from bootstrapper.postgres.connection.target import Target as Address
from bootstrapper.text import one_line


@dataclass(frozen=True, slots=True)
class Placed:
    """A target and its server; targets of the same unknown address count as of one server."""

    target: Target
    server: str


def placed(loaded: Loaded, targets: Iterable[Target]) -> Iterator[Placed]:
    """Yields the targets with their servers; raises InvalidFileError for two that are the same database and ledger.

    Addresses are compared as they are written: two names of one server are two servers. What the file gets wrong for a
    target is said when that target is done.
    """
    raw = {key: value for key, value in loaded.document.get(("database",), {}).items() if value is not None}
    schema = loaded.document.get(("ledger",), {})
    schema = schema.get("schema") if isinstance(schema, dict) else None
    known: dict[bytes, str] = {}
    for target in targets:
        variables = {**loaded.variables, **target.of_request}
        database = {key: _expanded(value, variables) for key, value in raw.items()}
        server, where = _address(database)
        identity = sha256(json.dumps([where, _expanded(schema, variables)]).encode()).digest()
        if identity in known and not _lacks(raw, schema, variables):
            raise InvalidFileError([_same(loaded, known[identity], target.name)])
        known[identity] = target.name
        yield Placed(target, server)


def _lacks(database: Mapping[str, Any], schema: Any, variables: Mapping[str, str]) -> bool:
    """Returns whether a target has no value for what tells where it is, so that it fails before it is anywhere."""
    for text in (*database.values(), schema):
        try:
            expand(str(text), variables)
        except UnsetVariable as error:
            if error.name.startswith(OF_TARGET):
                return True
        except ValueError:
            continue
    return False


def _same(loaded: Loaded, first: str, second: str) -> Problem:
    return Problem(
        f"targets {one_line(first)} and {one_line(second)} are the same database with the same ledger",
        loaded.document.source(("database",)),
        "Put a variable such as ${target.name} into `database`, or for schemas of one database into `ledger.schema`.",
    )


def _address(database: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the server and the database; both as written if they are known only where the target is done."""
    url = database.get("direct_url") or database.get("url")
    written = json.dumps(url if url is not None else database, default=str, sort_keys=True)
    try:
        if url is None:
            address = Address.from_parameters({key: str(value) for key, value in database.items()})
        else:
            address = Address.from_url(url)
    except (ValueError, TypeError, AttributeError):
        return written, written
    return address.server, address.where


def _expanded(raw: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(raw, str):
        try:
            return expand(raw, variables).text
        except ValueError:
            return raw
    if isinstance(raw, dict):
        return {key: _expanded(item, variables) for key, item in raw.items()}
    return [_expanded(item, variables) for item in raw] if isinstance(raw, list) else raw
