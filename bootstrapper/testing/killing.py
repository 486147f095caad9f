"""Kills a run at each exchange of a step with the server, and has the next run bring the database to its end."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import psycopg

from bootstrapper.api.run import apply
from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.events import Event, StepApplied, StepStarted
from bootstrapper.plugin.step import Step
from bootstrapper.postgres.connection.target import Target
from bootstrapper.testing.snapshots import difference, look
from bootstrapper.testing.steps import apply_above, planned

_CHUNK = 65536
_LOGIN = (b"\0", b"p")
"""How messages of a login begin: its start, which has no type, and passwords."""
_BEGINS, _ENDED = b"<", b">"
_READY = b"Z\0\0\0\x05"
_ANSWER_SECONDS = 1.0
_LEAVING_SECONDS = 10.0
_POLL_SECONDS = 0.01
_OTHERS = """
SELECT FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
"""


def assert_step_survives_kills(fresh: Callable[[], Request], step: str, *, every: int = 1) -> None:
    """Kills the process of a run (SIGKILL) at each exchange of the step with the server, and applies again.

    Each time, the database then is as after a run that nothing disturbed, and the step has no changes left. The
    exchanges are those from the beginning of the step's turn until it is committed. The process is killed when the
    server has answered; for a step that is not transactional, also before the server gets the message, as the step may
    work between two of them.

    Args:
        fresh: Returns the request for a new, equal database, and for new files if the step makes any.
        every: 1 for each exchange, 3 for each third one.

    Raises AssertionError, naming the exchange.
    """
    whole = fresh()
    apply_above(whole, step)
    count = _Run(whole, step).go()
    expected = look(whole)
    for number in range(1, count + 1, every):
        for is_answered in (True,) if _is_transactional(whole, step) else (False, True):
            request = fresh()
            apply_above(request, step)
            _Run(request, step, number, is_answered).go()
            apply(request)
            at = f"{'after' if is_answered else 'before'} exchange {number} of {count}"
            differing = difference(expected, look(request))
            assert not differing, f"{step} was killed {at} and applied again, and this differs: {differing}"
            assert not planned(request, step).has_changes, f"{step} was killed {at}, applied again, and has changes"


def _is_transactional(request: Request, step: str) -> bool:
    with opened(request, "test", writes=True) as run:
        unit = next(entry.unit for entry in run.entries if entry.name == step)
        return isinstance(unit, Step) and unit.transactional


@dataclass
class _Run:
    """One `apply` in a process of its own, which talks to the server through a proxy.

    Attributes:
        killed_at: The exchange at which the process is killed; None lets it end.
        is_answered: Whether the server has answered by then.
    """

    request: Request
    step: str
    killed_at: int | None = None
    is_answered: bool = True

    def go(self) -> int:
        """Returns the number of exchanges of the step. Raises AssertionError if the run failed without being killed."""
        with opened(self.request, "test", writes=True) as run:
            run.executor.open_gates()
            target = run.session.target
        listener = socket.create_server(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
        place = {"host": "127.0.0.1", "port": port, "hostaddr": None, "sslmode": "disable", "gssencmode": "disable"}
        url = target.replacing(**place).url()
        told, tells = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of pytest's plugins; the child uses none
            child = os.fork()
        if child == 0:
            listener.close()
            _apply_and_exit(replace(self.request, url=url, emit=partial(self._tell, tells)))
        os.close(tells)
        os.set_blocking(told, False)
        proxy = _Proxy(self, listener, target, child, told)
        try:
            threading.Thread(target=proxy.serve, daemon=True).start()
            _, status = os.waitpid(child, 0)
        finally:
            proxy.close()
            os.close(told)
        _wait_for_others_to_leave(target)
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        is_done = is_killed or os.waitstatus_to_exitcode(status) == 0
        assert is_done, "a run that was not killed failed; stderr has its traceback"
        return proxy.exchanges

    def _tell(self, tells: int, event: Event) -> None:
        """Tells the proxy, before the next message to the server, that the step begins or has ended."""
        if isinstance(event, StepStarted | StepApplied) and event.step == self.step:
            os.write(tells, _BEGINS if isinstance(event, StepStarted) else _ENDED)


def _wait_for_others_to_leave(target: Target) -> None:
    """Waits until the server has ended the sessions of the killed process: the next run would wait for longer."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    with psycopg.connect(target.url(), autocommit=True) as connection:
        while connection.execute(_OTHERS).fetchone() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _apply_and_exit(request: Request) -> None:
    code = 1
    try:
        apply(request)
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it is
        traceback.print_exc()
    finally:
        os._exit(code)


class _Proxy:
    """Passes on what the process and the server say, and kills the process at one exchange."""

    def __init__(self, run: _Run, listener: socket.socket, target: Target, child: int, told: int) -> None:
        self._run = run
        self._listener = listener
        self._target = target
        self._child = child
        self._told = told
        self._is_at_step = False
        self._mutex = threading.Lock()
        self._ends: list[socket.socket] = []
        self._is_over = False
        self.exchanges = 0

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                with self._mutex:
                    self._ends += [client, server]
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._mutex:
            for end in self._ends:
                _close(end)

    def _connected(self) -> socket.socket:
        host = self._target.hosts[0]
        if host.is_socket:
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host.name}/.s.PGSQL.{host.port}")
            return server
        return socket.create_connection((host.address or host.name or "localhost", host.port))

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                is_last = data[:1] not in (*_LOGIN, b"X") and self._counts_as_last()
                if is_last and not self._run.is_answered:
                    self._kill()
                    break
                server.sendall(data)
        _close(server)

    def _counts_as_last(self) -> bool:
        with self._mutex, suppress(BlockingIOError):
            self._is_at_step = os.read(self._told, _CHUNK)[-1:] == _BEGINS
        with self._mutex:
            if not self._is_at_step:
                return False
            self.exchanges += 1
            self._is_over = self._is_over or self.exchanges == self._run.killed_at
            return self.exchanges == self._run.killed_at

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                if self._is_over:
                    self._hear_out(server, data)
                    self._kill()
                    break
                client.sendall(data)
        _close(client)

    @staticmethod
    def _hear_out(server: socket.socket, data: bytes) -> None:
        """Waits until the server is ready, so that what was asked is done."""
        server.settimeout(_ANSWER_SECONDS)
        with suppress(TimeoutError):
            while data[-6:-1] != _READY and (more := server.recv(_CHUNK)):
                data = data[-6:] + more

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
