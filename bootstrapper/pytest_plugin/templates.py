"""The templates of one process of a pytest session: each is entered once, also if that fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError
from bootstrapper.masking import Masker
from bootstrapper.pytest_plugin.clones import Cloner
from bootstrapper.pytest_plugin.database import BootstrapDatabase
from bootstrapper.pytest_plugin.inputs import project_key
from bootstrapper.pytest_plugin.sharing import Agreement, NotMadeError
from bootstrapper.pytest_plugin.template import BootstrapTemplate, enter, find_or_make
from bootstrapper.pytest_plugin.wanted import Wanted
from bootstrapper.text import report_lines


class Templates:
    """Enters servers when they are first needed, and leaves them at the end of the session.

    Args:
        shared: A folder that the workers of the session share.
        recreate: Whether templates of earlier sessions are made again.
    """

    def __init__(self, shared: Path, *, recreate: bool) -> None:
        self._agreement = Agreement(shared)
        self._recreate = recreate
        self._stack = ExitStack()
        self._known: dict[Wanted, tuple[BootstrapTemplate, Cloner] | NotMadeError] = {}

    def close(self) -> None:
        self._stack.close()

    def template(self, wanted: Wanted) -> BootstrapTemplate:
        """Raises NotMadeError."""
        return self._entered(wanted)[0]

    @contextmanager
    def clone(self, wanted: Wanted) -> Iterator[BootstrapDatabase]:
        """Yields a clone, dropped at the end. Raises NotMadeError if there is none to clone, or cloning fails."""
        _, cloner = self._entered(wanted)
        with ExitStack() as stack:
            with _explained(cloner.masker):
                try:
                    database = stack.enter_context(cloner.clone())
                except psycopg.OperationalError:  # the connection was lost since the last clone
                    database = stack.enter_context(cloner.clone())
            yield database

    def _entered(self, wanted: Wanted) -> tuple[BootstrapTemplate, Cloner]:
        known = self._known.get(wanted)
        if known is None:
            try:
                known = self._enter(wanted)
            except NotMadeError:
                self._known[wanted] = NotMadeError.again()
                raise
            self._known[wanted] = known
        if isinstance(known, NotMadeError):
            raise known
        return known

    def _enter(self, wanted: Wanted) -> tuple[BootstrapTemplate, Cloner]:
        def take(*, recreate: bool) -> tuple[BootstrapTemplate, Cloner]:
            request = Request(variables=dict(os.environ))
            with _explained(request.masker):
                server = enter(wanted, request, self._stack)
                return find_or_make(server, recreate=recreate), Cloner(server)

        key = project_key(wanted)
        return self._agreement.reach(key, lambda: take(recreate=self._recreate), lambda: take(recreate=False))


@contextmanager
def _explained(masker: Masker) -> Iterator[None]:
    """Turns errors into what pytest shows: the lines of the command line's own errors, without a traceback."""
    try:
        yield
    except BootstrapperError as error:
        raise NotMadeError("\n".join(report_lines(error, masker.mask))) from error
    except psycopg.Error as error:
        raise NotMadeError(masker.quote(f"the server refused: {error}".strip())) from error
