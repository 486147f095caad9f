"""What went wrong, as facts for the parent."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import alembic
import sqlalchemy
from sqlalchemy.exc import DBAPIError, InvalidRequestError, StatementError

from bootstrapper_worker.channel import Stop
from bootstrapper_worker.direct import Refused

OWN = f"{Path(__file__).parent}{os.sep}"
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
LIBRARIES = tuple(f"{Path(str(module.__file__)).parent}{os.sep}" for module in (alembic, sqlalchemy))
PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
MOST_FRAMES = 100


def attempt(work: Callable[[], None]) -> dict[str, Any] | None:
    """Does the work; returns what failed, None on success."""
    try:
        work()
    except SystemExit as error:
        return describe(error) if error.code else None
    except Exception as error:  # noqa: BLE001 - any code of the project may fail in any way
        return describe(error)
    return None


def describe(error: BaseException) -> dict[str, Any]:
    """Returns the facts, without the parameters of a statement; DETAIL, which quotes rows, is filtered later."""
    is_of_driver = any(map(_is_of_driver, _chain(error)))
    files = _files(error) if _is_broken(error) else []
    return {**_reason(error), "traceback": _traceback(error), "is_of_driver": is_of_driver, "broken": files}


def _reason(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Stop):
        return error.report
    if _server_error(error) is not None or isinstance(error, StatementError):
        return {"kind": "database", **_database_error(error)}
    if type(error).__name__ == "CommandError":
        return {"kind": "alembic", "reason": str(error)}
    if isinstance(error, ModuleNotFoundError):
        return {"kind": "project", "reason": f"{error}{_place(error)}", "module": error.name}
    if isinstance(error, SyntaxError) and error.filename:
        place = os.path.relpath(error.filename)
        return {"kind": "project", "reason": f"{type(error).__name__}: {error.msg} ({place}:{error.lineno})"}
    return {"kind": "project", "reason": f"{type(error).__name__}: {error}{_place(error)}"}


def _is_broken(error: BaseException) -> bool:
    """Whether the code itself is wrong, with or without a database: not the absence of what a database would give."""
    if isinstance(error, AttributeError):  # of a module, such as `op`; None has no `fetchall` without a database
        return isinstance(getattr(error, "obj", None), ModuleType) or str(error).startswith("module ")
    return isinstance(error, (SyntaxError, ImportError)) or type(error) is NameError


def _files(error: BaseException) -> list[str]:
    """Returns the files that the error went through, the innermost last."""
    found = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return [*found, *([error.filename] if isinstance(error, SyntaxError) and error.filename else [])]


def _is_of_driver(error: BaseException) -> bool:
    """Whether the engine requires the other kind of driver: async instead of sync, or the reverse."""
    is_sync_in_async = isinstance(error, InvalidRequestError) and "requires an async driver" in str(error)
    return is_sync_in_async or type(error).__name__ == "MissingGreenlet"


def _server_error(error: BaseException) -> BaseException | None:
    """Returns the driver's own error behind this one; None where the server reported none."""
    original = error.orig if isinstance(error, StatementError) else error
    return original if isinstance(error, (DBAPIError, Refused)) or _sqlstate(original) is not None else None


def _database_error(error: BaseException) -> dict[str, Any]:
    statement = error.statement if isinstance(error, StatementError) else None
    original = _server_error(error)
    if original is None:  # SQLAlchemy could not send it
        cause = getattr(error, "orig", None) or error
        return {"reason": f"{type(cause).__name__}: {_first_line(cause)}{_place(error)}", "statement": statement}
    return {
        "reason": _message(original),
        "detail": _detail(original),
        "statement": statement,
        "sqlstate": _sqlstate(original),
        "place": _revision_place(error),
    }


def _revision_place(error: BaseException) -> str | None:
    """Returns file and line of the innermost frame in the revision's own file; None if none is."""
    here, place = f"{Path.cwd()}{os.sep}", None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if "down_revision" in frame.f_globals:
            name = os.path.abspath(frame.f_code.co_filename)  # noqa: PTH100 - resolves no links
            place = f"{name.removeprefix(here)}:{line}"
    return place


def _sqlstate(error: Any) -> str | None:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code if isinstance(code, str) else None


def _message(error: Any) -> str:
    """Returns the primary message of the server."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary:
        return str(primary)
    return _first_line(error.__cause__ if error.__cause__ is not None and _sqlstate(error.__cause__) else error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _detail(error: Any) -> str | None:
    """Returns the server's DETAIL, from psycopg and psycopg2, or from the error of asyncpg behind SQLAlchemy's."""
    for each in (error, error.__cause__):
        detail = getattr(getattr(each, "diag", None), "message_detail", None) or getattr(each, "detail", None)
        if isinstance(detail, str):
            return detail
    return None


def _place(error: BaseException) -> str:
    """Returns the innermost frame of the project's own files, otherwise of an installed package."""
    here = f"{Path.cwd()}{os.sep}"
    own = installed = ""
    for frame in traceback.extract_tb(error.__traceback__):
        name = frame.filename if frame.filename.startswith("<") else os.path.abspath(frame.filename)  # noqa: PTH100 - resolves no links
        if _is_foreign(name):
            continue
        if name.startswith(here) and not _is_installed(name):
            own = f" ({name[len(here) :]}:{frame.lineno})"
        else:
            installed = f" ({PACKAGES.sub('', name)}:{frame.lineno})"
    return own or installed


def _is_foreign(name: str) -> bool:
    """Whether it is one of the worker, of Alembic, of SQLAlchemy, or of Python."""
    is_pythons = name.startswith(("<", STANDARD_LIBRARY)) and not _is_installed(name)
    return is_pythons or name.startswith((OWN, *LIBRARIES))


def _is_installed(name: str) -> bool:
    return PACKAGES.match(name) is not None


def _traceback(error: BaseException) -> str:
    """Returns the traceback, causes first; of an error of the server only the SQLSTATE."""
    parts: list[str] = []
    for each in _chain(error):
        frames = [frame for frame in traceback.extract_tb(each.__traceback__) if not frame.filename.startswith(OWN)]
        server = _server_error(each)
        message = str(each) if not isinstance(each, StatementError) else _reason(each)["reason"]
        message = message if server is None else f"SQLSTATE {_sqlstate(server) or 'unknown'}"
        frames_text = "".join(traceback.format_list(frames[-MOST_FRAMES:]))
        parts.append(f"Traceback (most recent call last):\n{frames_text}{type(each).__name__}: {message}")
    return "\n\n".join(reversed(parts))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and its causes."""
    known: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in known:
        known.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
