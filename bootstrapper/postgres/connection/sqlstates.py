"""SQLSTATEs by name, and which errors of a failed connect are retryable."""

from __future__ import annotations

import math
import re

from bootstrapper.dataclass import dataclass

PROTOCOL_VIOLATION = "08P01"
FEATURE_NOT_SUPPORTED = "0A000"
INVALID_AUTHORIZATION = "28000"
INVALID_PASSWORD = "28P01"  # noqa: S105 - a code
INVALID_CATALOG_NAME = "3D000"
SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
READ_ONLY_SQL_TRANSACTION = "25006"
INSUFFICIENT_PRIVILEGE = "42501"
SYNTAX_ERROR = "42601"
UNDEFINED_OBJECT = "42704"
FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"
EXCLUSION_VIOLATION = "23P01"
TOO_MANY_CONNECTIONS = "53300"
OBJECT_NOT_IN_PREREQUISITE_STATE = "55000"
OBJECT_IN_USE = "55006"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
ADMIN_SHUTDOWN = "57P01"
CRASH_SHUTDOWN = "57P02"
CANNOT_CONNECT_NOW = "57P03"
INTERNAL_ERROR = "XX000"

RETRY_TRANSACTION = frozenset({LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE, DEADLOCK_DETECTED, QUERY_CANCELED})
"""The whole transaction is retryable, a bounded number of times."""

RETRY_AT_ONCE = RETRY_TRANSACTION - {QUERY_CANCELED}
"""Another session was in the way, and nothing of ours was kept."""

LOCK_NOT_FREE = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED})
"""Another session held a lock."""

QUOTES_A_KEY = frozenset({UNIQUE_VIOLATION, FOREIGN_KEY_VIOLATION, EXCLUSION_VIOLATION})
"""The server's DETAIL names a key that is in the way or missing; that of other violations quotes the whole row."""

CONNECTION_LOST = frozenset({ADMIN_SHUTDOWN, CRASH_SHUTDOWN, CANNOT_CONNECT_NOW, "08000", "08003", "08006"})
"""What a session sees if its backend or its server ends."""

SHORT_PATIENCE_SECONDS = 10.0

# A moment after a project was made or woken up; ten failed logins block the address, so only another one or two tries.
_TENANT_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Verdict:
    """Whether a failed login is retryable.

    Attributes:
        reason: Why the connection failed, in our words: the server's may be in any language.
        transient: False stops at once.
        patience_seconds: How long a failure that stays the same is retryable.
        hint: An imperative sentence.
    """

    reason: str
    transient: bool
    patience_seconds: float = math.inf
    hint: str | None = None


def _retry(reason: str, patience_seconds: float = math.inf, hint: str | None = None) -> Verdict:
    return Verdict(reason, transient=True, patience_seconds=patience_seconds, hint=hint)


def _stop(reason: str, hint: str | None = None) -> Verdict:
    return Verdict(reason, transient=False, hint=hint)


_WRONG_PASSWORD = _stop("wrong user name or password", "Check the user and the password of database.url.")
_NO_DATABASE = _stop("the database does not exist", "Create the database, or name another one.")
_CROWDED = _retry(
    "too many connections", hint="Close connections that are not in use, or let the role and the server have more."
)

_BY_CODE = {
    CANNOT_CONNECT_NOW: _retry(
        "the server is starting up, shutting down or recovering", hint="Run again when it is up."
    ),
    TOO_MANY_CONNECTIONS: _CROWDED,
    READ_ONLY_SQL_TRANSACTION: _retry("the server is read-only"),
    OBJECT_NOT_IN_PREREQUISITE_STATE: _retry("the database accepts no connections", SHORT_PATIENCE_SECONDS),
    OBJECT_IN_USE: _retry("the database is in exclusive use by another session"),
    INVALID_PASSWORD: _WRONG_PASSWORD,
    INVALID_AUTHORIZATION: _stop(
        "the server rejects this user from this address",
        "Check the role's LOGIN attribute, and the server's pg_hba.conf for this user, database, address and TLS.",
    ),
    INVALID_CATALOG_NAME: _NO_DATABASE,
    INSUFFICIENT_PRIVILEGE: _stop(
        "the user lacks the CONNECT privilege on the database", "Grant CONNECT on the database to the user."
    ),
    UNDEFINED_OBJECT: _stop("the server does not recognize one of the connection's settings"),
}

# Classes whose every code is about the server's condition, not about the client.
_BY_CLASS = {
    "08": _retry("the connection failed"),
    "53": _retry("the server lacks resources"),
    "57": _retry("the server ended the connection"),
    "58": _retry("the server had a system error"),
    "XX": _retry("the server had an internal error"),
}

# Poolers put everything under one code and write English; the first pattern that matches decides. The server's own
# English is here for systems where no code is to be had.
_BY_TEXT = (
    (r"tenant or user not found|ENOTFOUND", _retry("the pooler does not know this tenant", _TENANT_PATIENCE_SECONDS)),
    (
        r"password authentication failed|auth(entication)? failed|no such user|role .* does not exist|SASL|EAUTH",
        _WRONG_PASSWORD,
    ),
    (r"ECIRCUITBREAKER|too many authentication", _stop("the pooler blocks this address after failed logins")),
    (r"no such database|database .* does not exist", _NO_DATABASE),
    (
        r"unsupported startup parameter",
        _stop("the pooler does not support one of the connection's settings", "Leave out `options` behind a pooler."),
    ),
    (r"pg_hba\.conf|not permitted to log in", _BY_CODE[INVALID_AUTHORIZATION]),
    (r"permission denied for database", _BY_CODE[INSUFFICIENT_PRIVILEGE]),
    (r"not currently accepting connections", _BY_CODE[OBJECT_NOT_IN_PREREQUISITE_STATE]),
    (r"(not|yet) accepting connections|recovery mode|starting up|shutting down", _BY_CODE[CANNOT_CONNECT_NOW]),
    (r"administrator command|crash of another server|postmaster exit", _BY_CODE[CANNOT_CONNECT_NOW]),
    (r"max[ _]client|EMAXCLIENT|ECHECKOUTTIMEOUT|query_wait_timeout", _CROWDED),
    (r"too many c|connection slots|no more connections", _CROWDED),
    (
        r"server.login|connect to server|login failed|server conn|paus|EDB|timeout",
        _retry("the pooler cannot reach its server"),
    ),
)
_POOLER_CODES = (PROTOCOL_VIOLATION, INTERNAL_ERROR)


def judge(sqlstate: str, message: str) -> Verdict:
    """Returns what the first error of a failed connect means.

    Args:
        sqlstate: Decides, except for the two codes under which poolers put everything.
        message: The server's primary message, in whatever language.
    """
    by_text = judge_text(message) if sqlstate in _POOLER_CODES else None
    if by_text is not None:
        return by_text
    if sqlstate == PROTOCOL_VIOLATION:
        return _stop("the server or the pooler rejected the startup message")
    return _BY_CODE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2]) or _stop("the server rejected the connection")


def judge_text(message: str) -> Verdict | None:
    """Returns what an English text means; None if it says nothing that is known."""
    return next((verdict for pattern, verdict in _BY_TEXT if re.search(pattern, message, re.IGNORECASE)), None)


def is_wrong_login(sqlstate: str | None, message: str) -> bool:
    """Returns whether a server refused the user or the password, as when it was changed just before."""
    if sqlstate in (INVALID_PASSWORD, INVALID_AUTHORIZATION):
        return True
    return sqlstate in (None, *_POOLER_CODES) and judge_text(message) is _WRONG_PASSWORD


def is_loss(sqlstate: str | None, message: str) -> bool:
    """Whether an error says that the connection, or the server behind it, was lost, is not up or had none free."""
    if sqlstate in CONNECTION_LOST or sqlstate == TOO_MANY_CONNECTIONS:
        return True
    if sqlstate != PROTOCOL_VIOLATION and not (sqlstate is None and "FATAL:" in message):
        return False
    told = judge_text(message)
    return told is not None and told.transient
