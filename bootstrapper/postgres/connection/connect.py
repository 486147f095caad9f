"""Connects with one login, under a client-side deadline, and tells retryable errors from lasting ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection
from psycopg.pq import Conninfo
from psycopg.pq.abc import PGconn

from bootstrapper.config.units import LONGEST_DAYS
from bootstrapper.deadline import Deadline
from bootstrapper.errors import RefusedError, UnreachableError
from bootstrapper.masking import Masker
from bootstrapper.postgres.connection import libpq_errors, sqlstates
from bootstrapper.postgres.connection.attempt import Failure, attempt
from bootstrapper.postgres.connection.resolve import addresses
from bootstrapper.postgres.connection.session_texts import KEEPALIVES
from bootstrapper.postgres.connection.stoppable import StoppableConnection
from bootstrapper.postgres.connection.target import Host, Target

# So that a try against an address that swallows everything leaves time for another one.
ATTEMPT_SECONDS = 10.0

# An empty password and a file that cannot exist keep libpq from reading PGPASSWORD or ~/.pgpass.
_WITHOUT_PASSWORD = {"password": "", "passfile": "/dev/null/none"}


def connect(target: Target, *, deadline: Deadline, application_name: str) -> Connection[Any]:
    """Returns a connection in autocommit mode that prepares no statements, after one login.

    The target is asked for its password as it is now; once more if the server refuses that one, since it may have been
    changed in between. No password is given twice.

    Several hosts are tried in turn, as libpq does: the next one only without an answer, or if the server is starting.

    Raises:
        UnreachableError: The failure is retryable.
        RefusedError: It is not.
    """
    connection = StoppableConnection(_log_in(target, deadline, application_name))
    connection.autocommit = True
    connection.prepare_threshold = None
    connection.stop = deadline.stop  # last: until it is returned, no caller would close it
    return connection


def _log_in(target: Target, deadline: Deadline, application_name: str) -> PGconn:
    extra = {"fallback_application_name": application_name}
    now = target.current(deadline)
    try:
        return _enter(now, deadline, extra)
    except RefusedError as error:
        if not sqlstates.is_wrong_login(error.sqlstate, error.reason):
            raise
        changed = target.current(deadline)
        if (changed.user, changed.secrets) == (now.user, now.secrets):
            raise
    return _enter(changed, deadline, extra)


def ping(target: Target, *, deadline: Deadline) -> None:
    """Asks whether the server takes logins now, without giving a password; raises UnreachableError if not.

    What PQping does, but never longer than the deadline, and open to signals while it waits.
    """
    try:
        _enter(target.current(deadline), deadline, _WITHOUT_PASSWORD).finish()
    except RefusedError:
        return  # it answers; only a login tells whether the refusal is final


def _enter(target: Target, deadline: Deadline, extra: Mapping[str, str]) -> PGconn:
    target = _with_default_host(target)
    failures: list[Failure] = []
    for host, limit in _places(target, deadline):
        outcome = host if isinstance(host, Failure) else attempt(_conninfo(target, host, extra), limit)
        if not isinstance(outcome, Failure):
            return outcome
        failures.append(outcome)
        if not _may_another_host_help(outcome):
            raise _error(target, [outcome])
    raise _error(target, failures)


def _with_default_host(target: Target) -> Target:
    """Names the host that libpq would take by default, so that its name is resolved under the deadline too."""
    if target.parameters.keys() & {"host", "hostaddr", "service"}:
        return target
    defaults = {option.keyword: option.val for option in Conninfo.get_defaults()}
    host = defaults.get(b"host")
    return target.replacing(host=host.decode()) if host and not defaults.get(b"hostaddr") else target


def _places(target: Target, deadline: Deadline) -> Iterator[tuple[Host | Failure, Deadline]]:
    hosts = list(target.hosts)
    if target.parameters.get("load_balance_hosts") == "random":
        random.shuffle(hosts)
    for index, host in enumerate(hosts):
        later = len(hosts) - index - 1
        found = addresses(host, _limit(target, deadline, later + 1))
        if isinstance(found, Failure):
            yield found, deadline
            continue
        for number, address in enumerate(found):
            yield replace(host, address=address), _limit(target, deadline, later + len(found) - number)


def _limit(target: Target, deadline: Deadline, places_left: int) -> Deadline:
    """Returns the deadline for one address, as libpq has connect_timeout; zero and less mean no other limit."""
    given = target.parameters.get("connect_timeout")
    if given is None:
        return deadline.sooner(min(ATTEMPT_SECONDS, deadline.seconds_left / places_left))
    return deadline.sooner(min(float(given), LONGEST_DAYS * 86400.0)) if int(given) > 0 else deadline


def _conninfo(target: Target, host: Host, extra: Mapping[str, str]) -> str:
    own = {name: value for name, value in KEEPALIVES.items() if name not in target.parameters}
    place = {"host": host.name or None, "hostaddr": host.address or None, "load_balance_hosts": None}
    if "port" in target.parameters:
        place["port"] = str(host.port)
    return target.conninfo(**own, **extra, **place, client_encoding="UTF8")


def _may_another_host_help(failure: Failure) -> bool:
    return failure.sqlstate == sqlstates.CANNOT_CONNECT_NOW or (failure.sqlstate is None and _judge(failure).transient)


def _judge(failure: Failure) -> sqlstates.Verdict:
    if failure.sqlstate is None:
        return libpq_errors.judge(failure)
    return sqlstates.judge(failure.sqlstate, failure.message)


def _error(target: Target, failures: Sequence[Failure]) -> UnreachableError | RefusedError:
    """Returns one error for all hosts; a server's own words tell more than the silence of another."""
    answered = [failure for failure in failures if failure.sqlstate]
    told = answered or [failure for failure in failures if not libpq_errors.lacks_ipv6(failure)] or failures
    verdicts = [_judge(failure) for failure in told]
    mask = Masker(target.secrets)
    reason = "; ".join(
        dict.fromkeys(_reason(failure, verdict, mask) for failure, verdict in zip(told, verdicts, strict=True))
    )
    sqlstate = told[0].sqlstate
    if not verdicts[0].transient:
        return RefusedError(target.where, reason, sqlstate=sqlstate, hint=verdicts[0].hint)
    patience = max(verdict.patience_seconds for verdict in verdicts)
    hint = verdicts[0].hint
    return UnreachableError(target.where, reason, sqlstate=sqlstate, patience_seconds=patience, hint=hint)


def _reason(failure: Failure, verdict: sqlstates.Verdict, mask: Masker) -> str:
    if failure.sqlstate is None:
        return verdict.reason
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in failure.message).split())
    return f"{verdict.reason}; the server says: {mask.quote(said)}"
