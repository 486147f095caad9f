"""command: runs a program of the project."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from bootstrapper.config.files import is_folder
from bootstrapper.config.sensitive import VARIABLE, hidden_words
from bootstrapper.config.unit_fields import Seconds
from bootstrapper.errors import CommandFailedError
from bootstrapper.masking import MASK
from bootstrapper.plans import Action, Bounds, Change, Deferred, payload_of
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.inspect import written
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.run_url import filled_in
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded
from bootstrapper.programs import runner

_SHOWN_LINES = 10
_STAYS = "What it did until then stays; the next apply runs it again unless its check finds it done."
_List = Annotated[list[str], Field(min_length=1)]


def _arguments(raw: Any) -> Any:
    """Splits a string like a shell, without running one."""
    return shlex.split(raw) if isinstance(raw, str) else raw


def _shown(run: Any, context: RunContext) -> str:
    """Returns the program and its arguments with their variables unresolved: the values may be secrets."""
    if not isinstance(run, list):
        return written(run, context)
    return " ".join(map(_typed, hidden_words(written(word, context) for word in run)))


def _typed(word: str) -> str:
    """Returns the word quoted for a shell; names of variables and masks stay unquoted."""
    plain = VARIABLE.sub("x", word).replace(MASK, "x")
    return word if shlex.quote(plain) == plain else shlex.quote(word)


class CommandOptions(StepModel):
    """The `with:` block of a command step.

    Attributes:
        run: The program and its arguments, as a list or as a string with quotes. No shell: no pipes, no wildcards.
        cwd: Working directory, relative to the file that names it; that file's folder if left out.
        env: Variables added to those of this process; they take precedence.
        timeout: Time after which it is killed, with all processes that it started.
    """

    run: Annotated[
        list[str],
        Field(min_length=1),
        BeforeValidator(_arguments, json_schema_input_type=_List | Annotated[str, Field(pattern=r"\S")]),
    ]
    cwd: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    timeout: Seconds | None = None


class Command(Step[CommandOptions], Bounded):
    """Passes the database to the program in DATABASE_URL and libpq's own variables."""

    uses = "command"
    transactional = False
    borrows_session = False
    repeatable = False  # how far an interrupted program got is unknown
    needs_check = True

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        run = run_of(context)
        written = run.declaration.written.get("run", self.options.run)
        return [Change.run(_shown(written, run), payload=tuple(self.options.run))]

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        return None if changes else Bounds(frozenset({Action.RUN}), 1)

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        for arguments in [payload_of(item, tuple) for item in changes if isinstance(item, Change)]:
            self._run(arguments, run_of(context))

    def _run(self, arguments: Sequence[str], run: RunContext) -> None:
        environment = self._environment(run)
        folder = run.project.path(self.options.cwd or ".")
        command = [self._program(folder, environment), *arguments[1:]]
        try:
            ended = runner.run(
                command,
                environment=environment,
                folder=folder,
                deadline=run.deadline.sooner(self.options.timeout),
                on_line=run.report,
                on_tick=run.require_not_fenced_off,
            )
        except runner.OutOfTimeError as error:
            raise self._failure("did not finish in time and was killed", hint=_STAYS) from error
        except OSError as error:
            raise self._failure(f"cannot be started: {error.strerror or error}") from error
        if ended.code != 0:
            lines = [run.masker.quote(line) for line in ended.last_lines[-_SHOWN_LINES:]]
            raise self._failure(ended.how, lines, hint=_STAYS)

    def _environment(self, context: RunContext) -> dict[str, str]:
        target = context.session.target.current(context.deadline)
        database = {"DATABASE_URL": target.url(), **target.client_environment()}
        return {
            "PGAPPNAME": context.application_name,
            **context.project.variables,
            **database,
            **filled_in(self.options.env, target, pooled=context.session.server.pooled),
        }

    def _program(self, folder: Path, environment: Mapping[str, str]) -> str:
        """Returns the path of the program, looked up in the PATH that it will be given."""
        if not is_folder(folder):
            raise self._failure(f"working directory {folder} does not exist")
        name = self.options.run[0]
        if os.sep in name:
            found = shutil.which(folder / name)
            where = f"in {folder}"
        else:
            found = shutil.which(name, path=environment.get("PATH", os.defpath))
            where = "on PATH"
        if found is None:
            raise self._failure(f"program not found {where}")
        return found

    def _failure(self, reason: str, lines: Sequence[str] = (), hint: str | None = None) -> CommandFailedError:
        name = Path(self.options.run[0]).name
        return CommandFailedError(name, reason, source=self.source, details=lines, hint=hint)
