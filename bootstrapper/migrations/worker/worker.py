"""The program that runs a project's Alembic, in the project's own interpreter and folder.

It needs Python 3.9 or newer, Alembic 1.13 or newer and nothing else: no module of this package can be imported here.
The first line on the control pipe is the request, as JSON; the end of that pipe means that the parent is gone. What
happens goes out on the event pipe, one JSON object a line. Standard output and errors belong to the project.
"""

from __future__ import annotations

import gc
import sys

if gc.isenabled():
    gc.disable()  # until everything is loaded: looking through modules for garbage is a fifth of loading them
if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # this file's folder, whose modules would hide the project's own `settings` and the like

import fcntl
import functools
import hashlib
import importlib.util
import io
import json
import os
import re
import signal
import sysconfig
import threading
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError, InvalidRequestError, StatementError
from sqlalchemy.pool import Pool

ORPHANED = 70
FAILED = 1
DRIVER_MODULES = ("psycopg", "psycopg2", "psycopg2cffi", "pg8000", "asyncpg")
"""Those of drivers.py, which can not be imported here."""
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
LIBRARIES = tuple(f"{Path(str(module.__file__)).parent}{os.sep}" for module in (alembic, sqlalchemy))
PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
MOST_FRAMES = 100

BACKEND = "SELECT pg_catalog.current_database()::pg_catalog.text, pg_catalog.pg_backend_pid()"
TRANSACTION = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"
REVISION = "{{revision}}"  # stands in the statement that notes a revision, as do ACTION, SECONDS and FILE
ACTION = "{{action}}"
SECONDS = "{{seconds}}"
FILE = "{{file}}"


class Stop(Exception):  # noqa: N818 - the parent turns it into an error
    """Ends the work; `kind` tells the parent why."""

    def __init__(self, kind: str, reason: str, **facts: Any) -> None:
        super().__init__(reason)
        self.report = {"kind": kind, "reason": reason, **facts}


class Events:
    """The way out to the parent."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def send(self, name: str, **facts: Any) -> None:
        self._file.write(json.dumps({"event": name, **facts}) + "\n")
        self._file.flush()


def receive(descriptor: int) -> dict[str, Any]:
    """Reads the request, and from then on watches for the end of the parent.

    Code that never lets another thread have its turn outlives no parent either, where the kernel can see to that: it
    kills this process at what comes on the pipe next, which is its end.
    """
    os.set_inheritable(descriptor, False)
    control = os.fdopen(descriptor, "rb")
    request: dict[str, Any] = json.loads(control.readline())

    def watch() -> None:
        control.read()
        os._exit(ORPHANED)  # in the middle of whatever runs: the server rolls it back

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    return request


class Guard:
    """Stands between Alembic and the database: the fence, the timeouts, and what is told of the progress.

    `failure` remembers why it stopped the work, whatever env.py makes of the exception.
    """

    def __init__(self, request: dict[str, Any], events: Events) -> None:
        self.request = request
        self.events = events
        self.revision: str | None = None
        self.digest = ""
        self.failure: dict[str, Any] | None = None
        self.is_connected = False
        self.is_pooled = bool(request["pooled"])
        self.is_migrating = False
        self.kind: type = type(None)
        self.asks: dict[str, str] = {}
        self.done = 0
        self.uncommitted: list[str | None] = []
        self.began = 0.0

    def stop(self, kind: str, reason: str, **facts: Any) -> Stop:
        stop = Stop(kind, reason, **facts)
        self.failure = stop.report
        return stop

    def install(self) -> None:
        """Replaces EnvironmentContext.configure in place: a subclass would break Alembic's module proxies."""
        original = EnvironmentContext.configure
        guard = self

        def configure(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
            if connection is None:
                original(self, connection, *args, **options)
                return
            guard.require_version_table(options)
            guard.connect(connection)
            options["transaction_per_migration"] = guard.request["transaction_per_migration"]
            options["on_version_apply"] = [*_several(options.get("on_version_apply")), guard.version_applied]
            options["include_object"] = guard.without_ledger(options.get("include_object"))
            steps = self.context_opts.get("fn")
            if steps is not None and not hasattr(steps, "is_fenced"):
                self.context_opts["fn"] = guard.fenced(steps)
            original(self, connection, *args, **options)
            guard.fence_version_table(self.get_context())
            guard.fence_after_autocommit(self.get_context())

        EnvironmentContext.configure = configure  # type: ignore[method-assign]
        event.listen(Pool, "connect", self.unprepare)
        event.listen(Pool, "checkout", self.notice)

    def notice(self, dbapi_connection: Any, *_: Any) -> None:
        """Tells of a connection that a revision opens beside its own, which sees another state of the database."""
        if self.is_migrating and isinstance(dbapi_connection, self.kind):
            self.events.send("second_connection", revision=self.revision)

    def unprepare(self, dbapi_connection: Any, _: Any = None) -> None:
        """Keeps psycopg from preparing statements on the server: behind a pooler the next one may be another server."""
        driver = getattr(dbapi_connection, "driver_connection", dbapi_connection)
        if self.is_pooled and hasattr(driver, "prepare_threshold"):
            driver.prepare_threshold = None

    def require_version_table(self, options: dict[str, Any]) -> None:
        """The parent reads the version rows itself, so it has to know where env.py keeps them."""
        for option, default in (("version_table", "alembic_version"), ("version_table_schema", None)):
            used, expected = options.get(option) or default, self.request[option]
            if used == expected:
                continue
            if options.get(option) is not None:
                raise self.stop("version_table", f"env.py has {option} {used!r}, this step {expected!r}", option=option)
            options[option] = expected

    def connect(self, connection: Any) -> None:
        """Compares the database before Alembic creates its table there; leaves no transaction open."""
        if connection.in_transaction():
            self.require_our_database(connection)
            return
        with connection.begin():
            self.require_our_database(connection)
            number = self.pass_fence(connection)
            self.leave_address(connection)
            if _one(connection, TRANSACTION)[0] != number:  # AUTOCOMMIT: what holds for a transaction holds for nothing
                connection.exec_driver_sql(self.asks["limits_of_session"])
                self.events.send("autocommit")

    def require_our_database(self, connection: Any) -> None:
        """In another database there may be no lock to look at, so this is asked before the fence."""
        may_identify, may_note = _one(connection, self.request["may"])
        self.asks = dict(self.request["asks" if may_identify else "asks_without_identifier"])
        if not may_note:
            self.asks["noting_fence"] = ""
        self.is_connected = True
        self.kind = type(_dbapi_connection(connection))
        self.events.send("connected", where=_where(connection))
        self.compare_database(connection, *_one(connection, self.asks["identity"]))

    def compare_database(self, connection: Any, oid: str, identifier: str | None) -> None:
        expected = self.request["system_identifier"]
        is_same_server = expected is None or identifier is None or identifier == expected
        if oid != self.request["database_oid"] or not is_same_server:
            where = _where(connection)
            raise self.stop("elsewhere", f"env.py connected to {where}", where=where)

    def leave_address(self, connection: Any) -> None:
        """Notes this backend in the lock's row, so that the lock is not free while it still works.

        Only on a direct connection: behind a pooler the backend goes on living for others.
        """
        if _client_side_pid(connection) == _one(connection, BACKEND)[1]:
            connection.exec_driver_sql(self.asks["note_worker"])
            # The fence names its transaction; this is for statements in none, as in an autocommit block.
            name = literal(self.request["application_name"])
            connection.exec_driver_sql(f"SELECT pg_catalog.set_config('application_name', {name}, false)")
        else:
            self.is_pooled = True  # env.py may have another address than the run
            self.unprepare(_dbapi_connection(connection))

    def pass_fence(self, connection: Any, noting: str | None = None) -> str:
        """Locks the lock's row for this transaction and compares, in one round trip; gives the transaction's number.

        Args:
            noting: What becomes of the revision at hand, written into the ledger on the way.
        """
        row = _one(connection, self.asks["fence"] if noting is None else self.noting_fence(noting))
        if row is None or [row[0], row[1]] != [self.request["run_id"], self.request["token"]]:
            raise self.stop("fenced", "another run has taken the lock")
        self.compare_database(connection, row[3], row[4])
        return str(row[2])

    def noting_fence(self, action: str) -> str:
        """The fence alone where no revision is at hand, as for a stamp, or where the role may not write the row."""
        if self.revision is None or not self.asks["noting_fence"]:
            return self.asks["renewing_fence"]
        seconds = f"{time.monotonic() - self.began:.6f}"
        statement = self.asks["noting_block" if action == "autocommit" else "noting_fence"]
        facts = {
            REVISION: literal(self.revision),
            ACTION: literal(action),
            SECONDS: seconds,
            FILE: literal(self.digest),
        }
        for place, value in facts.items():
            statement = statement.replace(place, value)
        return statement

    def fenced(self, steps: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Alembic's list of steps, each with the fence before its DDL."""

        def iterate(heads: Any, context: Any) -> Any:
            pending = list(steps(heads, context))
            self.events.send("started", total=self.done + len(self.uncommitted) + len(pending))
            for step in pending:
                if hasattr(step, "migration_fn") and context.connection is not None:
                    step.migration_fn = self.migration(step, context.connection)
                yield step
                self.uncommitted.append(self.revision)
                if context.connection is None or not context.connection.in_transaction():
                    self.committed()
                self.revision = None

        iterate.is_fenced = True  # type: ignore[attr-defined]
        return iterate

    def committed(self) -> None:
        """Tells of the revisions that were applied since; where all are in one transaction, env.py has ended it."""
        for revision in self.uncommitted:
            self.done += 1
            self.events.send("applied", done=self.done, revision=revision)
        self.uncommitted.clear()

    def migration(self, step: Any, connection: Any) -> Callable[..., None]:
        run = step.migration_fn

        @functools.wraps(run)  # Alembic logs the function's name
        def migrate(**options: Any) -> None:
            self.revision = step.revision.revision
            self.digest = _digest(step.revision.path)
            number = self.pass_fence(connection)
            self.events.send("began", revision=self.revision, transaction=number)
            self.began = time.monotonic()
            self.is_migrating = True
            try:
                run(**options)
            except BaseException:
                self.uncommitted.clear()  # taken back together with this one
                raise
            finally:
                self.is_migrating = False

        return migrate

    def version_applied(self, ctx: Any, **_: Any) -> None:
        """Alembic calls it in the transaction that holds the version row, just before the COMMIT."""
        if ctx.connection is not None:
            self.pass_fence(ctx.connection, noting=self.request["command"])

    def without_ledger(self, include: Callable[..., bool] | None) -> Callable[..., bool]:
        """Autogenerate would drop our tables, since no model knows them."""
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
                self.pass_fence(connection)
                create(*args, **options)
                return
            with connection.begin():
                self.pass_fence(connection)
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
                self.pass_fence(context.connection, noting="autocommit")
            with block():
                yield
            if context.connection is not None:
                self.pass_fence(context.connection)

        context.autocommit_block = fenced_block


def literal(text: str) -> str:
    """A text as SQL, whatever the role's settings and the driver's placeholders are."""
    return "E'" + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + "'"


def _digest(file: Any) -> str:
    """Of what is in a revision's file, so that the parent knows it again."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _one(connection: Any, statement: str) -> Any:
    return connection.exec_driver_sql(statement).fetchone()


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _dbapi_connection(connection: Any) -> Any:
    fairy = connection.connection
    return getattr(fairy, "dbapi_connection", None) or fairy.connection


def _client_side_pid(connection: Any) -> int | None:
    """The backend that let us in, as the driver remembers it; None where the driver does not tell."""
    fairy = connection.connection
    driver = getattr(fairy, "driver_connection", None) or getattr(fairy, "dbapi_connection", None) or fairy.connection
    if hasattr(driver, "get_server_pid"):
        return int(driver.get_server_pid())
    pid = getattr(getattr(driver, "info", None), "backend_pid", None)
    return None if pid is None else int(pid)


def _where(connection: Any) -> str:
    url = connection.engine.url
    host = url.host or url.query.get("host") or "the local socket"
    return f"{host}:{url.port or url.query.get('port') or 5432}/{_one(connection, BACKEND)[0]}"


def configuration(request: dict[str, Any]) -> Config:
    """What Alembic's own command line would make of the project's files, with our address in it."""
    arguments = Namespace(x=list(request["x"]), config=request["ini"], name=request["section"], quiet=False)
    try:
        config = Config(request["ini"], toml_file=request["toml"], ini_section=request["section"], cmd_opts=arguments)
    except TypeError:  # before Alembic 1.16 there was no pyproject.toml
        config = Config(request["ini"], ini_section=request["section"], cmd_opts=arguments)
        request["options"] = {**request["toml_options"], **request["options"]}
    for name, value in request["options"].items():
        config.set_main_option(name, value.replace("%", "%%"))
    config.attributes.update(request["attributes"])
    config.set_main_option("sqlalchemy.url", address(request).replace("%", "%%"))
    return config


def address(request: dict[str, Any]) -> str:
    """The first one whose driver is installed here; without any, what SQLAlchemy makes of an address without one."""
    found = next(installed(request["addresses"]), None)
    if found is not None:
        return str(found["url"])
    if request["bare_address"] is None:
        raise Stop("driver", f"driver {request['addresses'][0]['name']} is not installed for this interpreter")
    return str(request["bare_address"])


def other_address(request: dict[str, Any]) -> dict[str, str] | None:
    """One with a driver for the other kind of engine; without any driver, SQLAlchemy takes one that is not async."""
    used = next(installed(request["addresses"]), {"engine": "sync"})
    return next(installed(request["async_addresses" if used["engine"] == "sync" else "sync_addresses"]), None)


def installed(addresses: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    for each in addresses:
        if importlib.util.find_spec(each["module"]) is not None and _is_dialect(each["name"]):
            yield each


def _is_dialect(name: str) -> bool:
    try:
        make_url(f"postgresql+{name}://").get_dialect()
    except Exception:  # noqa: BLE001 - whatever it is, this driver is of no use
        return False
    return True


def upgrade(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Brings the database to the target; gives what stopped it, None where nothing did."""

    def work(guard: Guard) -> None:
        for target in request["targets"]:
            command.upgrade(configuration(request), target)
            guard.committed()

    return guarded(request, events, work)


def downgrade(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Takes revisions back, down to the target."""

    def work(guard: Guard) -> None:
        command.downgrade(configuration(request), request["targets"][0])
        guard.committed()

    return guarded(request, events, work)


def revision(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Writes a new revision file and tells its path."""

    def work(guard: Guard) -> None:
        made = command.revision(configuration(request), **request["arguments"])
        for script in made if isinstance(made, list) else [made]:
            if script is not None:
                events.send("written", revision=script.revision, file=str(script.path))

    return guarded(request, events, work)


def guarded(request: dict[str, Any], events: Events, work: Callable[[Guard], None]) -> dict[str, Any] | None:
    """What stopped the work; what the guard stopped counts, whatever env.py made of that exception.

    An engine that does not take the driver fails before it connects: it is given one for the other kind of engine.
    """
    guard = Guard(request, events)
    guard.install()
    failure = attempt(lambda: work(guard))
    if failure is not None and _has_wrong_driver(failure, guard):
        other = other_address(request)
        if other is not None:
            events.send("driver", reason=failure["reason"], driver=other["name"])
            request["addresses"] = [other]
            failure = attempt(lambda: work(guard))
    if guard.failure is not None or failure is None:
        return guard.failure
    kind = "driver" if _has_wrong_driver(failure, guard) else failure["kind"]
    return {"revision": guard.revision, **failure, "kind": kind}


def _has_wrong_driver(failure: dict[str, Any], guard: Guard) -> bool:
    return bool(failure["is_of_driver"]) and not guard.is_connected


def render(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Sends the SQL of each pending revision, or of each that a downgrade would take back; connects to nothing."""
    refuse_connections()

    def work() -> None:
        for rows, target in request["walks"]:
            Rendering(configuration(request), request["direction"], target, events).run(tuple(rows))

    return attempt(work)


def refuse_connections() -> None:
    @event.listens_for(Engine, "do_connect")
    @event.listens_for(Pool, "connect")  # an engine with a creator of its own asks nobody before
    def refuse(*_: Any) -> None:
        raise Stop("connects", "env.py connects to the database even where it is only asked for SQL")


class Rendering:
    """One walk of Alembic's offline mode."""

    def __init__(self, config: Config, direction: str, target: str, events: Events) -> None:
        self.buffer = io.StringIO()
        self.config = config
        config.output_buffer = self.buffer
        self.scripts = ScriptDirectory.from_config(config)
        self.direction = direction
        self.target = target
        self.events = events

    def run(self, rows: tuple[str, ...]) -> None:
        """Renders what a database with these version rows would go through."""
        find = self.scripts._upgrade_revs if self.direction == "upgrade" else self.scripts._downgrade_revs

        def steps(rev: Any, context: Any) -> list[Any]:  # asked by env.py, which may have more folders to tell of
            found = list(find(self.target, rows))  # type: ignore[arg-type]
            for step in found:
                step.migration_fn = self.cutting(step.revision.revision, step.migration_fn)
            return found

        with EnvironmentContext(
            self.config,
            self.scripts,
            fn=steps,
            as_sql=True,
            starting_rev=rows or "base",
            destination_rev=self.target,
        ):
            self.scripts.run_env()

    def cutting(self, revision: str, run: Callable[..., None]) -> Callable[..., None]:
        """What a revision writes into the buffer is its SQL; one that needs a database does not keep others back."""

        def migrate(**options: Any) -> None:
            start = self.buffer.tell()
            failure = attempt(lambda: run(**options))
            if failure is not None:
                self.events.send("unrendered", revision=revision, reason=failure["reason"])
                return
            self.events.send("rendered", revision=revision, sql=self.buffer.getvalue()[start:])

        return migrate


def history(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Sends all revisions, in the order in which Alembic read them."""

    def work() -> None:
        config = configuration(request)
        scripts = ScriptDirectory.from_config(config)
        if request["runs_environment"] or not known_to(scripts):
            scripts = after_environment(config, events)
        send_revisions(scripts, events)

    return attempt(work)


def after_environment(config: Config, events: Events) -> ScriptDirectory:
    """The scripts once env.py had its say, in Alembic's offline mode and without a connection."""
    refuse_connections()
    config.output_buffer = io.StringIO()
    scripts = ScriptDirectory.from_config(config)  # a new one, since Alembic remembers what it found

    def run() -> None:
        with EnvironmentContext(config, scripts, fn=lambda rev, context: [], as_sql=True, destination_rev="heads"):
            scripts.run_env()

    failure = attempt(run)
    if failure is not None and failure["kind"] != "connects" and not known_to(scripts):
        events.send("environment_failed", reason=failure["reason"])
    return scripts


def known_to(scripts: ScriptDirectory) -> list[Any]:
    found = [script for script in scripts.revision_map._revision_map.values() if script is not None]
    return list({script.revision: script for script in found}.values())  # a branch label stands there again


def send_revisions(scripts: ScriptDirectory, events: Events) -> None:
    for script in known_to(scripts):
        events.send(
            "revision",
            id=script.revision,
            down=_several(script.down_revision),
            depends=_several(script.dependencies),
            labels=_several(script._orig_branch_labels),
            message=" ".join(script.doc.split()),
            file=str(script.path),
        )


def attempt(work: Callable[[], None]) -> dict[str, Any] | None:
    """Gives what went wrong, None where nothing did."""
    try:
        work()
    except SystemExit as error:
        return describe(error) if error.code else None
    except Exception as error:  # noqa: BLE001 - any code of the project may fail in any way
        return describe(error)
    return None


def describe(error: BaseException) -> dict[str, Any]:
    """What went wrong, without the parameters of a statement; of DETAIL, which quotes rows, the parent thinks again."""
    return {**_reason(error), "traceback": _traceback(error), "is_of_driver": any(map(_is_of_driver, _chain(error)))}


def _reason(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Stop):
        return error.report
    if _server_error(error) is not None or isinstance(error, StatementError):
        return {"kind": "database", **_database_error(error)}
    if type(error).__name__ == "CommandError":
        return {"kind": "alembic", "reason": str(error)}
    if isinstance(error, ModuleNotFoundError) and error.name in DRIVER_MODULES:
        return {"kind": "driver", "reason": f"{error}{_place(error)}"}
    return {"kind": "project", "reason": f"{type(error).__name__}: {error}{_place(error)}"}


def _is_of_driver(error: BaseException) -> bool:
    """Whether an engine was made for the other kind of driver: an async one is needed, or none."""
    is_sync_in_async = isinstance(error, InvalidRequestError) and "requires an async driver" in str(error)
    return is_sync_in_async or type(error).__name__ == "MissingGreenlet"


def _server_error(error: BaseException) -> BaseException | None:
    """The driver's own error behind this one, where the server said no."""
    original = error.orig if isinstance(error, StatementError) else error
    return original if isinstance(error, DBAPIError) or _sqlstate(original) is not None else None


def _database_error(error: BaseException) -> dict[str, Any]:
    statement = error.statement if isinstance(error, StatementError) else None
    original = _server_error(error)
    if original is None:  # SQLAlchemy could not even send it
        cause = getattr(error, "orig", None) or error
        return {"reason": f"{type(cause).__name__}: {_first_line(cause)}{_place(error)}", "statement": statement}
    return {
        "reason": _message(original),
        "detail": _detail(original),
        "statement": statement,
        "sqlstate": _sqlstate(original),
    }


def _sqlstate(error: Any) -> str | None:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code if isinstance(code, str) else None


def _message(error: Any) -> str:
    """The server's first line."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary:
        return str(primary)
    return _first_line(error.__cause__ if error.__cause__ is not None and _sqlstate(error.__cause__) else error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _detail(error: Any) -> str | None:
    """The server's DETAIL, as psycopg and psycopg2 have it, or the error of asyncpg behind SQLAlchemy's."""
    for each in (error, error.__cause__):
        detail = getattr(getattr(each, "diag", None), "message_detail", None) or getattr(each, "detail", None)
        if isinstance(detail, str):
            return detail
    return None


def _place(error: BaseException) -> str:
    """Where the project was when it failed: the innermost frame of its own files, else of what is installed."""
    here = f"{Path.cwd()}{os.sep}"
    own = installed = ""
    for frame in traceback.extract_tb(error.__traceback__):
        name = frame.filename if frame.filename.startswith("<") else os.path.abspath(frame.filename)  # noqa: PTH100 - resolves no links
        if _is_of_no_project(name):
            continue
        if name.startswith(here) and not _is_installed(name):
            own = f" ({name[len(here) :]}:{frame.lineno})"
        else:
            installed = f" ({PACKAGES.sub('', name)}:{frame.lineno})"
    return own or installed


def _is_of_no_project(name: str) -> bool:
    """Whether it is this file, Alembic's, SQLAlchemy's, or Python's own."""
    is_pythons = name.startswith(("<", STANDARD_LIBRARY)) and not _is_installed(name)
    return is_pythons or name == __file__ or name.startswith(LIBRARIES)


def _is_installed(name: str) -> bool:
    return PACKAGES.match(name) is not None


def _traceback(error: BaseException) -> str:
    """The way to the error, below the ways to those it came from; of what the server said, only the SQLSTATE."""
    parts: list[str] = []
    for each in _chain(error):
        frames = [frame for frame in traceback.extract_tb(each.__traceback__) if frame.filename != __file__]
        server = _server_error(each)
        said = str(each) if not isinstance(each, StatementError) else _reason(each)["reason"]
        said = said if server is None else f"SQLSTATE {_sqlstate(server) or 'unknown'}"
        way = "".join(traceback.format_list(frames[-MOST_FRAMES:]))
        parts.append(f"Traceback (most recent call last):\n{way}{type(each).__name__}: {said}")
    return "\n\n".join(reversed(parts))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what was behind it."""
    known: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in known:
        known.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


COMMANDS = {
    "upgrade": upgrade,
    "downgrade": downgrade,
    "revision": revision,
    "render": render,
    "history": history,
}


def main() -> int:
    gc.freeze()
    gc.enable()
    events = Events(int(sys.argv[2]))
    request = receive(int(sys.argv[1]))
    sys.argv[1:] = []  # code of the project may look at them
    sys.path.append(str(Path.cwd()))  # last, so that a folder named alembic hides nothing
    failure = COMMANDS[request["command"]](request, events)
    if failure is not None:
        events.send("failed", **failure)
        return FAILED
    events.send("finished")
    return 0


if __name__ == "__main__":
    sys.exit(main())
