"""Judges failed connects without a SQLSTATE by libpq's own text.

libpq writes English unless the process chose another language with setlocale, which Python leaves alone. A text that
is not recognised counts as retryable: waiting in vain does less harm than giving up too early.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bootstrapper.postgres.connection.attempt import Failure
from bootstrapper.postgres.connection.sqlstates import SHORT_PATIENCE_SECONDS, Verdict, judge_text

_PLACE = re.compile(r"^connection to server .*? failed: ", re.MULTILINE)

_NO_TLS = "Set sslmode to what the server offers, or enable TLS on the server."
# Texts, compiled when one is needed: most connects succeed.
_FOR_GOOD = (
    (r"does not support SSL|SSL was required", "the server does not offer TLS, and sslmode requires it", _NO_TLS),
    (
        r"invalid response to |expected authentication request|unencrypted data after|invalid message|negotiat",
        "the peer is not a PostgreSQL server",
        "Check host and port of database.url.",
    ),
    (
        r"certificate|private key|SSL error(?!.*(EOF|eof|reset))|could not .*SSL|TLS",
        "TLS failed",
        "Check sslmode, sslrootcert, sslcert and sslkey, and the server's certificate.",
    ),
    (
        r"channel binding|authentication method|SASL|SCRAM|requirepeer|GSS|OAuth|weak password",
        "no authentication method that both sides accept",
        "Check require_auth, channel_binding and the server's pg_hba.conf.",
    ),
    (
        r"^invalid |could not match|connection option|is too long|definition of service|service file",
        "a connection setting is wrong",
        "Correct the settings of the database.",
    ),
    (
        r"Permission denied|Operation not permitted",
        "this account may not use the socket",
        "Run as a user who may, or connect by host and port.",
    ),
)
_PASSING = (
    (
        r"^Connection refused",
        "connection refused",
        "Start the server, or correct host and port of the database.",
    ),
    (
        r"^No such file or directory",
        "the socket does not exist",
        "Start the server, or correct the folder of its socket and the port.",
    ),
    (
        r"closed (the connection )?unexpectedly|reset by peer|Broken pipe|EOF|eof|could not (send|receive)",
        "the server closed the connection",
        "Check the server's log, and proxies between it and this machine.",
    ),
    (
        r"read-only|hot standby",
        "no server is in the state that target_session_attrs requires",
        "Wait for one, or change target_session_attrs.",
    ),
)
# An address with colons, of IPv6. A host that has IPv4 addresses as well is tried at those next.
_AT_IPV6 = r'connection to server at "(?:[^"]*:[^"]*"|[^"]*" \([^)]*:)'
_NO_ROUTE = r"^(?:Network is unreachable|No route to host|Cannot assign requested address)"
_NO_NAME = "Correct the host of the database, or the name server of this machine."
_IPV4 = "Connect from a network with IPv6, or to an address with IPv4, such as that of the provider's pooler."
_NO_ANSWER = "Check host and port of the database, and firewalls on the way to it."


def lacks_ipv6(failure: Failure) -> bool:
    """Returns whether this machine has no way to the address because it is of IPv6."""
    return bool(re.search(_AT_IPV6, failure.message) and re.search(_NO_ROUTE, _said(failure.message)))


def judge(failure: Failure) -> Verdict:
    """Returns the verdict on a failure without a SQLSTATE."""
    return _without_way(failure) or _by_text(failure)


def _without_way(failure: Failure) -> Verdict | None:
    """Returns the verdict if the host could not even be asked; it may get a name or a route soon, but rarely does."""
    if failure.unresolved:
        return Verdict(failure.message, transient=True, patience_seconds=SHORT_PATIENCE_SECONDS, hint=_NO_NAME)
    if lacks_ipv6(failure):
        said = "no route over IPv6, and the host has no IPv4 address"
        return Verdict(said, transient=True, patience_seconds=SHORT_PATIENCE_SECONDS, hint=_IPV4)
    return None


def _by_text(failure: Failure) -> Verdict:
    if failure.needs_password:
        return Verdict(
            "the server requires a password, and none was given",
            transient=False,
            hint="Add a password to database.url.",
        )
    said = _said(failure.message)
    told = judge_text(said) if said.startswith("FATAL:") else None  # a server that spoke, where no trace caught it
    if told:
        return replace(told, reason=f"{told.reason}; the server says: {said.removeprefix('FATAL:').strip()}")
    for pattern, reason, hint in _PASSING:
        if re.search(pattern, said):
            return Verdict(reason, transient=True, hint=hint)
    for pattern, reason, hint in _FOR_GOOD:
        if re.search(pattern, said):
            return Verdict(f"{reason}: {said}", transient=False, hint=hint)
    return Verdict(said, transient=True, hint=_NO_ANSWER)


def _said(message: str) -> str:
    """Returns the last try's message without the place that libpq puts before it and the advice that it puts after.

    With sslmode=prefer there may be two: the one without TLS says more than that TLS did not work out.
    """
    last = _PLACE.split(message.strip())[-1]
    return last.partition("\n")[0].strip() or "no reason given"
