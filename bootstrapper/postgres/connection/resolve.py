"""Host names to addresses, under a deadline: libpq would ask the name server for as long as that takes."""

from __future__ import annotations

import ipaddress
import socket
import threading
from queue import Empty, SimpleQueue

from bootstrapper.deadline import Deadline
from bootstrapper.postgres.connection.attempt import Failure
from bootstrapper.postgres.connection.target import Host

_LONGEST_WAIT_SECONDS = 3600.0  # a queue takes no infinite time


def addresses(host: Host, deadline: Deadline) -> tuple[str, ...] | Failure:
    """Numeric addresses to try; one empty string where there is no name to resolve."""
    if host.address or host.is_socket or _is_numeric(host.name):
        return (host.address,)
    answers: SimpleQueue[tuple[str, ...] | Failure] = SimpleQueue()
    # A thread in getaddrinfo cannot be stopped; as a daemon, it does not keep the process alive.
    threading.Thread(target=lambda: answers.put(_ask(host)), name="bootstrapper-resolver", daemon=True).start()
    until = deadline.sooner(_LONGEST_WAIT_SECONDS)
    while True:
        try:
            return answers.get(timeout=until.tick_seconds)
        except Empty:
            if until.has_passed:
                return Failure(f"could not resolve host {host.name!r} in time", unresolved=True)


def _is_numeric(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return not name
    return True


def _ask(host: Host) -> tuple[str, ...] | Failure:
    try:
        found = socket.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):  # the latter for names that no name server could know
        return Failure(f"could not resolve host {host.name!r}", unresolved=True)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
