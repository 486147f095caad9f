"""Servers for remote backups: S3 by moto, SFTP by paramiko; real ones, on this machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import paramiko

_T = TypeVar("T")

SFTP_PASSWORD = "sftp secret"


@contextmanager
def s3_server() -> Iterator[str]:
    """Gives its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def sftp_server(folder: Path) -> Iterator[int]:
    """Serves a folder as if it were the root; gives the port."""
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transports: list[paramiko.Transport] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    transport = paramiko.Transport(connection)
                    transport.add_server_key(key)
                    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, folder)
                    transport.start_server(server=_Doorman())
                    transports.append(transport)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()


class _Doorman(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if password == SFTP_PASSWORD else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    """The files below one folder."""

    def __init__(self, server: paramiko.ServerInterface, root: Path) -> None:
        super().__init__(server)
        self._root = root

    def _at(self, path: str) -> Path:
        return self._root / self.canonicalize(path).lstrip("/")

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        return _answer(
            lambda: [paramiko.SFTPAttributes.from_stat(entry.stat(), entry.name) for entry in self._at(path).iterdir()]
        )

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        return _answer(lambda: paramiko.SFTPAttributes.from_stat(self._at(path).stat()))

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        def make() -> paramiko.SFTPHandle:
            descriptor = os.open(self._at(path), flags, 0o644)
            file = os.fdopen(descriptor, "wb" if flags & os.O_WRONLY else "rb")
            handle = paramiko.SFTPHandle(flags)
            handle.readfile = handle.writefile = file
            return handle

        return _answer(make)

    def remove(self, path: str) -> int:
        return _done(lambda: self._at(path).unlink())

    def rename(self, oldpath: str, newpath: str) -> int:
        return _done(lambda: self._at(oldpath).rename(self._at(newpath)))

    posix_rename = rename

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        return _done(lambda: self._at(path).mkdir())

    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        mode = attr.st_mode
        return _done(lambda: self._at(path).chmod(mode)) if mode is not None else paramiko.SFTP_OK


def _answer(work: Callable[[], _T]) -> _T | int:
    try:
        return work()
    except OSError as error:
        return int(paramiko.SFTPServer.convert_errno(error.errno or 0))


def _done(work: Callable[[], object]) -> int:
    answer = _answer(work)
    return answer if isinstance(answer, int) and not isinstance(answer, bool) else int(paramiko.SFTP_OK)
