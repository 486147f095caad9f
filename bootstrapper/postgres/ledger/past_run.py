"""A run of the past, as messages name it."""

from __future__ import annotations

from typing import NamedTuple


class PastRun(NamedTuple):
    """Attributes:
    at: A time in UTC.
    """

    serial: int
    command: str
    environment: str | None
    version: str
    role: str | None
    host: str
    at: str

    def __str__(self) -> str:
        where = f" of environment {self.environment!r}" if self.environment else ""
        who = f"by {self.role or 'unknown role'} on {self.host}"
        return f"run number {self.serial} ({self.command}{where}, bootstrapper {self.version}, {who}, {self.at} UTC)"
