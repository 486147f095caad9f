"""A temporary database like the configured one, in which migrations are run from the beginning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, errors, sql

from bootstrapper.deadline import Deadline
from bootstrapper.errors import MigrationError
from bootstrapper.postgres.connection.connect import connect
from bootstrapper.postgres.connection.settings import greet
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.scratch import create_closed, drop_abandoned, reserved_name

PREFIX = "bootstrapper_scratch_"
ALREADY_THERE = frozenset({"42710", "42P06"})
"""What revisions get that create their extensions or schemas themselves: duplicate_object, duplicate_schema."""
_CONNECT_SECONDS = 30.0

# The columns differ from one major version to the next.
_LOCALE = """
SELECT pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, r.row ->> 'datlocprovider',
       coalesce(r.row ->> 'datlocale', r.row ->> 'daticulocale'), r.row ->> 'daticurules'
FROM pg_catalog.pg_database AS d, pg_catalog.to_jsonb(d) AS r (row)
WHERE d.datname = pg_catalog.current_database()
"""
_PROVIDERS = {"c": ("libc", None), "i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}

# Settings that an ordinary role may set; a name that is not in pg_settings is a custom one.
_SETTINGS = """
SELECT s.setrole <> 0, pg_catalog.split_part(c.setting, '=', 1),
       pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1)
FROM pg_catalog.pg_db_role_setting AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (setting)
LEFT JOIN pg_catalog.pg_settings AS k
  ON pg_catalog.lower(k.name) = pg_catalog.lower(pg_catalog.split_part(c.setting, '=', 1))
WHERE (s.setrole = 0 OR pg_catalog.pg_get_userbyid(s.setrole) = session_user) AND coalesce(k.context, 'user') = 'user'
"""
_LISTS = ("search_path", "temp_tablespaces")
"""Settings whose value is a list of names, which must not be quoted as one text."""

# Used by an object outside extensions: neither a member, nor an index, row type or rule of a member.
_EXTENSIONS = """
WITH members AS (
    SELECT d.classid, d.objid, d.refobjid AS extension FROM pg_catalog.pg_depend AS d
    WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
)
SELECT e.extname, n.nspname, e.extversion, EXISTS (
    SELECT 1 FROM members AS m
    JOIN pg_catalog.pg_depend AS u ON u.refclassid = m.classid AND u.refobjid = m.objid AND u.deptype = 'n'
    WHERE m.extension = e.oid
      AND NOT EXISTS (SELECT 1 FROM members AS o WHERE o.classid = u.classid AND o.objid = u.objid)
      AND NOT EXISTS (
          SELECT 1 FROM pg_catalog.pg_depend AS p JOIN members AS o ON o.classid = p.refclassid AND o.objid = p.refobjid
          WHERE p.classid = u.classid AND p.objid = u.objid AND p.deptype IN ('i', 'a')))
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname <> 'plpgsql' ORDER BY e.oid
"""


@contextmanager
def scratch_database(connection: Connection[Any], target: Target, *, with_extensions: bool = True) -> Iterator[Target]:
    """Creates an empty database with the encoding, locale, settings and extensions of the current one.

    It belongs to the current role and is dropped at the end, even if sessions are connected to it; if that fails, the
    next call drops it, as it drops those of killed runs of this role.

    Args:
        connection: To the current database, in autocommit mode, outside a transaction and not through a pooler: its
            session holds the lock that prevents others from dropping the scratch database.
        target: The current database; the yielded target differs in the name of the database only.
        with_extensions: False for migrations that create their extensions without IF NOT EXISTS.

    Raises:
        MigrationError: The role may not create databases, or an extension in use cannot be created.
        UnreachableError: The scratch database cannot be reached.
        RefusedError: The server refuses the role.
    """
    drop_abandoned(connection, PREFIX, own=True)
    with reserved_name(connection, PREFIX) as name:
        _create(connection, name)
        _copy_settings(connection, name)
        scratch = target.with_database(name)
        if with_extensions:
            _create_extensions(connection, scratch)
        yield scratch


def _create(connection: Connection[Any], name: str) -> None:
    row = connection.execute(_LOCALE).fetchone()
    assert row is not None
    encoding, collate, ctype, provider, locale, rules = row
    options: dict[str, str | None] = {"ENCODING": encoding, "LC_COLLATE": collate, "LC_CTYPE": ctype}
    if provider is not None:
        word, locale_option = _PROVIDERS[provider]
        options |= {"LOCALE_PROVIDER": word, "ICU_RULES": rules}
        if locale_option is not None:
            options[locale_option] = locale
    given = [sql.SQL(word) + sql.SQL(" {}").format(value) for word, value in options.items() if value is not None]
    try:
        create_closed(connection, name, given)
    except errors.InsufficientPrivilege as error:
        hint = "Allow the role to create databases: ALTER ROLE ... CREATEDB."
        raise _refused("cannot create a scratch database", error, hint) from error
    except psycopg.DatabaseError as error:
        if error.sqlstate is None:
            raise
        raise _refused("cannot create a scratch database", error) from error


def _copy_settings(connection: Connection[Any], name: str) -> None:
    """Copies the database's own settings, such as search_path, which decides where migrations create tables."""
    for is_for_role, setting, value in connection.execute(_SETTINGS).fetchall():
        role = sql.SQL("ROLE SESSION_USER IN ") if is_for_role else sql.SQL("")
        subject = sql.SQL("ALTER {}DATABASE {} SET {} ").format(
            role, sql.Identifier(name), sql.Identifier(*setting.split("."))
        )
        try:
            with connection.transaction():
                if setting in _LISTS:
                    connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (setting, value))
                    connection.execute(subject + sql.SQL("FROM CURRENT"))
                else:
                    connection.execute(subject + sql.SQL("TO {}").format(value))
        except psycopg.DatabaseError as error:
            if error.sqlstate is None:
                raise
            raise _refused(f"cannot set {setting} in the scratch database", error) from error


def _create_extensions(connection: Connection[Any], scratch: Target) -> None:
    """Ignores failures of extensions that no object uses."""
    wanted = connection.execute(_EXTENSIONS).fetchall()
    if not wanted:
        return
    failures: list[tuple[str, psycopg.Error]] = []
    with connect(scratch, deadline=Deadline.after(_CONNECT_SECONDS), application_name="bootstrapper") as inside:
        greet(inside)
        for extension, schema, version, is_used in wanted:
            try:
                _create_extension(inside, extension, schema, version)
            except psycopg.DatabaseError as error:
                if error.sqlstate is None:
                    raise
                if is_used:
                    failures.append((extension, error))
    if failures:
        reasons = "; ".join(f"{name}: {error.diag.message_primary}" for name, error in failures)
        raise MigrationError(
            f"cannot create extensions in the scratch database: {reasons}",
            sqlstate=failures[0][1].sqlstate,
            hint="Run as a role that may create them.",
        )


def _create_extension(inside: Connection[Any], extension: str, schema: str, version: str) -> None:
    names = {"extension": sql.Identifier(extension), "schema": sql.Identifier(schema), "version": version}
    if schema != "pg_catalog":
        inside.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**names))
    statement = "CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema} VERSION {version}"
    inside.execute(sql.SQL(statement).format(**names))


def _refused(what: str, error: psycopg.Error, hint: str | None = None) -> MigrationError:
    return MigrationError(f"{what}: {error.diag.message_primary}", sqlstate=error.sqlstate, hint=hint)
