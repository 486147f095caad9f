"""Writes the first bootstrap.yaml of a project from what its folder, and on request a database, shows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from bootstrapper.dataclass import dataclass
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.errors import UnusableServerError, UsageError
from bootstrapper.fixtures.pull import lookup_tables, pulling
from bootstrapper.fixtures.pull.lookup_tables import Candidate
from bootstrapper.fixtures.pull.new_files import NewFiles
from bootstrapper.fixtures.pull.pulling import Wanted
from bootstrapper.migrations.settings import DEFAULT_TABLE
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.serverprograms import find_server
from bootstrapper.scaffold import bootstrap_file, gitignore
from bootstrapper.scaffold.survey import Survey, survey

_URL = "BOOTSTRAPPER_INIT_URL"
_PULLING = f"""\
version: 1
name: init
database: {{url: "${{{_URL}}}"}}
steps: [{{uses: wait, with: {{timeout: 30s}}}}]
"""


@dataclass(frozen=True)
class Draft:
    """The files that `init` writes, and what they were made from.

    Attributes:
        file: The bootstrap.yaml.
        texts: What is written, by path and in this order; `file` is the last one.
        ignored: The lines that are added to .gitignore.
        server: The PostgreSQL that the embedded server runs, or that there is none.
        tables: Of the database: which were pulled and which not, and why.
        rows: How many were pulled, by fixture.
    """

    file: Path
    found: Survey
    texts: Mapping[Path, bytes]
    ignored: tuple[str, ...]
    server: str
    tables: tuple[Candidate, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pulled:
    tables: tuple[Candidate, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    text: str | None = None


def draft(request: Request, *, config: Path | None = None, url: str | None = None, tables: Sequence[str] = ()) -> Draft:
    """Returns the files for the folder of the request's file, and writes nothing.

    Args:
        request: Its file is the one to write.
        config: The Alembic configuration to use, where the folder has several.
        url: The database to pull fixtures from. It appears in no file.
        tables: The tables to pull; by default those that look like lookup tables.

    Raises:
        UsageError: The folder does not exist, it has several Alembic projects, or the URL is not valid.
    """
    folder = request.file.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"folder {folder} does not exist", hint="Create it first.")
    found = survey(folder, config)
    pulled = _pull(request, found, url, tables) if url is not None else _Pulled()
    ignored = gitignore.missing(folder)
    texts = {folder / ".gitignore": gitignore.extended(folder, ignored)} if ignored else {}
    texts[folder / bootstrap_file.OVERLAY] = bootstrap_file.overlay_text(found).encode()
    texts[folder / request.file.name] = bootstrap_file.text(found, pulled.text).encode()
    return Draft(request.file, found, texts, ignored, _server(request), pulled.tables, pulled.rows)


def write(made: Draft) -> None:
    """Writes the files; each gets its name only once it is complete, bootstrap.yaml last.

    Raises UsageError if one of them exists, except for .gitignore, or cannot be written.
    """
    require_new(made.file)
    with NewFiles(overwrite=True) as new_files:
        for path, content in made.texts.items():
            _require_replaceable(path, content)
            mode = path.stat().st_mode if path.exists() else None
            with new_files.create(path) as stream:
                stream.write(content)
                if mode is not None:
                    os.fchmod(stream.fileno(), mode)


def require_new(file: Path) -> None:
    """Raises UsageError if the file exists."""
    if os.path.lexists(file):
        raise UsageError(
            f"{file} already exists", hint="Print the new file with --dry-run, or write it elsewhere with --file."
        )


def _server(request: Request) -> str:
    try:
        programs = find_server(request.variables.get("PATH", ""))
    except UnusableServerError as error:
        return f"{error.reason}. {error.hint}"
    return f"PostgreSQL {programs.version_text} in {programs.folder}"


def _require_replaceable(path: Path, content: bytes) -> None:
    """Accepts an overlay that a killed `init` left: it is the same."""
    if path.name == ".gitignore" or not os.path.lexists(path):
        return
    if not path.is_file() or path.read_bytes() != content:
        raise UsageError(f"{path} already exists", hint="Rename or remove it; `init` writes the file of that name.")


def _pull(request: Request, found: Survey, url: str, tables: Sequence[str]) -> _Pulled:
    try:
        target = Target.from_url(url)
    except ValueError as error:
        raise UsageError(f"--from-database: {error}", hint="Write postgresql://USER@HOST:PORT/DATABASE.") from error
    for secret in target.secrets:
        request.masker.learn(secret)
    with tempfile.TemporaryDirectory(prefix="bootstrapper-init-") as folder:
        file = Path(folder, "bootstrap.yaml")
        file.write_text(_PULLING, encoding="utf-8")
        variables = {**request.variables, _URL: url}
        return _pulled(replace(request, file=file, environment=None, variables=variables), found, tables)


def _pulled(request: Request, found: Survey, tables: Sequence[str]) -> _Pulled:
    version = found.version_table.value if found.version_table is not None else None
    with opened(request, "init", writes=False) as run:
        run.executor.open_gates()
        with run.looker.reading("pull") as connection:
            known = [] if tables else lookup_tables.choose(connection, without={DEFAULT_TABLE, version or ""})
            wanted = tuple(tables) or tuple(each.name for each in known if each.is_chosen)
            if not wanted:
                return _Pulled(tuple(known))
            pulled = pulling.pull(connection, Wanted(tables=wanted), run.project)
    return _Pulled(tuple(known), pulled.rows, pulled.text)
