"""Judges the server and the way to it."""

from __future__ import annotations

from collections.abc import Iterator

from bootstrapper.config.units import show_seconds
from bootstrapper.doctor.result import Result, ok, problem, warning
from bootstrapper.doctor.server_facts import ServerFacts
from bootstrapper.errors import ExitCode
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.connection.target import Target

MOST_CLOCK_SECONDS = 5.0
WANTED_CONNECTIONS = 3
"""Of the run, of the worker of migrations or a program, and of its heartbeat or pg_dump."""


def state(server: Server, *, writes: bool) -> Result:
    """Judges version and role of the server."""
    version = f"PostgreSQL {server.version}"
    if not server.read_only:
        return ok("server", f"{version}, accepts writes")
    if server.in_recovery:
        said, remedy = f"{version} is a standby and accepts no writes", "Connect to the primary, or promote this one."
    else:
        said = f"{version} accepts no writes (default_transaction_read_only is on)"
        remedy = "Turn the setting off for this role or database, or connect as another role."
    return problem("server", said, ExitCode.UNREACHABLE, remedy) if writes else warning("server", said, remedy)


def way(server: Server, *, has_direct_url: bool, needs_direct: bool) -> Result:
    """Judges whether a pooler is in between.

    Args:
        has_direct_url: Whether the file gives the address of the server itself.
        needs_direct: Whether a step does not work through a pooler.
    """
    if not server.pooled:
        return ok("connection", "direct, by direct_url" if has_direct_url else "direct, no pooler in between")
    said = "direct_url leads to a pooler" if has_direct_url else "through a pooler, and direct_url is not set"
    remedy = "Give the server's own address as `direct_url` under `database`."
    if needs_direct:
        return problem("connection", f"{said}; backups need a direct connection", ExitCode.GUARDED, remedy)
    return warning("connection", f"{said}; the lock is a lease, and large fixtures are compared in batches", remedy)


def encryption(target: Target, facts: ServerFacts, *, pooled: bool) -> Result:
    """Judges what protects the connection on its way."""
    end = "pooler" if pooled else "server"
    if facts.gss and not pooled:
        return ok("encryption", "GSSAPI")
    if not facts.tls and target.is_loopback:
        return ok("encryption", "none; the address is on this machine")
    if not facts.tls:
        remedy = "Set sslmode=verify-full and sslrootcert, after TLS is enabled there."
        return warning("encryption", f"none on the way to the {end}: others may read and change what is sent", remedy)
    if facts.sslmode == "verify-full" or target.is_loopback:
        return ok("encryption", f"TLS, sslmode={facts.sslmode}")
    lacks = "its name" if facts.sslmode == "verify-ca" else "its certificate"
    remedy = "Set sslmode=verify-full and sslrootcert."
    return warning("encryption", f"TLS, but sslmode={facts.sslmode} does not verify the {end}: {lacks}", remedy)


def connections(facts: ServerFacts) -> Result:
    """Judges how many connections a run may open."""
    tightest = min(facts.rooms, key=lambda room: room.left)
    said = f"{tightest.left} of {tightest.limit} left by the limit of {tightest.what}"
    if tightest.left >= WANTED_CONNECTIONS:
        return ok("connections", said)
    remedy = "Close connections that are not in use, or raise the limit."
    return warning("connections", f"{said}; a run may need {WANTED_CONNECTIONS}", remedy)


def clock(facts: ServerFacts) -> Result:
    """Judges the difference of the clocks, by which ages of backups, tokens and certificates are told."""
    seconds = abs(facts.clock_ahead)
    if seconds - facts.clock_error <= MOST_CLOCK_SECONDS:
        return ok("clock", "as on this machine")
    side = "ahead of" if facts.clock_ahead > 0 else "behind"
    said = f"the server's clock is {show_seconds(seconds)} {side} that of this machine"
    return warning("clock", said, "Synchronise both clocks (NTP): ages of backups, tokens and certificates rely on it.")


def examine(
    server: Server,
    facts: ServerFacts,
    target: Target,
    *,
    writes: bool,
    has_direct_url: bool,
    needs_direct: bool,
) -> Iterator[Result]:
    yield state(server, writes=writes)
    yield ok("role", f"{facts.role!r}, a superuser" if facts.is_superuser else f"{facts.role!r}")
    yield way(server, has_direct_url=has_direct_url, needs_direct=needs_direct)
    yield encryption(target, facts, pooled=server.pooled)
    yield connections(facts)
    yield clock(facts)
