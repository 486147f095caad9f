"""A peer that speaks just enough of the protocol to turn callers away, inside TLS and without."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_SSL_REQUEST = (80877103).to_bytes(4, "big")


@dataclass
class Peer:
    """`logins` holds, for each login that came through, whether it was inside TLS; `said` what it asked for."""

    port: int
    logins: list[bool] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)


@contextmanager
def refusing(inside_tls: str, without: str) -> Iterator[Peer]:
    """Answers every login with one of the two SQLSTATEs; all of them are counted once it is left."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("test-only.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), caller:
                    _refuse(caller, context, peer, inside_tls, without)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            yield peer
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()


def _refuse(caller: socket.socket, context: ssl.SSLContext, peer: Peer, inside_tls: str, without: str) -> None:
    caller.settimeout(5)
    first = _message(caller)
    if not first:
        return
    if first != _SSL_REQUEST:
        peer.logins.append(False)
        peer.said.append(first)
        caller.sendall(_error(without))
        return
    caller.sendall(b"S")
    with context.wrap_socket(caller, server_side=True) as secure:
        peer.said.append(_message(secure))
        peer.logins.append(True)
        secure.sendall(_error(inside_tls))


def _message(caller: socket.socket) -> bytes:
    header = caller.recv(4)
    return caller.recv(int.from_bytes(header, "big") - 4) if header else b""


def _error(sqlstate: str) -> bytes:
    body = f"SFATAL\0VFATAL\0C{sqlstate}\0Mnein\0\0".encode()
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body
