"""Example of a local plugin: a step that makes sure of a PostgreSQL extension.

    steps:
      - uses: extension
        with: {name: pg_trgm}

The folder is listed under `plugins:` in bootstrap.yaml. A step has two verbs: `changes` reads and says what would be
done, `apply` does it. The transaction, the lock's fence and the ledger are the engine's business.
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
    leaves_others_alone = True  # none of the later steps has more to do because of it

    class With(StepModel):
        name: str

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """One change where the extension is missing; the reason says what the server offers."""
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
