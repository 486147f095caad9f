"""Times and sizes as the file writes them: 250ms 5s 5m 1h, 64kB 10MB."""

from __future__ import annotations

import re
from fractions import Fraction

_DURATION = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHARE = r"([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*%"
_SIZE = r"([0-9]{1,15})\s*(B|kB|MB|GB)"
_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3}  # as PostgreSQL counts them

LONGEST_DAYS = 24
"""Waits and statements of the server take no longer: it counts milliseconds in 31 bits."""
OLDEST_DAYS = 36500
"""Ages are compared with times of the calendar, which has its bounds."""
_LONGEST_SHOWN = 40


def parse_duration(text: object, longest_days: int = LONGEST_DAYS) -> float:
    """Returns seconds in a text such as "5m"; raises ValueError otherwise, and where it is longer than so many days."""
    match = re.fullmatch(_DURATION, text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{_cut(text)} is not a time; write it as 250ms, 5s, 5m, 1h or 7d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > longest_days * _SECONDS["d"]:
        raise ValueError(f"{_cut(text)} is too long; the maximum is {longest_days}d")
    return seconds


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def parse_size(text: object) -> int:
    """Returns bytes in a text such as "64kB"; raises ValueError otherwise."""
    match = re.fullmatch(_SIZE, text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{_cut(text)} is not a size; write it as 512B, 64kB, 10MB or 1GB")
    return int(match[1]) * _BYTES[match[2]]


def parse_limit(text: object) -> int | Fraction:
    """Returns a number, or a share in a text such as "10%"; raises ValueError otherwise."""
    match = re.fullmatch(_SHARE, text.strip()) if isinstance(text, str) else None
    if match is not None and (share := Fraction(match[1]) / 100) <= 1:
        return share
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    raise ValueError(f"{_cut(text)} is not a limit; write a number, or a share such as 10%")


def show_seconds(seconds: float) -> str:
    """Returns the way people write a time: 350 ms, 1.2 s, 3 min 20 s, 5 h 2 min, 3 d 4 h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def show_size(size: int) -> str:
    """Returns the way people write a number of bytes: 512 B, 64 kB, 1.2 GB."""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1024, larger
    return f"{number:.1f} {unit}" if number < 10 and unit != "B" else f"{number:.0f} {unit}"
