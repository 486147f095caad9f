"""A TCP proxy before a server, that does what networks do: cuts, swallows, delays, and loses the answer to a COMMIT."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK = 65536
TO_SERVER, TO_CLIENT = "to the server", "to the client"
_SSL_REQUESTS = (80877103, 80877104)
_COMMIT = b"COMMIT"


@dataclass(frozen=True)
class Cut:
    """Ends the connection, by a reset, once so many bytes went in a direction over all connections; once only."""

    direction: str
    after: int


@dataclass(frozen=True)
class Blackhole:
    """Swallows everything, in both directions and without a word, from that byte on until `heal`."""

    direction: str
    after: int


@dataclass(frozen=True)
class LostCommit:
    """Passes the n-th COMMIT on, waits for the server's answer, and cuts instead of passing that on; once only."""

    number: int


@dataclass(frozen=True)
class Delay:
    """Holds every piece back for a while."""

    seconds: float


Fault = Cut | Blackhole | LostCommit | Delay | None


class Proxy:
    """Listens on `port`. Counts bytes and commits over its whole life.

    Attributes:
        happened: Set once the fault took place.
    """

    def __init__(self, port: int, fault: Fault = None) -> None:
        self.fault = fault
        self.happened = threading.Event()
        self.bytes = {TO_SERVER: 0, TO_CLIENT: 0}
        self.commits = 0
        self._target = port
        self._mutex = threading.Lock()
        self._swallows = False
        self._links: list[_Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.heal()

    def heal(self) -> None:
        """No fault any more; connections that were swallowed end on both sides."""
        with self._mutex:
            self.fault, self._swallows = None, False
            links, self._links = self._links, []
        for link in links:
            link.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._mutex:
                self._links.append(link)
            link.start()

    def passes(self, direction: str, size: int) -> int:
        """How many of the next bytes may pass; fewer than asked means that the fault begins there."""
        with self._mutex:
            before = self.bytes[direction]
            self.bytes[direction] += size
            if self._swallows:
                return 0
            fault = self.fault
            if not isinstance(fault, Cut | Blackhole) or fault.direction != direction or before + size <= fault.after:
                return size
            if isinstance(fault, Blackhole):
                self._swallows = True
            else:
                self.fault = None
            self.happened.set()
            return max(0, fault.after - before)

    def loses_commit(self) -> bool:
        """Counts a COMMIT; whether its answer is the one to lose."""
        with self._mutex:
            self.commits += 1
            is_lost = isinstance(self.fault, LostCommit) and self.commits == self.fault.number
            if is_lost:
                self.fault = None
        return is_lost

    @property
    def swallows(self) -> bool:
        return self._swallows


class _Link:
    """One client's connection and the one made for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._frontend = _Frontend()
        self._loses_answer = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._pump, args=(self._client, self._server, TO_SERVER), daemon=True).start()
        threading.Thread(target=self._pump, args=(self._server, self._client, TO_CLIENT), daemon=True).start()

    def cut(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                end.close()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        try:
            while data := source.recv(CHUNK):
                if not self._forward(data, sink, direction):
                    break
        except OSError:
            pass
        if not self._proxy.swallows:
            self.cut()

    def _forward(self, data: bytes, sink: socket.socket, direction: str) -> bool:
        proxy = self._proxy
        if isinstance(proxy.fault, Delay):
            time.sleep(proxy.fault.seconds)
        if direction == TO_SERVER:
            for _ in range(self._frontend.commits(data)):
                if proxy.loses_commit():
                    self._loses_answer.set()
        elif self._loses_answer.is_set():
            proxy.happened.set()
            return False
        allowed = proxy.passes(direction, len(data))
        if allowed:
            sink.sendall(data[:allowed])
        return allowed == len(data) or proxy.swallows


class _Frontend:
    """Follows what a client sends, message by message, as far as it takes to see a COMMIT."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_started = False

    def commits(self, data: bytes) -> int:
        self._buffer += data
        found = 0
        while (message := self._next()) is not None:
            kind, body = message
            text = body if kind == b"Q" else body.partition(b"\0")[2] if kind == b"P" else b""
            found += text.partition(b"\0")[0].upper().endswith(_COMMIT)  # it may come with statements before it
        return found

    def _next(self) -> tuple[bytes, bytes] | None:
        head = 1 if self._is_started else 0
        if len(self._buffer) < head + 4:
            return None
        (length,) = struct.unpack_from("!I", self._buffer, head)
        if len(self._buffer) < head + length:
            return None
        kind, body = self._buffer[:head], self._buffer[head + 4 : head + length]
        self._buffer = self._buffer[head + length :]
        if not self._is_started:
            (code,) = struct.unpack_from("!I", body)
            self._is_started = code not in _SSL_REQUESTS
        return kind, body
