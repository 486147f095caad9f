"""libpq's defaults for what an address leaves out: its variables, such as PGHOST, and the service file."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import pq


def read() -> Mapping[str, str]:
    """Returns values by keyword, as libpq itself finds them; without passwords and keywords without a value."""
    options = pq.Conninfo.get_defaults()
    found = {option.keyword.decode(): option.val for option in options if option.val and option.dispchar != b"*"}
    return {keyword: value.decode(errors="replace") for keyword, value in found.items()}
