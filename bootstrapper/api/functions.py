"""The functions of the package: `bootstrapper.plan()`, `apply()`, `follow()`, `status()`, `drift()` and others.

They print nothing, install no signal handler, change no environment variable, and may be called from several threads
and processes at once. The arguments that all have in common:

* `file`: the configuration; without one, `BOOTSTRAPPER_FILE`, else `bootstrap.yaml` in the working directory.
* `environment`: one of the file's `environments`; without one, `BOOTSTRAPPER_ENVIRONMENT`.
* `variables`: what `${NAME}` is looked up in; without any, the environment of the process, as it is at the call.
* `timeout`: the limit of the whole run in seconds; without one, that of the file.
* `on_event`: called with each event, in the thread that called; what it raises is logged.
* `stop`: ends the run early once it is set, from any thread; the run then raises RunInterrupted.

Every failure is a BootstrapperError, with `code`, `exit_code`, `retryable` and `hint`. Events go to the standard logger
`bootstrapper`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrapper.api import quick_start
from bootstrapper.api.arguments import ENVIRONMENT_VARIABLE, File, OnEvent, request_of
from bootstrapper.api.outcomes import Followed, Outcome, Ready
from bootstrapper.deadline import Stop
from bootstrapper.errors import UsageError
from bootstrapper.plans import Plan
from bootstrapper.plans.saved import KEY_VARIABLE, SavedPlan

if TYPE_CHECKING:  # the engine is loaded only where it is needed
    from bootstrapper.api.drift import Drift
    from bootstrapper.api.inspection import Status
    from bootstrapper.api.project import Validation


def plan(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    steps: Collection[str] = (),
    skip: Collection[str] = (),
    sql: bool = False,
    allow: Collection[str] = (),
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Plan:
    """Returns what `apply` would do; leaves nothing behind.

    Args:
        steps: Only these steps, by name; empty for all.
        skip: Not these.
        sql: Whether changes show their statements.
        allow: Hazards that a protected environment is to permit; the plan records it.
    """
    asked = request_of(
        file,
        environment,
        variables,
        timeout,
        on_event=on_event,
        stop=stop,
        steps=steps,
        skip=skip,
        sql=sql,
        allow=allow,
    )
    from bootstrapper.api import run  # noqa: PLC0415 - the engine is loaded only where it is needed

    return run.plan(asked)


def apply(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    steps: Collection[str] = (),
    skip: Collection[str] = (),
    force: bool = False,
    confirm: str | None = None,
    allow: Collection[str] = (),
    saved_plan: File | None = None,
    startup: bool = False,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Outcome:
    """Brings the database to the declared state, under the lock; does nothing, and costs little, where it is there.

    Raises the error of the first step that failed; what earlier steps committed stays.

    Args:
        steps: Only these steps, by name; empty for all.
        skip: Not these.
        force: Asks no check beforehand; rows and revisions are still never repeated.
        confirm: The name of the database, where it belongs to another environment.
        allow: Hazards that a protected environment permits in this run; raises HazardError for one that is missing.
        saved_plan: A file of `save_plan` or `plan --out FILE`: exactly its changes are made, in its environment;
            raises StalePlanError if anything differs by now.
        startup: Whether an application starts with it: a database that a newer release has changed then gets a
            warning and is left as it is.
    """
    saved = _read(saved_plan) if saved_plan is not None else None
    if saved is not None:
        if steps or skip or force:
            raise UsageError("saved_plan cannot be combined with steps, skip or force: it says what is applied")
        known = os.environ if variables is None else variables
        environment = environment or known.get(ENVIRONMENT_VARIABLE) or saved.plan.environment
        steps, skip = saved.plan.selection.steps, saved.plan.selection.skip
    asked = request_of(
        file,
        environment,
        variables,
        timeout,
        on_event=on_event,
        stop=stop,
        steps=steps,
        skip=skip,
        force=force,
        confirmed=confirm,
        allow=allow,
        startup=startup,
    )
    asked = replace(asked, saved=saved)
    if (found := quick_start.apply(asked)) is not None:
        return found
    from bootstrapper.api import run  # noqa: PLC0415 - the engine is loaded only where it is needed

    return run.apply(asked)


def _read(file: File) -> SavedPlan:
    from bootstrapper.api import plan_files  # noqa: PLC0415 - only saved plans need it

    return plan_files.read(Path(file))


def save_plan(plan: Plan, file: File, *, variables: Mapping[str, str] | None = None) -> str:
    """Writes a plan for `apply(saved_plan=...)`, readable by its owner only; returns its digest.

    Signed with `BOOTSTRAPPER_PLAN_KEY` if that is set; a protected environment requires it. Raises UsageError where the
    file cannot be written, or is anything but a saved plan.

    Args:
        variables: Where the key is looked up.
    """
    from bootstrapper.api import plan_files  # noqa: PLC0415 - only saved plans need it

    known = os.environ if variables is None else variables
    saved = SavedPlan.of(plan, known.get(KEY_VARIABLE) or None)
    plan_files.require_place(Path(file), overwrite=False)
    plan_files.write(Path(file), saved)
    return saved.digest


def follow(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    steps: Collection[str] = (),
    skip: Collection[str] = (),
    once: bool = False,
    startup: bool = False,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Followed:
    """Waits until another run has reached the declared state; takes no lock, writes nothing.

    Raises PendingError if that takes longer than the timeout, 300 seconds unless one is set.

    Args:
        steps: Only these steps, by name; empty for all.
        skip: Not these.
        once: Looks once when the database is available, and raises PendingError if the state is not reached.
        startup: Whether an application starts with it: what a newer release has changed is then not waited for.
    """
    asked = request_of(
        file,
        environment,
        variables,
        timeout,
        on_event=on_event,
        stop=stop,
        steps=steps,
        skip=skip,
        startup=startup,
    )
    if (found := quick_start.follow(asked, "check" if once else "apply")) is not None:
        return found
    from bootstrapper.api import run  # noqa: PLC0415 - the engine is loaded only where it is needed

    return run.follow(asked, looks_once=once)


def status(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    health: bool = False,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Status:
    """Returns the state of the database, as far as it is known now; waits for nothing, writes nothing.

    A standby is as good as its primary, and a pooler as a direct connection.

    Args:
        health: Whether `Status.health` and `Status.invalid_objects` are read as well: connections, long transactions,
            blocked sessions, sequences near their end, slow statements, invalid indexes.
    """
    asked = request_of(file, environment, variables, timeout, on_event=on_event, stop=stop)
    from bootstrapper.api import inspection  # noqa: PLC0415 - the engine is loaded only where it is needed

    return inspection.status(asked, health=health)


def drift(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Drift:
    """Returns how the schema differs from what the applied revisions build; writes nothing to the database.

    Builds them in a scratch database of the same server, for which the role needs CREATEDB. Raises GuardError if the
    database is at no revision or is reached through a pooler, UnreachableError on a standby, AheadError at a revision
    that the project does not have, and MigrationError if a revision fails in the scratch database.
    """
    from bootstrapper.api import drift as drifting  # noqa: PLC0415 - only this function needs it

    return drifting.drift(request_of(file, environment, variables, timeout, on_event=on_event, stop=stop))


def wait(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Ready:
    """Waits until the database accepts connections, as the step `wait` of the file has it."""
    from bootstrapper.api import run  # noqa: PLC0415 - the engine is loaded only where it is needed

    return run.wait(request_of(file, environment, variables, timeout, on_event=on_event, stop=stop))


def validate(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Validation:
    """Checks the file, its overlay, plugins and fixtures; connects to nothing. Raises InvalidFileError."""
    from bootstrapper.api import project  # noqa: PLC0415 - the engine is loaded only where it is needed

    return project.validate(request_of(file, environment, variables))


def url(
    file: File | None = None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    driver: str | None = None,
) -> str:
    """Returns the URL of the database with its password, such as that of the embedded server, which is started.

    Args:
        driver: A driver of SQLAlchemy, such as `asyncpg` or `psycopg`; without one, the URL is for libpq.
    """
    from bootstrapper.api import project  # noqa: PLC0415 - the engine is loaded only where it is needed

    return project.url(request_of(file, environment, variables), driver)
