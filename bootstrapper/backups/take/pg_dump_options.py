"""Builds and checks the options of pg_dump."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

DEFAULT_COMPRESSION = "1"  # as small as 6 on real data and much faster; every pg_dump knows it
METHODS_SINCE = 16

_LONG = re.compile(r"--(?P<name>[a-z][a-z0-9-]*)(=.*)?", re.DOTALL)
# Options that would change place or format of the dump or the connection, or make it impossible to restore.
_OWN_KEYS = {
    "compress": "compress",
    "exclude-table": "exclude",
    "exclude-table-and-children": "exclude",
    "format": "format",
    "jobs": "jobs",
    "schema": "schemas",
    "table": "tables",
    "table-and-children": "tables",
}
_CONNECTION = ("dbname", "host", "port", "username", "password", "no-password")
_PARTIAL = ("data-only", "schema-only", "no-data", "no-schema", "section", "statistics-only")
_REFUSED = {
    **{name: f"is set by `{key}`" for name, key in _OWN_KEYS.items()},
    **dict.fromkeys(_CONNECTION, "is set by `database`"),
    **dict.fromkeys(_PARTIAL, "would leave out a part that a restore needs"),
    "file": "is set by `directory` or `file`",
    "enable-row-security": "would silently leave out rows",
    **dict.fromkeys(("clean", "create", "if-exists"), "would make a dump that cannot be restored"),
    "help": "dumps nothing",
    "version": "dumps nothing",
}


def refuse_argument(text: str) -> str:
    """Returns the option; raises ValueError for one that a complete, restorable backup cannot have."""
    match = _LONG.fullmatch(text)
    if match is None:
        raise ValueError("not a long option; write --name or --name=value")
    given = match["name"]
    # pg_dump accepts unambiguous abbreviations.
    meant = given if given in _REFUSED else next((name for name in _REFUSED if name.startswith(given)), None)
    if meant is not None:
        raise ValueError(f"--{meant} {_REFUSED[meant]}")
    return text


def selection(schemas: Iterable[str], tables: Iterable[str], exclude: Iterable[str], lock_table: str) -> Iterator[str]:
    """Yields the options for what goes into the dump; an including pattern without a match is an error.

    Args:
        lock_table: Quoted name of the lock's table, always left out: a restored row would be a lock that is not held.
    """
    named = [*(f"--schema={pattern}" for pattern in schemas), *(f"--table={pattern}" for pattern in tables)]
    yield from named
    if named:
        yield "--strict-names"
    yield from (f"--exclude-table={pattern}" for pattern in (*exclude, lock_table))


def compression(asked: int | str | None, tools: ClientTools) -> str:
    """Returns the option as this version of pg_dump expects it; raises BackupError if it does not support it."""
    text = DEFAULT_COMPRESSION if asked is None else str(asked)
    if tools.major >= METHODS_SINCE:
        return f"--compress={text}"
    method, _, detail = text.partition(":")
    level = {"none": "0", "gzip": detail.removeprefix("level=") or "6"}.get(method, method)
    if not (level.isdecimal() and len(level) == 1):
        raise BackupError(
            f"compress: {text} needs pg_dump {METHODS_SINCE} or newer; found {tools.version_text} in {tools.folder}",
            hint="Remove `compress`, set it to a level from 0 to 9, or set `pg_dump` to a newer program.",
        )
    return f"--compress={level}"


def complaint(answer: Sequence[str]) -> str | None:
    """Returns the error about options that pg_dump printed when started without a server; None without one."""
    lines = [line for line in answer if line.strip() and "--help" not in line]
    if not lines or any("connection to server" in line or "could not connect" in line for line in lines):
        return None
    return re.sub(r"^(.*/)?pg_dump: (error: )?", "", lines[0])
