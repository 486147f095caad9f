"""What the file says before any database is asked: which database, where its ledger is, and the key of its record."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import yaml

from bootstrapper.config import env_lines
from bootstrapper.quick import embedded

_FORMAT = "1"
_VARIABLE = re.compile(r"\$\{((?:target\.)?[A-Za-z_][A-Za-z0-9_]*)(?::-([^${}\\]*))?\}")
_URL = re.compile(r"(?P<scheme>postgres(?:ql)?)(?:\+[a-z0-9_]+)?(?P<rest>://[^@?,]*(?:@[^@?,]*)?(?:\?[^@,]*)?)")
_SEVERAL = re.compile(r"%2c|[?&]service=", re.IGNORECASE)
_ELSEWHERE = ("python", "cwd", "env")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Declared(NamedTuple):
    """A file that the quick look understands.

    Attributes:
        url: The address of the database, for libpq.
        schema: The schema of the ledger.
        folder: Where relative paths start.
        key: Of the record in the ledger: the digest of the file, its overlay and its env files, and of the version that
            read them.
        is_embedded: Whether the database is on an embedded server.
        variables: Those of the process, and below them those of its env files.
        migrates: Whether it has a step that runs revisions in this interpreter and in its folder.
    """

    url: str
    schema: str
    folder: str
    key: str
    is_embedded: bool
    variables: Mapping[str, str]
    migrates: bool


def read(file: str, environment: str | None, variables: Mapping[str, str], version: str) -> Declared | None:
    """Returns what the file declares; None if it takes the whole of bootstrapper to read it.

    Raises OSError, ValueError or YAMLError for a file that cannot be read.
    """
    folder = os.path.dirname(os.path.abspath(file))
    contents = [_content(file)]
    data = _parsed(contents[0])
    declared = _mapping(data.get("environments"))
    if (environment is None) != (not declared) or (environment is not None and environment not in declared):
        return None
    chosen = _mapping(declared.get(environment)) if environment is not None else {}
    is_protected = chosen.get("protected", False)
    if not isinstance(is_protected, bool):
        return None
    database, ledger = _mapping(data.get("database")), _mapping(data.get("ledger"))
    env_files, beside = data.get("env_files"), folder
    if chosen.get("file") is not None:
        place = os.path.join(folder, chosen["file"])
        contents.append(_content(place))
        overlay = _parsed(contents[1])
        database |= _mapping(overlay.get("database"))
        ledger |= _mapping(overlay.get("ledger"))
        if "env_files" in overlay:
            env_files, beside = overlay["env_files"], os.path.dirname(place)
    found = [_env_file(name, beside, folder) for name in ([] if is_protected else env_files or [])]
    variables = {**_variables(found), **variables}
    written = _written(database, variables)
    is_embedded = written is not None and written.startswith(embedded.SCHEME)
    if written is None or (is_embedded and is_protected):
        return None
    url = embedded.address_of(written, folder) if is_embedded else _address(written)
    schema = _expanded(ledger.get("schema", "bootstrapper"), variables)
    if url is None or schema is None or not _NAME.fullmatch(schema):
        return None
    digest = sha256(f"{_FORMAT}\0{version}\0{environment}\0".encode())
    for content in (*contents, *found):
        digest.update(b"-" if content is None else b"%d:%b" % (len(content), content))
    key = f"quick:{digest.hexdigest()}"
    return Declared(url, schema, folder, key, is_embedded, variables, _migrates(data.get("steps")))


def _migrates(steps: object) -> bool:
    found = [each for each in steps if isinstance(each, dict)] if isinstance(steps, list) else []
    settings = [each.get("with") or {} for each in found if each.get("uses") == "migrate"]
    return bool(settings) and all(isinstance(each, dict) and each.keys().isdisjoint(_ELSEWHERE) for each in settings)


def _content(path: str) -> bytes:
    if not os.path.isfile(path):
        raise ValueError("not a regular file")
    with open(path, "rb") as file:
        return file.read()


def _env_file(name: str, beside: str, folder: str) -> bytes | None:
    """Returns the content of a file of variables; None if it may be missing, and is. Raises ValueError for a variable.

    Args:
        beside: The folder of the file that names it; as `config/load.py`, which has the path start at the main file.
        folder: That of the main file.
    """
    if "$" in name:
        raise ValueError("not a plain name")
    path = name.removesuffix("?")
    if beside != folder and not os.path.isabs(path):
        path = os.path.relpath(os.path.join(beside, path), folder)
    path = os.path.join(folder, path)
    return None if name.endswith("?") and not os.path.exists(path) else _content(path)


def _variables(contents: Iterable[bytes | None]) -> dict[str, str]:
    """Returns the variables of all files, of which the last one wins."""
    found: dict[str, str] = {}
    for content in contents:
        variables, wrong = env_lines.parse((content or b"").decode("utf-8-sig"))
        if wrong:
            raise ValueError("not a file of variables")
        found |= variables
    return found


def _parsed(content: bytes) -> dict[Any, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return _mapping(yaml.load(content, Loader=loader))  # noqa: S506 - both are safe


def _mapping(value: object) -> dict[Any, Any]:
    """Returns a copy; raises ValueError for anything but a mapping or nothing."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return dict(value)


def _written(database: Mapping[str, object], variables: Mapping[str, str]) -> str | None:
    """Returns the address in use with its variables; None for separate keys, and several hosts."""
    if not database or database.keys() - {"url", "direct_url"}:
        return None
    if any("," in variables.get(name, "") for name in ("PGHOST", "PGHOSTADDR", "PGPORT")):
        return None
    written = _expanded(database.get("direct_url") or database.get("url"), variables)
    return None if written is None else written.strip()


def _expanded(written: object, variables: Mapping[str, str]) -> str | None:
    """Returns a text with its variables; None where one has no value, and for anything else."""
    if not isinstance(written, str) or "$" in _VARIABLE.sub("", written):
        return None
    found = _VARIABLE.sub(lambda each: variables.get(each[1]) or each[2] or "\0", written)
    return None if "\0" in found else found


def _address(written: str) -> str | None:
    """Returns a URL as libpq takes it; None for several hosts, and a service."""
    match = _URL.fullmatch(written)
    if match is None or _SEVERAL.search(match["rest"]):
        return None
    return match["scheme"] + match["rest"]
