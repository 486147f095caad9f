"""The lock of each kind of statement, as tables of patterns; tests/migrations/linting/test_locks.py asks the server.

The patterns match canonical text from its beginning, and the first match counts. `{table}` and `{tables}` name the
relations that are locked, `{index}` an index whose table is locked, `{objects}` objects without rows.
"""

from __future__ import annotations

import re

from bootstrapper.dataclass import dataclass
from bootstrapper.migrations.linting.canonical import NAME, QUALIFIED, without_parentheses
from bootstrapper.migrations.linting.causes import Cause, Lock

_MANY = rf"{QUALIFIED}(?: \*)?(?: , (?:ONLY )?{QUALIFIED}(?: \*)?)*"
_PLACES = {
    "name": NAME,
    "qualified": QUALIFIED,
    "column": f"(?P<column>{NAME})",
    "constraint": f"(?P<constraint>{NAME})",
    "table": f"(?P<table>{QUALIFIED})",
    "tables": f"(?:ONLY )?(?P<tables>{_MANY})",
    "index": f"(?P<index>{_MANY})",
    "other": f"(?P<other>{QUALIFIED})",
    "objects": f"(?P<objects>{_MANY})",
    "exists": "(?:IF (?:NOT )?EXISTS )?",
    "called": f"(?:CONSTRAINT (?P<constraint>{NAME}) )?",
    "later": r".* NOT (?:VALID|ENFORCED)\b",
}


def compiled(text: str) -> re.Pattern[str]:
    return re.compile(text.format(**_PLACES), re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Rule:
    pattern: re.Pattern[str]
    lock: Lock
    cause: Cause | None = None


def _rules(*rows: tuple[str, Lock] | tuple[str, Lock, Cause]) -> tuple[Rule, ...]:
    return tuple(Rule(compiled(row[0]), *row[1:]) for row in rows)


ALTER_TABLE = compiled(r"ALTER (?:FOREIGN )?TABLE {exists}(?:ONLY )?{table}(?: \*)? (?P<actions>.+)")

ACTIONS = _rules(
    (r"ADD {called}(?:UNIQUE|PRIMARY KEY) USING INDEX", Lock.ACCESS_EXCLUSIVE),
    (r"ADD {called}(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b", Lock.ACCESS_EXCLUSIVE, Cause.CONSTRAINT_INDEX),
    (r"ADD {called}FOREIGN KEY{later}", Lock.SHARE_ROW_EXCLUSIVE),
    (r"ADD {called}FOREIGN KEY\b", Lock.SHARE_ROW_EXCLUSIVE, Cause.FOREIGN_KEY),
    (r"ADD {called}CHECK{later}", Lock.ACCESS_EXCLUSIVE),
    (r"ADD {called}CHECK\b", Lock.ACCESS_EXCLUSIVE, Cause.SCAN),
    (r"ADD {called}NOT NULL {column}{later}", Lock.ACCESS_EXCLUSIVE),
    (r"ADD {called}NOT NULL {column}", Lock.ACCESS_EXCLUSIVE, Cause.NULL_SCAN),
    (r"VALIDATE CONSTRAINT", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"DROP CONSTRAINT", Lock.ACCESS_EXCLUSIVE),
    (r"DROP ", Lock.ACCESS_EXCLUSIVE, Cause.DROP_COLUMN),
    (r"ALTER (?:COLUMN )?{name} (?:SET DATA )?TYPE ", Lock.ACCESS_EXCLUSIVE, Cause.NEW_TYPE),
    (r"ALTER (?:COLUMN )?{column} SET NOT NULL", Lock.ACCESS_EXCLUSIVE, Cause.NULL_SCAN),
    (r"ALTER (?:COLUMN )?{name} SET EXPRESSION", Lock.ACCESS_EXCLUSIVE, Cause.REWRITE),
    (r"ALTER (?:COLUMN )?(?:{name}|\d+) (?:SET STATISTICS|(?:RE)?SET \()", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"SET (?:LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)", Lock.ACCESS_EXCLUSIVE, Cause.REWRITE),
    (r"RENAME CONSTRAINT", Lock.ACCESS_EXCLUSIVE),
    (r"RENAME|SET SCHEMA", Lock.ACCESS_EXCLUSIVE, Cause.RENAME),
    (r"DETACH PARTITION .* CONCURRENTLY", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"(?:RE)?SET \(|CLUSTER ON|SET WITHOUT CLUSTER", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"(?:EN|DIS)ABLE (?:ALWAYS |REPLICA )?TRIGGER", Lock.SHARE_ROW_EXCLUSIVE),
    (r"", Lock.ACCESS_EXCLUSIVE),
)
ATTACH = compiled(r"ATTACH PARTITION {other}")
ADD_COLUMN = compiled(
    r"ADD (?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE|NOT )(?:COLUMN )?{exists}{column} (?P<definition>.*)"
)
REFERENCES = compiled(r"\bREFERENCES {other}")

_INDEX = r"CREATE (?:UNIQUE )?INDEX "
_HOLDS_DATA = "SCHEMA|TYPE|DOMAIN|SEQUENCE|EXTENSION|SERVER|DATABASE"
_HOLDS_NONE = "VIEW|COLLATION|ROLE"
_CODE = "FUNCTION|PROCEDURE|ROUTINE|AGGREGATE"

STATEMENTS = _rules(
    (_INDEX + "CONCURRENTLY {exists}(?:{name} )?ON (?:ONLY )?{table}", Lock.SHARE_UPDATE_EXCLUSIVE),
    (_INDEX + "{exists}(?:{name} )?ON (?:ONLY )?{table}", Lock.SHARE, Cause.INDEX),
    ("DROP INDEX CONCURRENTLY {exists}{index}", Lock.SHARE_UPDATE_EXCLUSIVE),
    ("DROP INDEX {exists}{index}", Lock.ACCESS_EXCLUSIVE, Cause.DROP_INDEX),
    ("DROP (?:FOREIGN )?TABLE {exists}{tables}", Lock.ACCESS_EXCLUSIVE, Cause.DROP_TABLE),
    ("DROP MATERIALIZED VIEW {exists}{tables}", Lock.ACCESS_EXCLUSIVE, Cause.DROP_TABLE),
    ("DROP (?:TRIGGER|POLICY|RULE) {exists}{name} ON {table}", Lock.ACCESS_EXCLUSIVE),
    (f"DROP (?P<kind>{_HOLDS_DATA}) {{exists}}{{objects}}", Lock.ACCESS_EXCLUSIVE, Cause.DROP_OBJECT),
    (f"DROP (?P<kind>{_HOLDS_NONE}) {{exists}}{{objects}}", Lock.ACCESS_EXCLUSIVE, Cause.DROP_USED),
    (f"DROP (?P<kind>{_CODE}) {{exists}}{{objects}}", Lock.ACCESS_EXCLUSIVE),
    ("TRUNCATE (?:TABLE )?{tables}", Lock.ACCESS_EXCLUSIVE, Cause.TRUNCATE),
    (r"REINDEX (?:\( .*? \) )?TABLE CONCURRENTLY {table}", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"REINDEX (?:\( .*? \) )?INDEX CONCURRENTLY {index}", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"REINDEX (?:\( .*? \) )?TABLE {table}", Lock.SHARE, Cause.REINDEX),
    (r"REINDEX (?:\( .*? \) )?INDEX {index}", Lock.SHARE, Cause.REINDEX),
    (r"CLUSTER (?:\( .*? \) |VERBOSE )*{table}", Lock.ACCESS_EXCLUSIVE, Cause.REWRITE),
    (
        r"VACUUM (?:FULL (?:FREEZE |VERBOSE |ANALYZE )*|\( .*?\bFULL\b.*? \) ){tables}",
        Lock.ACCESS_EXCLUSIVE,
        Cause.REWRITE,
    ),
    (r"(?:VACUUM|ANALYZE) (?:\( .*? \) |FREEZE |VERBOSE |ANALYZE )*{tables}", Lock.SHARE_UPDATE_EXCLUSIVE),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY {table}", Lock.EXCLUSIVE),
    ("REFRESH MATERIALIZED VIEW {table}", Lock.ACCESS_EXCLUSIVE, Cause.REFRESH),
    ("CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON {table}", Lock.SHARE_ROW_EXCLUSIVE),
    ("(?:CREATE|ALTER) POLICY {name} ON {table}", Lock.ACCESS_EXCLUSIVE),
    ("CREATE (?:OR REPLACE )?RULE {name} AS .*? TO {table}", Lock.ACCESS_EXCLUSIVE),
    ("CREATE STATISTICS .* FROM {table}", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"CREATE .*?TABLE {exists}{qualified} PARTITION OF {table}", Lock.ACCESS_EXCLUSIVE),
    ("COMMENT ON TABLE {table}", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"COMMENT ON COLUMN (?P<table>{qualified})\.{name} IS", Lock.SHARE_UPDATE_EXCLUSIVE),
    (r"ALTER (?P<kind>TYPE) {objects} DROP ATTRIBUTE", Lock.ACCESS_EXCLUSIVE, Cause.DROP_COLUMN),
    (r"ALTER (?P<kind>TYPE) {objects} (?:ADD|ALTER) ATTRIBUTE", Lock.ACCESS_EXCLUSIVE, Cause.TYPE),
    ("ALTER (?P<kind>TYPE) {objects} (?:RENAME|SET SCHEMA)", Lock.ACCESS_EXCLUSIVE, Cause.RENAME),
    ("ALTER (?P<kind>VIEW|SEQUENCE) {exists}{objects} (?:RENAME|SET SCHEMA)", Lock.ACCESS_EXCLUSIVE, Cause.RENAME),
    ("ALTER (?P<kind>SCHEMA) {objects} RENAME", Lock.ACCESS_EXCLUSIVE, Cause.RENAME),
    ("LOCK (?:TABLE )?{tables} IN SHARE UPDATE EXCLUSIVE MODE", Lock.SHARE_UPDATE_EXCLUSIVE),
    ("LOCK (?:TABLE )?{tables} IN SHARE ROW EXCLUSIVE MODE", Lock.SHARE_ROW_EXCLUSIVE),
    ("LOCK (?:TABLE )?{tables} IN ACCESS SHARE MODE", Lock.ACCESS_SHARE),
    ("LOCK (?:TABLE )?{tables} IN ROW SHARE MODE", Lock.ROW_SHARE),
    ("LOCK (?:TABLE )?{tables} IN ROW EXCLUSIVE MODE", Lock.ROW_EXCLUSIVE),
    ("LOCK (?:TABLE )?{tables} IN SHARE MODE", Lock.SHARE),
    ("LOCK (?:TABLE )?{tables} IN EXCLUSIVE MODE", Lock.EXCLUSIVE),
    ("LOCK (?:TABLE )?{tables}", Lock.ACCESS_EXCLUSIVE),
    ("DELETE FROM (?:ONLY )?{table}", Lock.ROW_EXCLUSIVE, Cause.DELETE),
    (r"MERGE INTO (?:ONLY )?{table} .*\bTHEN DELETE\b", Lock.ROW_EXCLUSIVE, Cause.DELETE),
    (r"WITH .*?\bDELETE FROM (?:ONLY )?{table}", Lock.ROW_EXCLUSIVE, Cause.DELETE),
    ("(?:INSERT INTO|UPDATE|MERGE INTO) (?:ONLY )?{table}", Lock.ROW_EXCLUSIVE),
    (r"COPY {table} (?:\( .*? \) )?FROM", Lock.ROW_EXCLUSIVE),
    (r"SELECT .*? FROM (?:ONLY )?{table} .*\bFOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b", Lock.ROW_SHARE),
    (r"(?:SELECT .*? FROM (?:ONLY )?|COPY |TABLE ){table}", Lock.ACCESS_SHARE),
)

_VOLATILE = (
    "random|random_normal|gen_random_uuid|gen_random_bytes|uuidv4|uuidv7|uuid_generate_v1|uuid_generate_v1mc|"
    "uuid_generate_v4|clock_timestamp|timeofday|nextval|setval|txid_current|pg_current_xact_id"
)
_STEADY = (
    "now|transaction_timestamp|statement_timestamp|timezone|date_trunc|make_date|make_interval|to_timestamp|to_date|"
    "to_char|current_setting|lower|upper|concat|repeat|md5|length|coalesce|nullif|greatest|least|cast|row|"
    "jsonb_build_object|jsonb_build_array|json_build_object|json_build_array|to_jsonb|to_json|int4range|int8range|"
    "tstzrange|daterange|current_timestamp|current_time|localtimestamp|localtime"
)
_DEFAULT = re.compile(
    r"\bDEFAULT (?P<value>.*?)(?= (?:NOT NULL|NULL|CONSTRAINT|CHECK|REFERENCES|UNIQUE|PRIMARY)\b|$)", re.I | re.S
)
_CAST = re.compile(rf": : {QUALIFIED}(?: VARYING| PRECISION)?", re.I)
_CALL = re.compile(rf"(?:pg_catalog\.)?({QUALIFIED}) \(", re.I)
_SERIAL = re.compile(r"(?:small|big)?serial[248]?\b", re.I)
_FILLED = re.compile(
    r"\bGENERATED (?:ALWAYS|BY DEFAULT) AS IDENTITY\b|\bGENERATED ALWAYS AS \(.*\) STORED\b", re.I | re.S
)


def causes_of_column(definition: str) -> list[Cause]:
    """Returns what makes a hazard of adding a column with this type and these constraints."""
    default = _DEFAULT.search(definition)
    found = []
    outer = without_parentheses(definition)
    if _SERIAL.match(definition) or _FILLED.search(definition):
        found.append(Cause.NEW_VALUES)
    elif default is not None:
        found += _cause_of_default(default["value"])
    elif re.search(r"\bNOT NULL\b|\bPRIMARY KEY\b", outer, re.I) and not re.search(r"\bGENERATED\b", outer, re.I):
        found.append(Cause.FAILS_ON_ROWS)
    if re.search(r"\bUNIQUE\b|\bPRIMARY KEY\b", outer, re.I):
        found.append(Cause.CONSTRAINT_INDEX)
    if re.search(r"\bCHECK \(", definition, re.I):
        found.append(Cause.SCAN)
    if default is not None and REFERENCES.search(definition):
        found.append(Cause.FOREIGN_KEY)
    return found


def _cause_of_default(value: str) -> list[Cause]:
    calls = {name.lower().rpartition(".")[2] for name in _CALL.findall(_CAST.sub("", value))}
    if calls & set(_VOLATILE.split("|")):
        return [Cause.NEW_VALUES]
    return [Cause.MAY_BE_NEW_VALUES] if calls - set(_STEADY.split("|")) else []
