"""What makes a session ours, as texts: keywords of the login, statements; also for the quick look without a driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# A vanished peer is noticed within 15 s; on the server's side, only its own settings do that.
KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
BEGIN_LOOK = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

LENT = {
    "search_path": "pg_catalog, pg_temp",  # where no foreign functions, operators and types can be chosen
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
}
"""Ours, of what a statement of the project sees as its own sessions do."""

_FIXED = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",  # statements are split, and literals quoted, by these rules
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
_TRANSACTION_TIMEOUT = "transaction_timeout"
_TRANSACTION_TIMEOUT_SINCE = 170000

# Utility statements, which read no catalogue: quicker than a millisecond, the shortest timeout that can be set.
FIRST = (b"SET LOCAL statement_timeout = 0", b"SET LOCAL lock_timeout = 0")
SAVED = "bootstrapper.{}"
# Where the search_path is ours already, so is the rest, and what is saved stays.
_SAVE = (
    "pg_catalog.set_config('{saved}', CASE WHEN pg_catalog.current_setting('search_path')"
    " OPERATOR(pg_catalog.=) '{ours}' THEN pg_catalog.current_setting('{saved}', true)"
    " ELSE pg_catalog.current_setting('{name}') END, {local})"
)
_SET = "pg_catalog.set_config('{name}', '{value}', {local})"


def adoption(server_version: int, local: str) -> tuple[bytes, bytes]:
    """Returns what saves the settings of the project's own sessions, and what sets ours.

    Args:
        server_version: As a number, such as 150018.
        local: An expression of the server: whether both hold for the transaction alone.
    """
    fixed: Mapping[str, str] = _FIXED
    if server_version >= _TRANSACTION_TIMEOUT_SINCE:
        fixed = {**fixed, _TRANSACTION_TIMEOUT: "0"}
    saved = select(
        _SAVE.format(saved=SAVED.format(name), name=name, ours=LENT["search_path"], local=local) for name in LENT
    )
    return saved, setting({**LENT, **fixed}, local)


def setting(values: Mapping[str, str], local: str) -> bytes:
    return select(_SET.format(name=name, value=value, local=local) for name, value in values.items())


def select(expressions: Iterable[str]) -> bytes:
    return ("SELECT " + ", ".join(expressions)).encode()
