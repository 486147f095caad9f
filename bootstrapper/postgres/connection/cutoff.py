"""Closes a connection at a deadline, so that no statement outlasts it."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from bootstrapper.deadline import Deadline


@contextmanager
def cut_off(connection: Connection[Any], deadline: Deadline) -> Iterator[None]:
    """Closes the connection at the deadline while the block runs, so that no statement outlasts it.

    statement_timeout cannot do this: a pooler whose server is gone accepts the statement and never answers.
    """
    if math.isinf(deadline.seconds_left):
        yield
        return
    # A copy of the descriptor: the original may be closed, and its number taken by something else, when time is up.
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        timer = threading.Timer(deadline.seconds_left, _shut, [line])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _shut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed from the other side already
