"""The commands that connect to nothing: the SQL of revisions, and the history."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from bootstrapper_worker.channel import Events, Stop
from bootstrapper_worker.configuration import configuration
from bootstrapper_worker.database import as_list
from bootstrapper_worker.failure_facts import attempt


def render(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Sends the SQL of each pending revision, or of each that a downgrade would revert."""
    refuse_connections()

    def work() -> None:
        for rows, target in request["walks"]:
            Rendering(configuration(request), request["direction"], target, events).run(tuple(rows))

    return attempt(work)


def refuse_connections() -> None:
    @event.listens_for(Engine, "do_connect")
    @event.listens_for(Pool, "connect")  # an engine with a creator of its own does not send do_connect
    def refuse(*_: Any) -> None:
        raise Stop("connects", "env.py connects to the database even in offline mode")


class Marked(io.StringIO):
    """A buffer that notes which line of the revision at work wrote what.

    Attributes:
        file: Of that revision.
        marks: Positions in the buffer, each with the line that wrote what follows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.file: str | None = None
        self.marks: list[tuple[int, int]] = []

    def write(self, text: str) -> int:
        frame = sys._getframe(1) if self.file is not None else None
        while frame is not None and frame.f_code.co_filename != self.file:
            frame = frame.f_back
        if frame is not None:
            self.marks.append((self.tell(), frame.f_lineno))
        return super().write(text)


class Rendering:
    """One run of Alembic's offline mode, from version rows to a target."""

    def __init__(self, config: Config, direction: str, target: str, events: Events) -> None:
        self.buffer = Marked()
        self.config = config
        config.output_buffer = self.buffer
        self.scripts = ScriptDirectory.from_config(config)
        self.direction = direction
        self.target = target
        self.events = events

    def run(self, rows: tuple[str, ...]) -> None:
        """Renders what a database with these version rows would run."""
        find = self.scripts._upgrade_revs if self.direction == "upgrade" else self.scripts._downgrade_revs

        def steps(rev: Any, context: Any) -> list[Any]:  # called by env.py, which may add version folders first
            found = list(find(self.target, rows))  # type: ignore[arg-type]
            for step in found:
                step.migration_fn = self.cutting(step.revision, step.migration_fn)
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

    def cutting(self, script: Any, run: Callable[..., None]) -> Callable[..., None]:
        """Sends what a revision writes into the buffer as its SQL; one that needs a database does not stop others."""
        revision = script.revision

        def migrate(**options: Any) -> None:
            start = self.buffer.tell()
            self.buffer.file, self.buffer.marks = str(script.path), []
            failure = attempt(lambda: run(**options))
            self.buffer.file = None
            if failure is not None:
                self.events.send("unrendered", revision=revision, reason=failure["reason"], broken=failure["broken"])
                return
            lines = [(position - start, line) for position, line in self.buffer.marks]
            self.events.send("rendered", revision=revision, sql=self.buffer.getvalue()[start:], lines=lines)

        return migrate


def history(request: dict[str, Any], events: Events) -> dict[str, Any] | None:
    """Sends all revisions, in the order in which Alembic reads them."""

    def work() -> None:
        config = configuration(request)
        scripts = ScriptDirectory.from_config(config)
        if request["runs_environment"] or not known_to(scripts):
            scripts = after_environment(config, events)
        send_revisions(scripts, events)

    return attempt(work)


def after_environment(config: Config, events: Events) -> ScriptDirectory:
    """Returns the scripts after env.py was run in Alembic's offline mode, without a connection."""
    refuse_connections()
    config.output_buffer = io.StringIO()
    scripts = ScriptDirectory.from_config(config)  # a new one, since Alembic caches what it found

    def run() -> None:
        with EnvironmentContext(config, scripts, fn=lambda rev, context: [], as_sql=True, destination_rev="heads"):
            scripts.run_env()

    failure = attempt(run)
    if failure is not None and failure["kind"] != "connects" and not known_to(scripts):
        events.send("environment_failed", reason=failure["reason"])
    return scripts


def known_to(scripts: ScriptDirectory) -> list[Any]:
    found = [script for script in scripts.revision_map._revision_map.values() if script is not None]
    return list({script.revision: script for script in found}.values())  # a label is a second key of a script


def send_revisions(scripts: ScriptDirectory, events: Events) -> None:
    for script in known_to(scripts):
        events.send(
            "revision",
            id=script.revision,
            down=as_list(script.down_revision),
            depends=as_list(script.dependencies),
            labels=as_list(script._orig_branch_labels),
            message=" ".join(script.doc.split()),
            file=str(script.path),
        )
