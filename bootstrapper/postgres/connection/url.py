"""Database URLs, taken apart by ourselves: libpq's own messages print the URL with its password.

No message made here holds a value out of the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from bootstrapper.dataclass import dataclass

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+(?P<driver>[a-z0-9_]+))?://", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class ParsedURL:
    """What a URL says, percent-decoded; names in the query are libpq's or a driver's, not yet judged."""

    driver: str | None
    parameters: dict[str, str]


def parse(url: str) -> ParsedURL:
    """Understands postgres://, postgresql:// and SQLAlchemy's postgresql+DRIVER://; raises ValueError.

    A raw @ in the password is understood, a raw / or ? in it is found and refused.
    """
    url = url.strip()
    scheme = _SCHEME.match(url)
    if scheme is None and url.startswith("$"):
        raise ValueError("a variable is written with braces: ${NAME}")
    if scheme is None:
        raise ValueError("a database URL must begin with postgresql:// or postgres://")
    authority, path, query = _split(url[scheme.end() :])
    login, _, hosts = authority.rpartition("@")
    user, _, password = login.partition(":")
    parts = _hosts(_decode(hosts, "host").split(",") if hosts else [])
    parts |= {"user": _decode(user, "user"), "password": _decode(password, "password")}
    parts |= {"dbname": _decode(path, "database name")}
    given = {name: value for name, value in parts.items() if value}
    driver = scheme["driver"]
    return ParsedURL(driver.lower() if driver else None, given | _query(query))


def _split(rest: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"([^/?]*)(?:/([^?]*))?(?:\?(.*))?", rest, re.DOTALL)
    if match is None or "@" in (match[2] or "") + (match[3] or ""):
        # An @ after the first / or ? may be where a password with such a character ends: never guess, never print.
        raise ValueError(
            "cannot tell where the password of the database URL ends; "
            "percent-encode its special characters: / as %2F, ? as %3F, @ as %40"
        )
    return match[1], match[2] or "", match[3] or ""


def _hosts(entries: Iterable[str]) -> dict[str, str]:
    names, ports = [], []
    for entry in entries:
        match = _HOST.fullmatch(entry)
        if match is None:
            raise ValueError(
                "invalid HOST:PORT in the database URL; write IPv6 addresses in brackets, "
                "and percent-encode special characters of the password: / as %2F, ? as %3F"
            )
        names.append(match["six"] or match["name"] or "")
        ports.append(match["port"] or "")
    parts = {"host": ",".join(names), "port": ",".join(ports)}
    return {name: value for name, value in parts.items() if value.strip(",")}


def _query(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    hosts: list[str] = []
    for pair in filter(None, text.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ValueError("the query of a database URL must consist of NAME=VALUE pairs, joined by &")
        value = _decode(value, f"parameter {name}")
        if name == "host":
            hosts.append(value)
        elif given.setdefault(name, value) != value:
            raise ValueError(f"duplicate parameter {name} in the database URL")
    return given | _query_hosts(hosts)


def _query_hosts(hosts: list[str]) -> dict[str, str]:
    """Understands both spellings: libpq's host=a,b&port=1,2 and SQLAlchemy's host=a:1&host=b:2."""
    if len(hosts) == 1 and not re.fullmatch(r"[A-Za-z0-9.-]+:\d+", hosts[0]):
        return {"host": hosts[0]}
    return _hosts(hosts)


def _decode(text: str, part: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise ValueError(f"the {part} in the database URL has a % without two hex digits; write % as %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"the {part} in the database URL has escapes that are not valid UTF-8") from None
    if "\0" in decoded:
        raise ValueError(f"the {part} in the database URL contains a NUL character")
    return decoded


def build(driver: str | None, parameters: dict[str, str]) -> str:
    """Returns a URL that libpq and SQLAlchemy read alike: one host stands in front, anything else in the query."""
    rest = dict(parameters)
    login = quote(rest.pop("user", ""), safe="")
    if "password" in rest:
        login += f":{quote(rest.pop('password'), safe='')}"
    host, port = rest.get("host", ""), rest.get("port", "")
    place = ""
    if re.fullmatch(r"[A-Za-z0-9._:-]+", host) and "," not in port:
        place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        del rest["host"]
        rest.pop("port", None)
    dbname = quote(rest.pop("dbname", ""), safe="")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in rest.items())
    scheme = f"postgresql+{driver}" if driver else "postgresql"
    return f"{scheme}://{login + '@' if login else ''}{place}/{dbname}{'?' + query if query else ''}"
