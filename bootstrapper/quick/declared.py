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
# As config/document/interpolation.py, which takes too long to load. A default with another `$${` is left to that.
_VARIABLE = re.compile(
    r"(?<!\$)\$\{(?P<name>(?:target\.)?[A-Za-z_][A-Za-z0-9_]*)"
    r"(?::(?P<kind>[-?])(?P<rest>(?:[^}\\$]|\$(?!\{)|\\\}|\\)*+))?\}"
)
_URL = re.compile(r"(?P<scheme>postgres(?:ql)?)(?:\+[a-z0-9_]+)?(?P<rest>://[^@?,]*(?:@[^@?,]*)?(?:\?[^@,]*)?)")
_SEVERAL = re.compile(r"%2c|[?&]service=", re.IGNORECASE)
_ELSEWHERE = ("python", "cwd", "env")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotReadError(ValueError):
    """What takes the whole of bootstrapper to read, as a reason for people."""


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


def read(file: str, environment: str | None, variables: Mapping[str, str], version: str) -> Declared:
    """Returns what the file declares.

    Raises NotReadError if it takes the whole of bootstrapper to read it; OSError, ValueError or YAMLError for a file
    that cannot be read.
    """
    folder = os.path.dirname(os.path.abspath(file))
    contents = [_content(file)]
    data = _parsed(contents[0])
    declared = _mapping(data.get("environments"))
    if (environment is None) != (not declared) or (environment is not None and environment not in declared):
        raise NotReadError("the environment is not one of the file")
    chosen = _mapping(declared.get(environment)) if environment is not None else {}
    is_protected = chosen.get("protected", False)
    if not isinstance(is_protected, bool):
        raise NotReadError("`protected` is not true or false")
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
    is_embedded = written.startswith(embedded.SCHEME)
    if is_embedded and is_protected:
        raise NotReadError("a protected environment has an embedded server")
    url = embedded.address_of(written, folder) if is_embedded else _address(written)
    schema = _expanded(ledger.get("schema", "bootstrapper"), variables, "ledger.schema")
    if url is None:
        raise NotReadError("the embedded server does not run, or not for this project alone")
    if not _NAME.fullmatch(schema):
        raise NotReadError("ledger.schema is a name that has to be quoted")
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
        raise NotReadError("env_files: contains a variable")
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


def _written(database: Mapping[str, object], variables: Mapping[str, str]) -> str:
    """Returns the address in use with its variables; raises NotReadError for separate keys, and several hosts."""
    if others := database.keys() - {"url", "direct_url"}:
        raise NotReadError(f"database: has {', '.join(sorted(map(str, others)))} besides a URL, or in its place")
    several = [name for name in ("PGHOST", "PGHOSTADDR", "PGPORT") if "," in variables.get(name, "")]
    if several:
        raise NotReadError(f"variable {several[0]} names several servers")
    direct = database.get("direct_url")
    if direct and (found := _expanded(direct, variables, "database.direct_url").strip()):
        return found
    return _expanded(database.get("url"), variables, "database.url").strip()


def _expanded(written: object, variables: Mapping[str, str], name: str) -> str:
    """Returns a text with its variables; raises NotReadError where one has no value, and for anything else."""
    if not isinstance(written, str):
        raise NotReadError(f"{name} is not a text" if written is not None else f"{name} is not given")
    if "${" in _VARIABLE.sub(" ", written):
        raise NotReadError(f"{name} has a ${{ that is not a variable with a plain default or message")
    return _VARIABLE.sub(lambda each: _value(each, variables, name), written)


def _value(found: re.Match[str], variables: Mapping[str, str], name: str) -> str:
    value = variables.get(found["name"])
    if value or (value is not None and found["kind"] is None):
        return value
    if found["kind"] != "-":
        raise NotReadError(f"variable {found['name']} of {name} has no value")
    return str(found["rest"]).replace("\\}", "}")


def _address(written: str) -> str:
    """Returns a URL as libpq takes it; raises NotReadError for several hosts, and a service."""
    match = _URL.fullmatch(written)
    if match is None or _SEVERAL.search(match["rest"]):
        raise NotReadError("the address is not a URL of one PostgreSQL server without a service")
    return match["scheme"] + match["rest"]
