"""Looks on while many runs go: how many connections they take, and whether an application still gets in."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import psycopg


class _Watcher:
    """A thread that repeats something until it is left."""

    pause_seconds = 0.01

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(self.pause_seconds):
            self.look()

    def look(self) -> None:
        raise NotImplementedError


class Sampler(_Watcher):
    """Samples how many client backends a database has, over one connection made before the crowd comes."""

    def __init__(self, url: str, database: str, *, application: str = "the application") -> None:
        super().__init__()
        self.peak = 0
        self._parameters = (database, application)
        self._connection = psycopg.connect(url, autocommit=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._connection.close()

    def look(self) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name <> %s"
        row = self._connection.execute(query, self._parameters).fetchone()
        assert row is not None
        self.peak = max(self.peak, row[0])


class Application(_Watcher):
    """Connects, asks, and disconnects, all the time; counts how often it is not let in."""

    pause_seconds = 0.02

    def __init__(self, url: str) -> None:
        super().__init__()
        self.attempts = 0
        self.refused = 0
        self.reasons: set[str] = set()
        self.slowest = 0.0
        self._url = url

    def look(self) -> None:
        began = time.monotonic()
        self.attempts += 1
        try:
            with psycopg.connect(self._url, application_name="the application", connect_timeout=10) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            self.refused += 1
            self.reasons.add(str(error))
        self.slowest = max(self.slowest, time.monotonic() - began)
