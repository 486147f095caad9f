"""What a command line or a program asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Stop
from bootstrapper.engine.masked_events import masked_event
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import Emit, Event, RunFinished
from bootstrapper.masking import Masker
from bootstrapper.plans import Selection
from bootstrapper.plans.saved import KEY_VARIABLE, SavedPlan

if TYPE_CHECKING:  # loads the models of options
    from bootstrapper.engine.observers import Observers
    from bootstrapper.plugin.step import Unit

_LOGGER = logging.getLogger("bootstrapper")


def _silent(_: Event) -> None:
    """Drops events."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command line or a program asks for.

    Attributes:
        variables: The environment that `${NAME}` is looked up in.
        url: An address, instead of the one that the file declares.
        database: Another database of the same server, instead of the one that the address names.
        steps: Only these steps, by name; empty means all.
        types: Only steps of these types, by `uses`; empty means all.
        explicit: Options that the command itself gives to the step of its type, over those of the file. Such a step
            need not stand in the file, and neither its `when` nor its `check` is asked.
        operation: Makes what a command does from the only step of the type that `types` names; that step's `when`
            and `check` are not asked.
        sql: Whether a plan shows the statements of its changes, which may run code of the project.
        force: Asks no check beforehand. Rows and revisions are still never repeated.
        records: Whether the run takes the lock with nothing to do as well, to record that for the quick look.
        confirmed: The name of the database, as confirmation that a run of this environment is to write to one
            that belongs to another environment.
        allow: Names of hazards that a protected environment is to permit in this run.
        saved: The saved plan that the run is to apply, and nothing else.
        startup: Whether the run is the start of an application, one of many replicas, perhaps of an older release:
            it accepts a database that is ahead of the code, with a warning, and then writes nothing.
        stop: Ends the run early when it is set.
        observers: The plugins that observe the run, until its RunFinished; None for a command without one.
        queues: Whether other processes of this host may want the same, which queue then; those of a fleet do not.
    """

    file: Path = Path("bootstrap.yaml")
    environment: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    database: str | None = None
    steps: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    explicit: Mapping[str, object] | None = None
    operation: Callable[[Unit], Unit] | None = None
    timeout_seconds: float | None = None
    sql: bool = False
    force: bool = False
    records: bool = False
    confirmed: str | None = None
    allow: tuple[str, ...] = ()
    saved: SavedPlan | None = None
    startup: bool = False
    emit: Emit = _silent
    masker: Masker = field(default_factory=Masker)
    stop: Stop | None = None
    observers: Observers | None = None
    queues: bool = True

    @property
    def selection(self) -> Selection:
        return Selection(self.steps, self.skip)

    @property
    def plan_key(self) -> str | None:
        """The key that signs saved plans; None where there is none."""
        return self.variables.get(KEY_VARIABLE) or None

    def observed(self) -> Request:
        """Returns the request as that of one run whose events plugins observe."""
        from bootstrapper.engine.observers import Observers  # noqa: PLC0415 - loads pydantic; a quick look does without

        return replace(self, observers=Observers(self.masker.quote))

    def tell(self, event: Event) -> None:
        """Emits the event, without any secret that its texts may hold after all.

        The last one is emitted once the plugins have observed it, so that a warning about them comes before it.
        """
        shown = masked_event(event, self.masker)
        if self.observers is not None:
            self.observers.take(shown)
            if isinstance(event, RunFinished):
                self.observers.end()
            for trouble in self.observers.troubles():
                self._emit(masked_event(trouble, self.masker))
        self._emit(shown)

    def _emit(self, shown: Event) -> None:
        """Calls `emit`: if it raises, that is logged and breaks nothing; only what stops the run passes."""
        try:
            self.emit(shown)
        except BootstrapperError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            name, said = type(shown).__name__, self.masker.quote(f"{type(error).__name__}: {error}")
            _LOGGER.warning("an observer of events failed at %s: %s", name, said)
