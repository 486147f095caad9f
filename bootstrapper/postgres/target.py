"""Where a database is and how to log in, from a URL or from separate settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class Target:
    """One database to connect to.

    Attributes:
        parameters: libpq keywords and values (host, port, dbname, user, password, sslmode, ...). Not shown by repr.
    """

    parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Understands postgres://, postgresql:// and SQLAlchemy's postgresql+DRIVER://; raises ValueError."""
        raise NotImplementedError
