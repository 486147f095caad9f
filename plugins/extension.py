"""Example of a local plugin: a step that installs a PostgreSQL extension.

    steps:
      - uses: extension
        with: {name: pg_trgm}

The folder is listed under `plugins:` in bootstrap.yaml. A step has two methods: `changes` reads and returns what would
be done, `apply` does it. The engine handles the transaction, the fence of the lock and the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from bootstrapper import Change, Context, Deferred, Step, StepModel, hookimpl

_INSTALLED = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = %s"
_AVAILABLE = "SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = %s"


class Extension(Step):
    """Creates one extension; leaves an existing one as it is."""

    uses = "extension"
    pure = True
    leaves_others_alone = True  # it never gives a later step more to do

    class With(StepModel):
        name: str

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns one change if the extension is missing; its reason shows the version that the server offers."""
        name = self.options.name
        if context.connection.execute(_INSTALLED, (name,)).fetchone():
            return []
        offered = context.connection.execute(_AVAILABLE, (name,)).fetchone()
        reason = f"not installed; the server offers {offered[0]}" if offered else "the server does not offer it"
        return [Change.create(f"extension {name}", reason=reason)]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(self.options.name))
        context.connection.execute(statement)


@hookimpl
def bootstrapper_steps() -> list[type[Step]]:
    return [Extension]
