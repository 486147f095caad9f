"""Plants a look-alike of every function, operator and type that our SQL uses, where a search_path finds it first.

Each of them notes in the server's log that it was chosen, with the rights of the role that chose it.
"""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

import bootstrapper

SPRUNG = "look-alike chosen"

_WORD = re.compile(r"\b([a-z][a-z0-9_]+) ?\(")
_OPERATORS = ["=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||", "->", "->>", "~", "!~", "~~", "!~~"]
_MORE_OPERATORS = ["@>", "&&", "#", "|", "&", "<<", ">>", "^@", "#>", "#>>", "?"]
_TYPES = ["text", "name", "oid", "regclass", "regtype", "regnamespace", "uuid", "jsonb", "bytea", "xid", "xid8", "date"]

_PREPARE = """
CREATE SCHEMA planted;
GRANT USAGE ON SCHEMA planted TO public;
SET check_function_bodies = off;
CREATE FUNCTION planted.note_choice(what pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN RAISE LOG '{sprung}: %', what; RETURN true; END$$;
CREATE FUNCTION planted.note_count(state bigint) RETURNS bigint LANGUAGE plpgsql AS
$$BEGIN RAISE LOG '{sprung}: count(*)'; RETURN 0; END$$;
CREATE AGGREGATE planted.count(*) (SFUNC = planted.note_count, STYPE = bigint, INITCOND = '0');
CREATE FUNCTION planted."unnest"(pg_catalog.text[]) RETURNS SETOF pg_catalog.text LANGUAGE plpgsql AS
$$BEGIN RAISE LOG '{sprung}: unnest(text[])'; END$$;
"""
# What cannot be declared in PL/pgSQL, such as a parameter of any type, is left out.
_FUNCTIONS = """
DO $planting$
DECLARE f record; made int := 0;
BEGIN
    FOR f IN SELECT p.proname, p.oid, p.proretset, pg_get_function_identity_arguments(p.oid) AS arguments,
                    pg_get_function_result(p.oid) AS result
             FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ({names})
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION planted.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname, f.arguments,
                           f.result, format('BEGIN RAISE LOG ''{sprung}: %s''; RETURN%s; END', f.oid::regprocedure,
                                            CASE WHEN f.proretset THEN '' ELSE ' NULL' END));
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    ASSERT made > 100, made;
END $planting$
"""
_LOOKALIKES = """
DO $planting$
DECLARE o record; made int := 0;
BEGIN
    FOR o IN SELECT DISTINCT x.name, x.l, x.r, x.result FROM (
                 SELECT oprname::text AS name, oprleft::regtype::text AS l, oprright::regtype::text AS r,
                        oprresult::regtype::text AS result
                 FROM pg_operator WHERE oprname = ANY ({operators}) AND oprkind = 'b'
                 UNION ALL SELECT op, 'character varying', 'character varying', 'boolean'
                 FROM unnest(ARRAY['=', '<>', '~', '!~', '~~']) AS op
                 UNION ALL SELECT '||', 'text', x, 'text' FROM unnest(ARRAY['regclass', 'name', 'text', '"char"']) AS x
                 UNION ALL SELECT '||', x, 'text', 'text' FROM unnest(ARRAY['regclass', 'name', '"char"']) AS x
                 UNION ALL SELECT op, 'jsonb', 'jsonb', 'text' FROM unnest(ARRAY['->', '->>']) AS op
             ) AS x
    LOOP
        BEGIN
            made := made + 1;
            EXECUTE format('CREATE FUNCTION planted.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', 'op_' || made,
                           o.l, o.r, o.result, format('BEGIN RAISE LOG ''{sprung}: %s %s %s''; RETURN NULL; END',
                           o.l, replace(o.name, '%', '%%'), o.r));
            EXECUTE format('CREATE OPERATOR planted.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = planted.%I)',
                           o.name, o.l, o.r, 'op_' || made);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    ASSERT (SELECT count(*) > 200 FROM pg_operator WHERE oprnamespace = 'planted'::regnamespace);
END $planting$
"""
_DOMAIN = """
CREATE DOMAIN planted.{name} AS pg_catalog.{name} CHECK (planted.note_choice('type {name}'))
"""


def names_in_sources() -> list[str]:
    """Every word of the sources that something follows in brackets; most are Python's, which does no harm."""
    folder = Path(bootstrapper.__file__).parent
    texts = (path.read_text() for path in folder.rglob("*") if path.suffix in (".py", ".sql"))
    return sorted({name for text in texts for name in _WORD.findall(text)})


def plant(url: str) -> None:
    """All of them in the schema `planted`; no search_path leads there yet."""
    literals = {
        "{sprung}": SPRUNG,
        "{names}": _array(names_in_sources()),
        "{operators}": _array([*_OPERATORS, *_MORE_OPERATORS]),
    }
    statements = [_PREPARE, _FUNCTIONS, _LOOKALIKES, *(_DOMAIN.replace("{name}", name) for name in _TYPES)]
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            for mark, literal in literals.items():
                statement = statement.replace(mark, literal)
            connection.execute(statement.encode())


def _array(texts: list[str]) -> str:
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    return f"ARRAY[{quoted}]"
