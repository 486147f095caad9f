"""The scopes around steps: entered before the first of them is applied, left when the run is through with the file."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Self

import psycopg

from bootstrapper.dataclass import dataclass
from bootstrapper.engine.entry import Entry
from bootstrapper.engine.look import Looker
from bootstrapper.engine.masked_errors import told
from bootstrapper.engine.server_errors import judged
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import ScopeEntered, ScopeLeft, Warned
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.scopes import Scope
from bootstrapper.text import one_line


@dataclass(frozen=True)
class _Entered:
    """A scope that was entered, and has to be left."""

    entry: Entry
    scope: Scope
    context: RunContext
    manager: AbstractContextManager[None]


class Scopes:
    """The scopes that a run came by, in the order of the file."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker
        self._waiting: list[tuple[Entry, Scope]] = []
        self._entered: list[_Entered] = []

    def add(self, entry: Entry, scope: Scope) -> None:
        """Notes a scope; it is entered when a step below it is about to be applied."""
        self._waiting.append((entry, scope))

    def enter(self) -> bool:
        """Enters the scopes that were noted; returns whether there was any."""
        waiting, self._waiting = self._waiting, []
        for entry, scope in waiting:
            self._enter(entry, scope)
        return bool(waiting)

    def _enter(self, entry: Entry, scope: Scope) -> None:
        context = self._looker.context(entry)
        hold = context.require_hold()
        hold.note_step(entry.name)
        with judged(entry, context), hold.transaction(context.deadline), hold.lent(borrows=scope.borrows_session):
            manager = scope.around(Context(context))
            manager.__enter__()
            self._entered.append(_Entered(entry, scope, context, manager))  # to be left, also if COMMIT fails
        context.emit(ScopeEntered(entry.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Leaves them, the last one first. The first error counts; of each later one there is a warning."""
        first = error
        while self._entered:
            left = self._entered.pop()
            try:
                _leave(left, self._looker.context(left.entry), error)
            except BaseException as late:  # noqa: BLE001 - the others are to be left as well; then it is raised
                if first is not None:
                    said = one_line(told(late, left.context.masker))
                    left.context.emit(Warned(f"scope {left.entry.name!r} could not be left: {said}"))
                first = first or late
        if first is not None and first is not error:
            raise first


def _leave(entered: _Entered, context: RunContext, error: BaseException | None) -> None:
    """Leaves the scope; the context is that of now, whose time began with leaving."""
    hold = context.require_hold()
    if error is not None:
        context.session.let_finish()
    with judged(entered.entry, context), ExitStack() as stack:
        try:
            stack.enter_context(hold.transaction())
            stack.enter_context(hold.lent(borrows=entered.scope.borrows_session))
        except (BootstrapperError, psycopg.Error):
            context.session.close()  # so that it cannot write without the fence
        trace = error.__traceback__ if error is not None else None
        entered.manager.__exit__(type(error) if error is not None else None, error, trace)
    context.emit(ScopeLeft(entered.entry.name))
