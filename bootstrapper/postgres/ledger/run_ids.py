"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

SHORTEST_END = 4
"""Fewer digits of an id would soon be those of another one, too."""


def is_end_of(identifier: UUID, text: str) -> bool:
    """Whether a text is the identifier, or its end as lists show it; with or without dashes."""
    digits = text.replace("-", "").lower()
    return len(digits) >= SHORTEST_END and identifier.hex.endswith(digits)


def uuid7() -> UUID:
    """Returns a UUIDv7 (RFC 9562): 48 bits of milliseconds, then randomness."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
