"""What must hold of everything that is asked while a run looks: it writes nothing and leaves no setting behind."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from bootstrapper.engine.open import opened
from bootstrapper.engine.request import Request
from bootstrapper.testing.snapshots import difference, look, versions

# What bounds a statement depends on the time that is left.
_SETTINGS = """
SELECT name, setting FROM pg_catalog.pg_settings
WHERE name !~ '_timeout$' AND name !~ '^transaction_' AND name <> 'application_name'
"""


def assert_looking_changes_nothing(request: Request, what: str) -> None:
    """Opens the gates and looks at all steps, twice in one session.

    Raises AssertionError if a row of the database changed, or a setting of the session stayed changed.
    """
    before = look(request, versions)
    with opened(request, "test", writes=True) as run:
        run.executor.open_gates()
        with run.session.read_only() as connection:
            settings = _settings(connection)
        run.executor.open_gates()
        run.looker.look(for_reader=True)
        with run.session.read_only() as connection:
            left = difference(settings, _settings(connection))
    assert not left, f"{what} left settings of its session changed: {left}"
    written = difference(before, look(request, versions))
    assert not written, f"{what} wrote to the database: {written}"


def _settings(connection: Connection[Any]) -> dict[str, str]:
    return dict(connection.execute(_SETTINGS).fetchall())
