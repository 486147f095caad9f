"""Lets plugins observe a run, each in a thread of its own: whatever one does, the run neither fails nor waits for
it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from functools import partial

from bootstrapper.engine.callbacks import Callback
from bootstrapper.events import Event, Warned
from bootstrapper.plugin import results

PATIENCE_SECONDS = 5.0
"""How long the end of a run waits for all its observers together."""


class Observers:
    """The observers of one run. They get its events in their order, from `begin` to `end`."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        """Takes what makes an error of a plugin fit to be shown."""
        self._quote = quote
        self._observers: list[_Observer] = []

    def begin(self, callbacks: Sequence[Callback]) -> None:
        if not self._observers:
            self._observers = [_Observer(each, self._quote) for each in callbacks]

    def take(self, event: Event) -> None:
        """Leaves the event to the observers, and returns at once."""
        for observer in self._observers:
            observer.events.put(event)

    def end(self) -> None:
        """Waits until the observers have seen all events, for a limited time."""
        until = time.monotonic() + PATIENCE_SECONDS
        for observer in self._observers:
            observer.events.put(None)
        for observer in self._observers:
            observer.end(max(0.0, until - time.monotonic()))

    def troubles(self) -> Iterator[Warned]:
        """Yields what became of observers that failed, each once."""
        for observer in self._observers:
            if observer.trouble is not None and not observer.is_told:
                observer.is_told = True
                yield observer.trouble


class _Observer:
    """One plugin's observer; it is not called again once it has raised anything."""

    def __init__(self, callback: Callback, quote: Callable[[str], str]) -> None:
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.trouble: Warned | None = None
        self.is_told = False
        self._callback = callback
        self._quote = quote
        work = partial(copy_context().run, self._work)  # in the caller's span, for one
        self._thread = threading.Thread(target=work, name="bootstrapper observer", daemon=True)
        self._thread.start()

    def end(self, seconds: float) -> None:
        self._thread.join(seconds)
        if self._thread.is_alive() and self.trouble is None:
            said = f"did not return within {PATIENCE_SECONDS:g} s after the run; it may have missed events"
            self.trouble = Warned(f"plugin {self._callback.origin}: {self._callback.hook} {said}")

    def _work(self) -> None:
        while (event := self.events.get()) is not None:
            try:
                for result in self._callback.call(event=event):
                    results.nothing(result)
            except BaseException as error:  # noqa: BLE001 - sys.exit() and the like end this thread alone
                said = self._quote(self._callback.said(error))
                self.trouble = Warned(f"plugin {self._callback.origin}: {said}", "It is not called again in this run.")
                return
