"""What may happen to a run from inside its own process: death or standstill at a chosen boundary, guards taken out.

A boundary is the moment before an exchange with the server or after its answer, counted over the whole run, or the
moment an event is emitted. psycopg sends everything through `Connection.wait`, so that nothing is missed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from bootstrapper.events import Event
from bootstrapper.fixtures.write.writer import Writer
from bootstrapper.migrations.worker import process
from bootstrapper.postgres.connection import session
from bootstrapper.postgres.connection.introduction import Server
from bootstrapper.postgres.lock import acquire, turnstile

WORKER_FENCE = 'if not row or [row[0], row[1]] != [self.request["run_id"], self.request["token"]]:'
LAST_FENCE = "self.prepared.commit(direct(connection), *leaving)"
NO_LAST_FENCE = 'send(direct(connection), "COMMIT")'


@dataclass(frozen=True)
class Trap:
    """Where a run is to die or to stop: `before 3`, `after 3`, or an event such as `StepApplied append 1`."""

    place: str
    signal: str = "SIGKILL"

    def spring(self, place: str) -> None:
        if place == self.place:
            os.kill(os.getpid(), getattr(signal, self.signal))


class Boundaries:
    """Counts exchanges and events, and springs the trap; `log` takes a line for each boundary."""

    def __init__(self, trap: Trap | None, log: Path | None) -> None:
        self._trap = trap
        self._log = log
        self._counts: dict[str, itertools.count[int]] = {}
        self._exchanges = itertools.count(1)

    def install(self) -> None:
        original = psycopg.Connection.wait
        reach = self.reach
        numbers = self._exchanges

        def wait(self: psycopg.Connection[Any], gen: Any, *args: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return original(self, gen, *args, **options)  # the heartbeat's: when it beats is chance
            number, about = next(numbers), _about(gen)
            reach(f"before {number}", about)
            result = original(self, gen, *args, **options)
            reach(f"after {number}", about)
            return result

        psycopg.Connection.wait = wait  # type: ignore[method-assign]

    def emit(self, event: Event) -> None:
        name = " ".join(filter(None, (type(event).__name__, getattr(event, "step", ""))))
        number = next(self._counts.setdefault(name, itertools.count(1)))
        self.reach(f"{name} {number}", "")

    def reach(self, place: str, about: str) -> None:
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(f"{place}\t{about}\n")
        if self._trap is not None:
            self._trap.spring(place)


def _about(gen: Any) -> str:
    """The statement that a generator of psycopg is about to send, for people."""
    local = gen.gi_frame.f_locals if getattr(gen, "gi_frame", None) is not None else {}
    statement = local.get("query") or local.get("statement") or local.get("command") or getattr(gen, "__name__", "")
    text = statement.decode() if isinstance(statement, bytes) else str(statement)
    return " ".join(text.split())[:100]


def shorten_lease(seconds: float) -> None:
    """A lease that a test can outlast, with a heart that beats accordingly."""
    values = {"LEASE_SECONDS": seconds, "BEAT_SECONDS": seconds / 5}
    shortened = set()
    for module in [module for name, module in sys.modules.items() if name.startswith("bootstrapper.postgres.")]:
        for name in values.keys() & vars(module).keys():
            setattr(module, name, values[name])
            shortened.add(name)
    assert shortened == values.keys(), "the lease and its heartbeat are defined elsewhere"


def shorten_patience(seconds: float) -> None:
    """Work that outlasts the queue's patience, without waiting for that."""
    turnstile.SHORTEST_PATIENCE_SECONDS = seconds
    turnstile.LONGEST_PATIENCE_SECONDS = 2 * seconds


def _without_fence() -> None:
    assert callable(acquire.Hold._pass_fence)
    acquire.Hold._pass_fence = lambda self, connection: None  # type: ignore[method-assign]
    acquire.Hold.note_step = lambda self, step: None  # type: ignore[method-assign]  # it compares as the fence does


def _without_worker_fence() -> None:
    program = Path(tempfile.mkdtemp()) / "program"
    shutil.copytree(process._WORKER, program)
    fence = program / "bootstrapper_worker" / "fence.py"
    text = fence.read_text()
    assert WORKER_FENCE in text
    assert LAST_FENCE in text
    fence.write_text(text.replace(WORKER_FENCE, "if False:").replace(LAST_FENCE, NO_LAST_FENCE))
    process._WORKER = program


def _with_session_lock_through_a_pooler() -> None:
    original = session.introduce

    def introduce(connection: psycopg.Connection[Any], *queries: bytes) -> tuple[Server, list[list[Any]]]:
        server, answers = original(connection, *queries)
        return replace(server, pooled=False), answers

    session.introduce = introduce


def _with_check_then_insert() -> None:
    """Seeds as most people write them: a look, then an insert of what was missing then."""
    assert callable(Writer._guard)
    Writer.needs_lock = property(lambda self: False)  # type: ignore[assignment, method-assign]
    Writer._guard = lambda self, names: psycopg.sql.SQL("ORDER BY d.ordinal").format()  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "no fence": _without_fence,
    "no fence in the worker": _without_worker_fence,
    "session lock through a pooler": _with_session_lock_through_a_pooler,
    "check, then insert": _with_check_then_insert,
}
