"""Reads the list of targets: from the file, from a query, from what a program prints, or from another file."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from bootstrapper.config.document import OF_TARGET, read_bytes
from bootstrapper.config.fleet import FleetConfig, TargetsConfig
from bootstrapper.config.fleet_rules import target_fault
from bootstrapper.config.load import Loaded
from bootstrapper.deadline import Deadline
from bootstrapper.errors import FleetError, InvalidFileError, Problem, Source
from bootstrapper.postgres.connection.session import Session
from bootstrapper.postgres.connection.settings import LEND_PATH, lent
from bootstrapper.postgres.connection.target import Target as Address
from bootstrapper.programs import runner
from bootstrapper.text import one_line

_LONGEST_SECONDS = 60.0
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """One database or schema: its name and all its variables, the name among them."""

    name: str
    variables: Mapping[str, str]

    @property
    def of_request(self) -> dict[str, str]:
        """The variables under the names that `${target.NAME}` is looked up by."""
        return {f"{OF_TARGET}{name}": value for name, value in self.variables.items()}


def read_targets(loaded: Loaded) -> list[Target]:
    """Returns the targets in the order of their list.

    Raises ConfigError or UnreachableError if the list cannot be had, or if an entry of it is not a target.
    """
    fleet = fleet_of(loaded)
    if isinstance(fleet.targets, list):
        return list(_checked(fleet.targets, "fleet.targets", loaded.document.source(("fleet", "targets"))))
    source = loaded.document.source(("fleet", "targets"))
    if fleet.targets.sql is not None:
        return list(_checked(_asked(fleet.targets, fleet.targets.sql, source), "a row of fleet.targets.sql", source))
    if fleet.targets.command is not None:
        content = _printed(fleet.targets.command, loaded, source)
        return list(_checked(_parsed(content, "fleet.targets.command", source), "fleet.targets.command", source))
    place = loaded.document.source(("fleet", "targets", "file"))
    path = Path(place.file).absolute().parent / str(fleet.targets.file)
    return list(_checked(_parsed(read_bytes(path), str(path), place), str(path), place))


def fleet_of(loaded: Loaded) -> FleetConfig:
    if loaded.config.fleet is None:
        raise FleetError(f"{loaded.document.name} has no section `fleet`", hint="Declare its targets there.")
    return loaded.config.fleet


def _checked(entries: Iterable[Mapping[str, Any]], where: str, source: Source) -> Iterator[Target]:
    names: set[str] = set()
    for entry in entries:
        fault = target_fault(entry)
        if fault is None and str(entry["name"]) in names:
            fault = f"two targets have the name {one_line(str(entry['name']))}"
        if fault is not None:
            raise InvalidFileError([Problem(f"{where}: {fault}", source)])
        names.add(str(entry["name"]))
        variables = {str(key): text_of(value) for key, value in entry.items() if value is not None}
        yield Target(str(entry["name"]), variables)


def text_of(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _asked(targets: TargetsConfig, query: str, source: Source) -> Iterator[dict[str, str | None]]:
    """Asks the control database; values are texts, as the server writes them."""
    try:
        address = Address.from_url(str(targets.url))
    except ValueError as error:
        raise InvalidFileError([Problem(f"fleet.targets.url: {error}", source)]) from error
    deadline = Deadline.after(_LONGEST_SECONDS)
    session = Session(address, application_name="bootstrapper/fleet", deadline=deadline)
    try:
        with session.read_only() as connection, lent(connection, LEND_PATH):
            with connection.pipeline():  # takes one statement: a COMMIT before another would end READ ONLY
                cursor = connection.execute(query.encode())
            found = cursor.pgresult
    except psycopg.Error as error:
        said = one_line(str(error).partition("\n")[0])
        raise FleetError(f"the targets cannot be read: {said}", source=source, sqlstate=error.sqlstate) from error
    finally:
        session.close()
    assert found is not None
    names = [(found.fname(column) or b"").decode() for column in range(found.nfields)]
    if fault := _columns_fault(names):
        raise InvalidFileError([Problem(f"fleet.targets.sql: {fault}", source)])
    for row in range(found.ntuples):
        values = (found.get_value(row, column) for column in range(found.nfields))
        yield {name: None if value is None else value.decode() for name, value in zip(names, values, strict=True)}


def _printed(words: list[str], loaded: Loaded, source: Source) -> bytes:
    name = words[0]
    is_path = os.sep in name
    found = shutil.which(loaded.directory / name if is_path else name, path=loaded.variables.get("PATH", os.defpath))
    if found is None:
        raise FleetError(f"fleet.targets.command: program {one_line(name)} not found", source=source)
    deadline = Deadline.after(_LONGEST_SECONDS)
    try:
        ended, content = runner.output(
            [str(found), *words[1:]],
            environment=loaded.variables,
            deadline=deadline,
            folder=loaded.directory,
            longest=_LARGEST,
        )
    except runner.OutOfTimeError:
        raise FleetError(f"fleet.targets.command: no answer within {_LONGEST_SECONDS:.0f} s", source=source) from None
    except OSError as error:
        raise FleetError(f"fleet.targets.command cannot be started: {error.strerror}", source=source) from error
    if ended.code != 0 or len(content) > _LARGEST:
        how = ended.how if ended.code != 0 else "printed more than 256 MB"
        raise FleetError(f"fleet.targets.command {how}", source=source, details=ended.last_lines[-3:])
    return content


def _parsed(content: bytes, where: str, source: Source) -> list[dict[str, Any]]:
    """Reads a JSON list of objects, or CSV with a header; an empty field of CSV counts as absent."""
    try:
        text = content.decode("utf-8-sig")
        if text.lstrip().startswith("["):
            entries = json.loads(text, parse_float=Decimal)
            if all(isinstance(entry, dict) and not any(map(_is_nested, entry.values())) for entry in entries):
                return list(entries)
            raise ValueError("expected a list of objects with plain values")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="", restval=None)
        if fault := _columns_fault(reader.fieldnames or ()):
            raise ValueError(fault)
        rows = [{key: value or None for key, value in row.items()} for row in reader]
        if any("" in row for row in rows):
            raise ValueError("a line has more fields than the header")
        return rows
    except (ValueError, csv.Error, RecursionError) as error:
        said = one_line(str(error))
        raise InvalidFileError([Problem(f"{where} is neither CSV with a header nor JSON: {said}", source)]) from error


def _columns_fault(names: Sequence[str]) -> str | None:
    """Returns what is wrong with the columns, also of an empty list: what lists nothing at all has none."""
    if "name" not in names:
        return "targets need a column `name`"
    twice = next((name for name, number in Counter(names).items() if number > 1), None)
    return None if twice is None else f"two columns have the name {one_line(twice)}"


def _is_nested(value: object) -> bool:
    return isinstance(value, list | dict)
