"""A file with what is tested in it, in a folder of its own, for a database of its own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bootstrapper.api import run
from bootstrapper.api.outcomes import Outcome
from bootstrapper.api.project import validate
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError, InvalidFileError
from bootstrapper.events import Event

_URL = "BOOTSTRAPPER_TRIAL_URL"


@dataclass
class Trial:
    """A folder for a bootstrap.yaml, and an empty database.

    Attributes:
        plugins: Folders and distributions, as the file lists them; a relative folder starts where pytest runs.
        variables: What `${NAME}` is looked up in.
        events: What the runs told.
    """

    folder: Path
    url: str
    plugins: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def execute(self, statements: str) -> list[tuple[Any, ...]]:
        """Runs SQL in the database, as another session; returns the rows of the last statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statements.encode())
            return cursor.fetchall() if cursor.description else []

    def request(self, *entries: str, more: str = "") -> Request:
        """Writes a file with these entries of `steps`, and more keys beside it; returns the request for it."""
        steps = "".join(f"  - {textwrap.indent(textwrap.dedent(each).strip(), '    ').strip()}\n" for each in entries)
        listed = [str(Path(text).absolute()) if "/" in text or text.startswith(".") else text for text in self.plugins]
        file = self.folder / "bootstrap.yaml"
        file.write_text(
            f'version: 1\nname: trial\ndatabase: {{url: "${{{_URL}}}"}}\nplugins: {json.dumps(listed)}\n'
            f"steps:\n{steps}{textwrap.dedent(more)}\n",
            encoding="utf-8",
        )
        return Request(file=file, variables={**self.variables, _URL: self.url}, emit=self.events.append)

    def apply(self, *entries: str, more: str = "") -> Outcome:
        """Applies a file with these entries of `steps`, with its observers; their warnings stand in `events`."""
        return run.apply(self.request(*entries, more=more))

    def require_refused(self, *entries: str, more: str = "") -> None:
        """Raises AssertionError unless the file is refused with a place in it."""
        request = self.request(*entries, more=more)
        shown = f"{list(entries)}{more}"
        try:
            validate(request)
        except InvalidFileError as error:
            if not all(problem.source for problem in error.problems):
                raise AssertionError(f"{shown} is refused without a place: {error}") from error
        except BootstrapperError as error:
            raise AssertionError(f"{shown} is refused, but not as an invalid file: {error}") from error
        else:
            raise AssertionError(f"{shown} is not refused")


NewTrial = Callable[[], Trial]
"""What the fixture `new_trial` of a suite is: each call makes a folder and a database, both prepared."""
