"""`${run.url}` and its parts under `env` of a step: the address that a program is handed, filled in when it is started.

Not before: a migration may be tried in a scratch database first, and is handed that one's address then. Until then a
mark stands in its place that no text of a file or a variable can hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bootstrapper.config.document import of_run
from bootstrapper.postgres.connection.target import Target

_MARK = re.compile(r"\0run\.(\w+)(?:\+([a-z0-9_]+))?\0")


def marks(text: str) -> dict[str, str]:
    """Returns a mark for each name in the text that stands for the run's address."""
    return {name: f"\0{name}\0" for name in of_run(text)}


def filled_in(env: Mapping[str, str], target: Target, *, pooled: bool) -> dict[str, str]:
    """Returns the variables, with the target's URL, or a part of it, for each mark."""
    return {name: _MARK.sub(lambda mark: _value(mark, target, pooled=pooled), text) for name, text in env.items()}


def _value(mark: re.Match[str], target: Target, *, pooled: bool) -> str:
    """Returns the URL or the named part; a part that the address leaves to libpq is empty."""
    if mark[1] == "url":
        return target.url(mark[2], pooled=pooled)
    return str(getattr(target, mark[1]) or "")
