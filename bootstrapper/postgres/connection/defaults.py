"""What libpq takes where an address leaves something out: its own variables, such as PGHOST, and the service file."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import pq


def read() -> Mapping[str, str]:
    """Values by keyword, as libpq itself works them out; a keyword without any is left out, and so are passwords."""
    options = pq.Conninfo.get_defaults()
    found = {option.keyword.decode(): option.val for option in options if option.val and option.dispchar != b"*"}
    return {keyword: value.decode(errors="replace") for keyword, value in found.items()}
