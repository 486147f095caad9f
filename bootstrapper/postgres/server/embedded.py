"""The embedded server: a real PostgreSQL in a folder, started when needed and left running until it is stopped.

FOLDER/
├── data/            the cluster; appears whole or not at all
├── server.json      port, password, socket folder; readable by its owner only
├── server.log       of the last start; server.log.1 of the one before
├── lock             held while starting, stopping and resetting; never removed
└── unfinished-*     left by a killed start or reset, swept by the next one
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bootstrapper.deadline import Deadline, Stop
from bootstrapper.errors import EmbeddedServerError, UnusableServerError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server import cluster, loopback
from bootstrapper.postgres.server.clienttools import ClientTools, find_tools
from bootstrapper.postgres.server.cluster import Postmaster
from bootstrapper.postgres.server.folder_errors import explained
from bootstrapper.postgres.server.folderlock import locked
from bootstrapper.postgres.server.placement import HOST, Placement, is_free
from bootstrapper.postgres.server.serverprograms import find_server
from bootstrapper.postgres.server.unprivileged import Identity, choose

_POLL_SECONDS = 0.02
_COMING_SECONDS = 2.0
_LOCKED = 'lock file "postmaster.pid" already exists'
_STAY = frozenset({"lock", ".gitignore"})  # after a reset
_DISPOSABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class EmbeddedServer:
    """The server of one folder; any number of objects and processes may use it.

    Every failure is an EmbeddedServerError, with the server's last output if there is any.

    Args:
        folder: Made when first started. The modes of its parents are never changed.
        database: The application's, created when missing.
        search_path: The text of PATH, to find a PostgreSQL where the wheel is not installed.
        settings: Of the server, beside those that its place and its safety need.
        timeout_seconds: How long any one call may take.
    """

    def __init__(
        self,
        folder: Path,
        database: str = "app",
        *,
        search_path: str = "",
        settings: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.database = database
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.search_path = search_path
        self._state = self.folder / "server.json"
        self._settings = dict(settings or {})
        self._timeout_seconds = timeout_seconds

    @property
    def exists(self) -> bool:
        with explained(self.folder):
            return (self.data / "PG_VERSION").is_file()

    @property
    def is_running(self) -> bool:
        """Whether it accepts connections now."""
        with explained(self.folder):
            running = self._postmaster()
            return running is not None and loopback.answers(running.port)

    def target(self) -> Target | None:
        """Returns where to connect to; None while it does not run."""
        with explained(self.folder):
            placement = Placement.read(self._state)
            running = self._postmaster()
            if placement is None or running is None or not loopback.answers(running.port):
                return None
            return loopback.target_at(running.port, placement.password, self.database)

    def start(self, stop: Stop | None = None) -> Target:
        """Makes what is missing and waits until the server answers, which then outlives this process."""
        return self._start(stop, lent=False)

    @contextmanager
    def borrowed(self, stop: Stop | None = None) -> Iterator[Target]:
        """The server for a while; stopped afterwards, unless it ran before or was asked for again meanwhile."""
        try:
            yield self._start(stop, lent=True)
        finally:
            if self.exists:
                with explained(self.folder), locked(self.folder / "lock", self._deadline()) as deadline:
                    if self._is_lent():
                        self._end(signal.SIGINT, deadline)

    def _start(self, stop: Stop | None, *, lent: bool) -> Target:
        target = self.target()
        if target is not None and not self._is_lent() and loopback.logs_in(target):
            return target
        with explained(self.folder):
            if "\n" in str(self.folder):
                raise UnusableServerError(
                    f"PostgreSQL cannot use a folder with a line break in its name: {self.folder!r}"
                )
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            with locked(self.folder / "lock", self._deadline(stop)) as deadline:
                placement = self._whole_cluster()
                ran = self._postmaster() is not None
                running = self._answering(placement, deadline)
                self._lend(lent and not ran)
                target = loopback.target_at(running.port, placement.password, self.database)
                loopback.create_database(target)
                return target

    def stop(self) -> None:
        """Stops the server if it runs; ends all sessions and rolls back their transactions."""
        if self.exists:
            with explained(self.folder), locked(self.folder / "lock", self._deadline()) as deadline:
                self._end(signal.SIGINT, deadline)

    def reset(self) -> None:
        """Stops the server and removes its data; removes only what a start has made."""
        with explained(self.folder):
            if not self.folder.exists() or {path.name for path in self.folder.iterdir()} <= _STAY:
                return
            if not (self.exists and self._state.is_file()):
                raise UnusableServerError(
                    f"{self.folder} does not contain an embedded server; nothing was removed",
                    hint="Remove the folder yourself if it is not needed any more.",
                )
            with locked(self.folder / "lock", self._deadline()) as deadline:
                self._end(signal.SIGQUIT, deadline)
                cluster.remove(self.folder, self.data)
                for path in (self._state, self.log, self.log.with_name(f"{self.log.name}.1")):
                    path.unlink(missing_ok=True)
                cluster.sweep(self.folder)

    def _is_lent(self) -> bool:
        placement = Placement.read(self._state)
        return placement is not None and placement.lent

    def _lend(self, lent: bool) -> None:
        placement = Placement.read(self._state)
        if placement is not None and placement.lent is not lent:
            replace(placement, lent=lent).write(self._state)

    def _deadline(self, stop: Stop | None = None) -> Deadline:
        return Deadline.after(self._timeout_seconds, stop)

    def _postmaster(self) -> Postmaster | None:
        found = Postmaster.read(self.data)
        return found if found is not None and found.runs(self.data) else None

    def psql(self) -> Path:
        """Returns the psql of the server's own version, or else of the nearest newer one."""
        with explained(self.folder):
            own = self._programs().program("psql")
        major = cluster.major_of(self.data)
        return own if own.exists() else find_tools(("psql",), major, self.search_path).program("psql")

    def _programs(self) -> ClientTools:
        """Returns the programs of the version that created the data; without data, of the preferred one."""
        major = cluster.major_of(self.data) if self.exists else None
        return find_server(self.search_path, data=self.data, major=major)

    def _identity(self, programs: ClientTools) -> Identity:
        return choose(self.folder, self.data, programs.program("postgres"))

    def _whole_cluster(self) -> Placement:
        """Returns the state of a cluster, created if missing; the password is stored before it is used."""
        cluster.sweep(self.folder)
        if self.data.exists():
            placement = Placement.read(self._state)
            if placement is None or not self.exists:
                raise UnusableServerError(
                    f"{self.data if placement else self._state} was changed since an earlier start",
                    hint=f"Move {self.folder} away; a new server will be created.",
                )
            return placement
        programs = self._programs()
        identity = self._identity(programs)
        (self.folder / ".gitignore").write_text("*\n")
        placement = Placement.new()
        placement.write(self._state)
        durable = self._settings.get("fsync") != "off"
        cluster.create(self.folder, self.data, identity, programs, password=placement.password, durable=durable)
        return placement

    def _answering(self, placement: Placement, deadline: Deadline) -> Postmaster:
        """Starts the server if it does not run, again if its port was taken meanwhile, and waits for it."""
        started: int | None = None
        while not deadline.has_passed:
            running = self._postmaster()
            if running is not None and loopback.answers(running.port):
                return running
            if running is None and started is None:
                placement, started = self._launch(placement)
            elif running is None and started is not None and cluster.has_ended(started):
                self._require_another_try(placement)
                started = None
            time.sleep(_POLL_SECONDS)
        raise EmbeddedServerError(
            f"no answer within {self._timeout_seconds:.0f} s",
            details=cluster.last_lines(self._said()),
            hint="Run again; a server that recovers after a crash continues meanwhile.",
        )

    def _launch(self, placement: Placement) -> tuple[Placement, int]:
        programs = self._programs()
        identity = self._identity(programs)
        placement = placement.opened(identity)
        placement.write(self._state)
        stale = Postmaster.read(self.data)
        settings = {
            **self._settings,
            "listen_addresses": HOST,
            "port": str(placement.port),
            "unix_socket_directories": '"{}"'.format((placement.sockets or "").replace('"', '""')),
        }
        dead = stale.pid if stale else None
        program = programs.program("postgres")
        return placement, cluster.launch(self.data, identity, program, settings, log=self.log, dead=dead)

    def _require_another_try(self, placement: Placement) -> None:
        said = self._said()
        orphans = "pre-existing shared memory block" in said  # sessions of a killed server end in a moment
        if not orphans and is_free(placement.port) and not (_LOCKED in said and self._is_coming()):
            raise EmbeddedServerError("it failed to start", hint=f"See {self.log}.", details=cluster.last_lines(said))

    def _is_coming(self) -> bool:
        """Whether another server is starting, which a killed start left: its pid file is not written in one piece."""
        deadline = Deadline.after(_COMING_SECONDS)
        while self._postmaster() is None and not deadline.has_passed:
            time.sleep(_POLL_SECONDS)
        return self._postmaster() is not None

    def _said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _end(self, how: signal.Signals, deadline: Deadline) -> None:
        running = self._postmaster()
        if running is not None:
            os.kill(running.pid, how)
            while running.runs(self.data):
                if deadline.has_passed:
                    raise EmbeddedServerError(f"it did not stop within {self._timeout_seconds:.0f} s")
                time.sleep(_POLL_SECONDS)
            cluster.has_ended(running.pid)  # where it was started by this very process, nothing of it stays
        placement = Placement.read(self._state)
        if placement is not None and placement.sockets is not None:
            placement.closed().write(self._state)


@contextmanager
def scratch(
    database: str = "app",
    *,
    search_path: str = "",
    settings: Mapping[str, str] | None = None,
    stop: Stop | None = None,
) -> Iterator[Target]:
    """A server of its own, empty and fast rather than safe; gone afterwards, also when this process is killed."""
    folder = Path(tempfile.mkdtemp(prefix="bs-"))
    reaper = subprocess.Popen(
        [sys.executable, "-IS", str(Path(__file__).with_name("reaper.py")), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        folder.chmod(0o711)  # an account that runs the server has to pass through
        options = {**_DISPOSABLE, **(settings or {})}
        yield EmbeddedServer(folder, database, search_path=search_path, settings=options).start(stop)
    finally:
        reaper.communicate(b"\n")
