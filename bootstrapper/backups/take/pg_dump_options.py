"""The options of pg_dump that a backup is taken with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

DEFAULT_COMPRESSION = "1"  # as small as 6 on real data and much faster; understood by every pg_dump
METHODS_SINCE = 16

_LONG = re.compile(r"--(?P<name>[a-z][a-z0-9-]*)(=.*)?", re.DOTALL)
# What each of these would break: the place and the form of the dump, the connection, or that it can be put back.
_OURS = {
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
_HALVES = ("data-only", "schema-only", "no-data", "no-schema", "section", "statistics-only")
_REFUSED = {
    **{name: f"has a key of its own: `{key}`" for name, key in _OURS.items()},
    **dict.fromkeys(_CONNECTION, "is for the connection, which `database:` describes"),
    **dict.fromkeys(_HALVES, "would leave out what a backup is for"),
    "file": "would write somewhere else; where backups go is said by `directory` or `file`",
    "enable-row-security": "would leave out rows without a word",
    **dict.fromkeys(("clean", "create", "if-exists"), "would make a dump that no restore can play"),
    "help": "dumps nothing",
    "version": "dumps nothing",
}


def refuse_argument(text: str) -> str:
    """An option of pg_dump that keeps a backup what it promises to be; raises ValueError for any other."""
    match = _LONG.fullmatch(text)
    if match is None:
        raise ValueError("has to be one long option, written as --name or --name=value")
    given = match["name"]
    # pg_dump takes any beginning of a name that stands for one option only.
    meant = given if given in _REFUSED else next((name for name in _REFUSED if name.startswith(given)), None)
    if meant is not None:
        raise ValueError(f"--{meant} {_REFUSED[meant]}")
    return text


def selection(schemas: Iterable[str], tables: Iterable[str], exclude: Iterable[str], lock_table: str) -> Iterator[str]:
    """What goes into the dump; a pattern that matches nothing is an error, except for what is left out.

    Args:
        lock_table: Quoted. Whoever restores its row would hold a lock that another run has.
    """
    named = [*(f"--schema={pattern}" for pattern in schemas), *(f"--table={pattern}" for pattern in tables)]
    yield from named
    if named:
        yield "--strict-names"
    yield from (f"--exclude-table={pattern}" for pattern in (*exclude, lock_table))


def compression(asked: int | str | None, tools: ClientTools) -> str:
    """The option in the way that this version of pg_dump writes it; raises BackupError where it knows no such thing."""
    text = DEFAULT_COMPRESSION if asked is None else str(asked)
    if tools.major >= METHODS_SINCE:
        return f"--compress={text}"
    method, _, detail = text.partition(":")
    level = {"none": "0", "gzip": detail.removeprefix("level=") or "6"}.get(method, method)
    if not (level.isdecimal() and len(level) == 1):
        raise BackupError(
            f"compress: {text} needs pg_dump {METHODS_SINCE} or newer, and the one for this server is "
            f"{tools.version_text} in {tools.folder}",
            hint="Leave `compress` out, give a level from 0 to 9, or name a newer program by `pg_dump:`.",
        )
    return f"--compress={level}"


def complaint(answer: Sequence[str]) -> str | None:
    """What a pg_dump that was started without a server to talk to found wrong with its options; None for nothing."""
    lines = [line for line in answer if line.strip() and "--help" not in line]
    if not lines or any("connection to server" in line or "could not connect" in line for line in lines):
        return None
    return re.sub(r"^(.*/)?pg_dump: (error: )?", "", lines[0])
