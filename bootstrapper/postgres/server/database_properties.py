"""The properties of a database itself, which neither a dump nor CREATE DATABASE ... TEMPLATE copies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from psycopg import Connection, sql

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import StepFailedError

# The columns of the locale differ between major versions. Naming a tablespace needs privileges on it, even for the
# default one.
_DATABASE = """
SELECT d.oid, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate,
       d.datctype, r.row ->> 'datlocprovider', coalesce(r.row ->> 'datlocale', r.row ->> 'daticulocale'),
       r.row ->> 'daticurules', t.spcname, d.datconnlimit, d.datistemplate, d.datacl IS NOT NULL,
       pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database AS d
LEFT JOIN pg_catalog.pg_tablespace AS t ON t.oid = d.dattablespace
  AND t.oid <> (SELECT dattablespace FROM pg_catalog.pg_database WHERE datname = 'template0')
CROSS JOIN pg_catalog.to_jsonb(d) AS r (row)
WHERE d.datname = %s
"""
_SETTINGS = """
SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END,
       pg_catalog.split_part(c.setting, '=', 1), pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1)
FROM pg_catalog.pg_db_role_setting AS s
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS c (setting, place)
WHERE s.setdatabase = %s ORDER BY s.setrole, c.place
"""
_GRANTS = """
SELECT CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database AS d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) AS a
WHERE d.oid = %s ORDER BY a.grantee, a.privilege_type
"""
_PROVIDERS = {"c": ("libc", None), "i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}
# Settings that are lists of names, each quoted on its own if necessary; the same ones as in pg_dump.
_LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"]*))\s*(?:,|\Z)')
_DEFAULT_GRANTS = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC")


@dataclass(frozen=True)
class Properties:
    """The properties of a database itself, apart from its content.

    Attributes:
        tablespace: None for that of template0.
        locale: Options of CREATE DATABASE with their values, in order.
        settings: Role (None for all), name and value of ALTER [ROLE ... IN] DATABASE ... SET.
        grants: Role (None for PUBLIC), privilege, with grant option; None for the default ones.
    """

    owner: str
    locale: tuple[tuple[str, str], ...]
    tablespace: str | None
    connection_limit: int
    is_template: bool
    comment: str | None
    settings: tuple[tuple[str | None, str, str], ...]
    grants: tuple[tuple[str | None, str, bool], ...] | None


def properties(connection: Connection[Any], name: str) -> Properties:
    """Reads the properties, on a connection to any database of the server."""
    row = connection.execute(_DATABASE, (name,)).fetchone()
    if row is None:
        raise StepFailedError(f"database {name!r} does not exist any more")
    oid, owner, encoding, collate, ctype, provider, locale, rules, tablespace, limit, template, has_acl, comment = row
    options: dict[str, str | None] = {"ENCODING": encoding, "LC_COLLATE": collate, "LC_CTYPE": ctype}
    if provider is not None:
        word, locale_option = _PROVIDERS[provider]
        options |= {"LOCALE_PROVIDER": word, "ICU_RULES": rules, **({locale_option: locale} if locale_option else {})}
    return Properties(
        owner=owner,
        locale=tuple((option, value) for option, value in options.items() if value is not None),
        tablespace=tablespace,
        connection_limit=limit,
        is_template=template,
        comment=comment,
        settings=tuple(connection.execute(_SETTINGS, (oid,)).fetchall()),
        grants=tuple(connection.execute(_GRANTS, (oid,)).fetchall()) if has_acl else None,
    )


def shown(statement: sql.Composed) -> str:
    """Returns the statement without the value of a setting, which may be a secret."""
    text = statement.as_string(None)
    return text.partition(" TO ")[0] if text.startswith("ALTER ") else text


def statements(name: sql.Identifier, like: Properties) -> Iterator[sql.Composed]:
    """Yields the statements for all properties that CREATE DATABASE does not set, except the grants."""
    for role, setting, value in like.settings:
        whom = sql.SQL("ROLE {} IN ").format(sql.Identifier(role)) if role is not None else sql.SQL("")
        yield sql.SQL("ALTER {}DATABASE {} SET {} TO {}").format(
            whom, name, sql.Identifier(*setting.split(".")), _setting_value(setting, value)
        )
    if like.comment is not None:
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(like.comment))
    if like.connection_limit != -1:
        yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(like.connection_limit))
    if like.is_template:
        yield sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(name)


def grants(name: str, like: Properties) -> Iterator[sql.Composed]:
    """Yields the statements that open the database to the same roles, run last, after it has the name."""
    identifier = sql.Identifier(name)
    if like.grants is None:
        yield _DEFAULT_GRANTS.format(identifier)
        return
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(identifier, sql.Identifier(like.owner))
    for role, privilege, grantable in like.grants:
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(privilege),
            identifier,
            sql.Identifier(role) if role is not None else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )


def _setting_value(setting: str, value: str) -> sql.Composable:
    if setting.lower() not in _LISTS:
        return sql.Literal(value)
    return sql.SQL(", ").join(map(sql.Literal, _items(value) or [""]))


def _items(text: str) -> list[str]:
    """Returns the names in the value of a setting."""
    found, position = [], 0
    while position < len(text) and (match := _ITEM.match(text, position)):
        found.append(match[1].replace('""', '"') if match[1] is not None else match[2].strip())
        position = match.end()
    return found
