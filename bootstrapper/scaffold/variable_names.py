"""Which names of variables promise the address of a database, or a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bootstrapper.config.secret_names import words

PARTS = ("host", "port", "user", "password", "dbname")

_DATABASE = frozenset({"database", "db", "postgres", "postgresql", "pg", "psql", "sqlalchemy", "sql"})
_ADDRESS = frozenset({"url", "uri", "dsn"})
_OTHERS = frozenset(
    {"test", "tests", "testing", "redis", "mongo", "mongodb", "mysql", "sqlite", "celery", "replica", "readonly"}
)
_PART_OF = {
    **dict.fromkeys(("host", "hostname", "server"), "host"),
    "port": "port",
    **dict.fromkeys(("user", "username"), "user"),
    **dict.fromkeys(("password", "pass", "passwd", "pwd"), "password"),
    **dict.fromkeys(("name", "db", "database", "dbname"), "dbname"),
}
_LIBPQ = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
_REQUIRED = ("host", "user", "dbname")


def names_address(name: str) -> bool:
    """Whether it promises a whole address: DATABASE_URL, SQLALCHEMY_DATABASE_URI; not TEST_DATABASE_URL."""
    found = set(words(name))
    return bool(found & _DATABASE and found & _ADDRESS) and not found & _OTHERS


def parts(names: Iterable[str]) -> Mapping[str, str]:
    """Returns the variables of the parts of an address, by libpq's keyword; empty if an essential one is missing.

    Those that begin with the same word belong together: POSTGRES_HOST with POSTGRES_USER, not with REDIS_PORT.
    """
    families: dict[str, dict[str, str]] = {}
    for name in names:
        family, part = _part(name)
        if part is not None:
            families.setdefault(family, {}).setdefault(part, name)
    whole = [found for found in families.values() if all(part in found for part in _REQUIRED)]
    best = max(whole, key=len, default={})
    return {part: best[part] for part in PARTS if part in best}


def _part(name: str) -> tuple[str, str | None]:
    if name in _LIBPQ:
        return "PG", _LIBPQ[name]
    *before, last = words(name) or [""]
    if not before or not _DATABASE & set(before) or _OTHERS & set(before):
        return "", None
    return "_".join(before), _PART_OF.get(last)
