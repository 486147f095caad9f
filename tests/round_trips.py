"""A TCP proxy before a server or a pooler that counts the round trips of its clients, and notes their statements."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_CHUNK = 65536
_SSL_REQUESTS = (80877103, 80877104)
_AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0"
_READY = b"Z"
_ENDS_A_MESSAGE = (b"Q", b"S", b"H")
"""Query, Sync and Flush: the server answers, and a client may wait for it."""


@dataclass
class Conversation:
    """What one client said once it had logged in.

    Attributes:
        round_trips: How often it said something that had to be answered while no answer was outstanding.
        statements: One list a round trip.
    """

    round_trips: int = 0
    statements: list[list[str]] = field(default_factory=list)


class CountingProxy:
    """Listens on `port` of the loopback address; without TLS, which could not be read.

    Attributes:
        conversations: Of every client that logged in, in order.
        logins: How many connections were made.
    """

    def __init__(self, port: int) -> None:
        self.conversations: list[Conversation] = []
        self.logins = 0
        self._connected = 0
        self._mutex = threading.Lock()
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
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

    def url(self, url: str) -> str:
        """Returns a server's URL, with the port of this proxy in it."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    def forget(self) -> None:
        """Starts counting again; no client is connected."""
        self.conversations, self.logins = [], 0

    @property
    def is_quiet(self) -> bool:
        """Whether all clients have disconnected, so that all they said was counted."""
        return self._connected == 0

    @property
    def round_trips(self) -> int:
        return sum(each.round_trips for each in self.conversations)

    @property
    def statements(self) -> list[str]:
        """Everything that was said after a login, in order."""
        return [text for each in self.conversations for said in each.statements for text in said]

    def change_connected(self, by: int) -> None:
        with self._mutex:
            self._connected += by

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.logins += 1
            self.change_connected(1)
            link = _Link(self, client, server)
            threading.Thread(target=link.pump_to_server, daemon=True).start()
            threading.Thread(target=link.pump_to_client, daemon=True).start()


class _Link:
    """One client's connection and the one made for it."""

    def __init__(self, proxy: CountingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._mutex = threading.Lock()
        self._said = _Messages(has_startup=True)
        self._answered = _Messages(has_startup=False)
        self._outstanding = 0
        self._is_between = True
        self._conversation: Conversation | None = None

    def pump_to_server(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(_CHUNK):
                with self._mutex:
                    for kind, body in self._said.read(data):
                        self._note(kind, body)
                self._server.sendall(data)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def pump_to_client(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(_CHUNK):
                with self._mutex:
                    for kind, body in self._answered.read(data):
                        self._hear(kind, body)
                self._client.sendall(data)
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._proxy.change_connected(-1)

    def _note(self, kind: bytes, body: bytes) -> None:
        conversation = self._conversation
        if conversation is None or kind == b"X":
            return
        if kind == b"H" and self._is_between:
            return  # it asks for nothing new, and is not answered
        if self._is_between and self._outstanding == 0:
            conversation.round_trips += 1
            conversation.statements.append([])
        self._is_between = kind in _ENDS_A_MESSAGE
        if kind == b"Q":
            conversation.statements[-1].append(body.rstrip(b"\0").decode())
        elif kind == b"P":
            conversation.statements[-1].append(body.split(b"\0", 2)[1].decode())
        self._outstanding += kind in (b"Q", b"S")

    def _hear(self, kind: bytes, body: bytes) -> None:
        if kind == b"R" and body == b"\0\0\0\0":
            self._conversation = Conversation()
            self._proxy.conversations.append(self._conversation)
            self._outstanding = 1  # the server says when it is ready
        elif kind == _READY:
            self._outstanding -= 1


class _Messages:
    """Cuts a stream of the protocol into messages."""

    def __init__(self, *, has_startup: bool) -> None:
        self._buffer = b""
        self._head = 0 if has_startup else 1

    def read(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self._buffer += data
        found = []
        while len(self._buffer) >= self._head + 4:
            (length,) = struct.unpack_from("!I", self._buffer, self._head)
            if len(self._buffer) < self._head + length:
                break
            kind, body = self._buffer[: self._head], self._buffer[self._head + 4 : self._head + length]
            self._buffer = self._buffer[self._head + length :]
            if not self._head:
                self._head = 0 if struct.unpack_from("!I", body)[0] in _SSL_REQUESTS else 1
            found.append((kind, body))
        return found
