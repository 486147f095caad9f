"""Hooks into Alembic: puts every write behind the fence, and reports the progress."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import event
from sqlalchemy.pool import Pool

from bootstrapper_worker.channel import Events
from bootstrapper_worker.database import as_list, literal
from bootstrapper_worker.fence import Fence


class Guard:
    """Hooks into Alembic for one command.

    Attributes:
        revision: The revision that is being run.
        uncommitted: Revisions that were run, and whose transaction is still open.
        done: Number of revisions committed.
    """

    def __init__(self, request: dict[str, Any], events: Events) -> None:
        self.request = request
        self.events = events
        self.fence = Fence(request, events)
        self.revision: str | None = None
        self.file = ""
        self.began = 0.0
        self.is_migrating = False
        self.uncommitted: list[str | None] = []
        self.done = 0

    def install(self) -> None:
        """Replaces EnvironmentContext.configure in place: a subclass would break Alembic's module proxies."""
        original = EnvironmentContext.configure
        guard = self

        def configure(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
            if connection is None:
                original(self, connection, *args, **options)
                return
            guard.require_version_table(options)
            guard.fence.connect(connection)
            options["transaction_per_migration"] = guard.request["transaction_per_migration"]
            options["on_version_apply"] = [*as_list(options.get("on_version_apply")), guard.version_applied]
            options["include_object"] = guard.without_ledger(options.get("include_object"))
            steps = self.context_opts.get("fn")
            if steps is not None and not hasattr(steps, "is_fenced"):
                self.context_opts["fn"] = guard.fenced(steps)
            original(self, connection, *args, **options)
            guard.fence_version_table(self.get_context())
            guard.fence_after_autocommit(self.get_context())

        EnvironmentContext.configure = configure  # type: ignore[method-assign]
        event.listen(Pool, "connect", self.fence.unprepare)
        event.listen(Pool, "checkout", self.notice)

    def notice(self, dbapi_connection: Any, *_: Any) -> None:
        """Reports a connection that a revision opens beside its own, which sees another state of the database."""
        if self.is_migrating and isinstance(dbapi_connection, self.fence.kind):
            self.events.send("second_connection", revision=self.revision)

    def require_version_table(self, options: dict[str, Any]) -> None:
        """The parent reads the version rows itself, so it has to know where env.py keeps them."""
        for option, default in (("version_table", "alembic_version"), ("version_table_schema", None)):
            used, expected = options.get(option) or default, self.request[option]
            if used == expected:
                continue
            if options.get(option) is not None:
                reason = f"env.py has {option} {used!r}, this step {expected!r}"
                raise self.fence.stop("version_table", reason, option=option)
            options[option] = expected

    def fenced(self, steps: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Wraps Alembic's list of steps, so that each passes the fence before its DDL."""

        def iterate(heads: Any, context: Any) -> Any:
            pending = list(steps(heads, context))
            self.require_planned(pending, heads)
            self.events.send("started", total=self.done + len(self.uncommitted) + len(pending))
            for step in pending:
                if hasattr(step, "migration_fn") and context.connection is not None:
                    step.migration_fn = self.migration(step, context.connection)
                    self.fence.ends_with_revision = not context.connection.in_transaction()
                yield step
                self.uncommitted.append(self.revision)
                if context.connection is None or not context.connection.in_transaction():
                    self.committed()
                self.revision = None

        iterate.is_fenced = True  # type: ignore[attr-defined]
        return iterate

    def require_planned(self, steps: list[Any], heads: Any) -> None:
        """Refuses revisions that are not in the plan: files changed after it was made.

        An env.py may go through several schemas, each with a version table of its own. The plan is about one of them:
        where the rows are others, so are the revisions.
        """
        planned = self.request["revisions"] if set(heads) == set(self.request["rows"]) else None
        revisions = [step.revision.revision for step in steps if hasattr(step, "revision")]
        for revision in revisions:
            if planned is not None and revision not in planned:
                raise self.fence.stop("unplanned", f"Alembic would run revision {revision}, which was not planned")

    def committed(self) -> None:
        """Reports the revisions that were run since; where all are in one transaction, env.py has ended it."""
        for revision in self.uncommitted:
            self.done += 1
            self.events.send("applied", done=self.done, revision=revision)
        self.uncommitted.clear()

    def migration(self, step: Any, connection: Any) -> Callable[..., None]:
        run = step.migration_fn

        @functools.wraps(run)  # Alembic logs the function's name
        def migrate(**options: Any) -> None:
            self.revision = step.revision.revision
            self.file = step.revision.path
            number = self.fence.enter(connection)
            self.events.send("began", revision=self.revision, transaction=number)
            self.began = time.monotonic()
            self.is_migrating = True
            try:
                run(**options)
            except BaseException:
                self.uncommitted.clear()  # rolled back together with this one
                raise
            finally:
                self.is_migrating = False

        return migrate

    def version_applied(self, ctx: Any, **_: Any) -> None:
        """Alembic calls it in the transaction that holds the version row, just before the COMMIT."""
        if ctx.connection is not None:
            self.fence.leave(ctx.connection, self.noted(self.request["command"]))

    def noted(self, action: str) -> dict[str, str] | None:
        """Returns what the ledger notes of the revision at hand, as SQL."""
        if self.revision is None:
            return None
        return {
            "revision": literal(self.revision),
            "action": literal(action),
            "seconds": f"{time.monotonic() - self.began:.6f}",
        }

    def noted_block(self) -> dict[str, str] | None:
        """Returns what the ledger notes of an autocommit block that begins: also the file as it is now."""
        noted = self.noted("autocommit")
        return noted and {**noted, "file": literal(hashlib.sha256(Path(self.file).read_bytes()).hexdigest())}

    def without_ledger(self, include: Callable[..., bool] | None) -> Callable[..., bool]:
        """Autogenerate would drop the ledger's tables, since no model has them."""
        hidden = {(schema, name) for schema, name in self.request["hidden_tables"]}

        def include_object(item: Any, name: str | None, kind: str, *more: Any) -> bool:
            table = item if kind == "table" else getattr(item, "table", None)
            if table is not None and (table.schema or self.request["hidden_schema"], table.name) in hidden:
                return False
            return True if include is None else bool(include(item, name, kind, *more))

        return include_object

    def fence_version_table(self, context: Any) -> None:
        """Alembic creates its table outside the transactions of the revisions."""
        create = getattr(context, "_ensure_version_table", None)
        if create is None:
            return

        def ensure(*args: Any, **options: Any) -> None:
            connection = context.connection
            if connection.in_transaction():
                self.fence.enter(connection)
                create(*args, **options)
                return
            with connection.begin():
                self.fence.enter(connection)
                create(*args, **options)

        context._ensure_version_table = ensure

    def fence_after_autocommit(self, context: Any) -> None:
        """An autocommit block gives up the row's lock; what follows it starts behind the fence again."""
        block = getattr(context, "autocommit_block", None)
        if block is None:
            return

        @contextmanager
        def fenced_block() -> Iterator[None]:
            if context.connection is not None:  # the block commits this together with what came before it
                self.fence.leave(context.connection, self.noted_block(), is_block=True)
            with block():
                yield
            if context.connection is not None:
                self.fence.enter(context.connection)

        context.autocommit_block = fenced_block
