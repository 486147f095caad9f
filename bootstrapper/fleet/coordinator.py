"""`fleet apply`: wave after wave, until the budget is used up or no target is left that was not done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bootstrapper.config import load
from bootstrapper.config.load import Loaded
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.request import Request
from bootstrapper.engine.secrets import learn_declared, learn_variables
from bootstrapper.errors import GuardError, InvalidFileError, UsageError
from bootstrapper.fleet import report
from bootstrapper.fleet.clusters import connected_pool, dask_pool
from bootstrapper.fleet.contract import FleetPlan
from bootstrapper.fleet.dispatch import Dispatch, Limits, Look, Work
from bootstrapper.fleet.inputs import checkout_of
from bootstrapper.fleet.outcomes import Summary, Watcher
from bootstrapper.fleet.places import Placed, placed
from bootstrapper.fleet.pools import Pool, local_pool, processors
from bootstrapper.fleet.report import Report
from bootstrapper.fleet.targets import fleet_of, read_targets
from bootstrapper.fleet.waves import Wave, divided, in_shard, tolerated
from bootstrapper.fleet.work import Result, Task, apply_one, look_at

NEW_TARGETS = "new"
"""The wave of targets that were listed only after the run began."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for a fleet.

    Attributes:
        request: What an ordinary run would be asked for: file, environment, variables, allowed hazards, time limit.
        patterns: Only targets whose name one of them matches; empty for all.
        wave: Only this wave.
        shard: Only this part, as number and count; it is done without Dask.
        scheduler: The address of a Dask scheduler; None for a cluster on this machine.
        resumes: Whether the report is of a run that this one continues.
        plan: A plan of the fleet: the plan of each target is applied exactly, and targets without one are left alone.
    """

    request: Request
    patterns: tuple[str, ...] = ()
    wave: str | None = None
    shard: tuple[int, int] | None = None
    scheduler: str | None = None
    dashboard: bool = False
    report: Path | None = None
    resumes: bool = False
    overwrite: bool = False
    plan: FleetPlan | None = None


def apply(asked: Asked, watcher: Watcher, work: Work = apply_one, look: Look | None = look_at) -> Summary:
    """Does all targets that are asked for.

    Raises ConfigError before the first one if the file is not valid for it, if the list of targets cannot be had, or if
    two targets are the same.

    Args:
        work: What a worker does for a target; another one for tests.
        look: What finds targets with nothing to do, many at a time; not asked about targets of a plan.
    """
    started = time.monotonic()
    loaded = load_fleet(asked)
    listed, summary = list_targets(loaded, asked), Summary()
    waves = waves_of(loaded, asked, listed)
    if asked.plan is not None:
        summary.unplanned, waves = _planned_alone(waves, asked.plan)
        summary.unlisted = len(_unlisted(asked.plan, asked, listed))
    said = _said(loaded, asked)
    ended = report.ended_waves(asked.report, said) if asked.resumes and asked.report is not None else frozenset()
    writing = report.writing(
        asked.report, overwrite=asked.overwrite, goes_on=asked.resumes, inputs=[asked.request.file]
    )
    targets = sum(len(wave.targets) for wave in waves)
    with writing as written, pool_for(loaded, asked, targets) as pool:
        written.begin("fleet apply", said)
        look = look if asked.plan is None else None
        run = _Run(loaded, asked, watcher, work=work, look=look, written=written, pool=pool, summary=summary)
        try:
            run.waves(waves, ended)
            goes_on = asked.wave is None and asked.plan is None
            while summary.stopped_in is None and goes_on and (new := run.new_targets()):
                run.wave(Wave(NEW_TARGETS, new))
        finally:  # also if a wave is not confirmed, or the list cannot be had again
            summary.seconds = time.monotonic() - started
            watcher.finished(summary)
    return summary


def _said(loaded: Loaded, asked: Asked) -> dict[str, Any]:
    """Returns what makes two runs the same, as JSON has it: the waves of one are those of the other."""
    return {
        "fleet": loaded.config.name,
        "environment": asked.request.environment,
        "wave": asked.wave,
        "targets": sorted(asked.patterns),
        "shard": list(asked.shard or (0, 1)),
        "plan": None if asked.plan is None else asked.plan.digest,
    }


def _planned_alone(waves: Sequence[Wave], plan: FleetPlan) -> tuple[int, list[Wave]]:
    """Returns how many targets are not in the plan, and the waves without them."""
    kept = [replace(wave, targets=[each for each in wave.targets if each.target.name in plan]) for wave in waves]
    left_out = sum(len(wave.targets) for wave in waves) - sum(len(wave.targets) for wave in kept)
    return left_out, [wave for wave in kept if wave.targets]


def _unlisted(plan: FleetPlan, asked: Asked, listed: Sequence[Placed]) -> frozenset[str]:
    """Returns the targets of the plan that are asked for and not listed any more."""
    if asked.wave is not None:  # the wave of a target that is not listed is not known
        return frozenset()
    return frozenset(name for name in plan.targets - {each.target.name for each in listed} if _is_asked(name, asked))


def load_fleet(asked: Asked) -> Loaded:
    """Reads the file; what only targets know is missing in it, so that problems may be left."""
    request = asked.request
    learn_variables(request.masker, request.variables)  # what is wrong with the list of targets may quote one
    loaded = load.read_all(request.file, request.environment, request.variables)
    learn_declared(request.masker, {"fleet": loaded.document.get(("fleet",))}, {}, loaded.variables)
    if any(place[:1] == ("fleet",) for place in loaded.misshapen):
        raise InvalidFileError(loaded.problems)
    fleet_of(loaded)
    return loaded


def list_targets(loaded: Loaded, asked: Asked) -> list[Placed]:
    """Reads the list of targets; the file has to be valid for the first one, and so for all."""
    request = asked.request
    found = list(placed(loaded, read_targets(loaded)))
    if asked.patterns and not any(_is_named(each.target.name, asked) for each in found):
        raise UsageError(f"no target matches {' or '.join(asked.patterns)}")
    if found:
        load.load(request.file, request.environment, {**request.variables, **found[0].target.of_request})
    return found


def waves_of(loaded: Loaded, asked: Asked, listed: Sequence[Placed]) -> list[Wave]:
    """Returns the waves with the listed targets that are asked for; the shares are those of all targets."""
    fleet = fleet_of(loaded)
    waves = divided(listed, fleet.waves)
    known = {*(wave.name for wave in fleet.waves), *(wave.name for wave in waves)}
    if asked.wave is not None and asked.wave not in known:
        raise UsageError(f"unknown wave {asked.wave!r}", hint=f"Known: {', '.join(sorted(known))}.")
    chosen = (wave for wave in waves if asked.wave in (None, wave.name))
    chosen = (replace(wave, targets=chosen_of(wave.targets, asked)) for wave in chosen)
    return [wave for wave in chosen if wave.targets]


def chosen_of(listed: Sequence[Placed], asked: Asked) -> list[Placed]:
    """Returns the targets that are asked for, of whichever wave."""
    return [each for each in listed if _is_asked(each.target.name, asked)]


def _is_asked(name: str, asked: Asked) -> bool:
    return _is_named(name, asked) and (asked.shard is None or in_shard(name, asked.shard))


def _is_named(name: str, asked: Asked) -> bool:
    return not asked.patterns or any(fnmatchcase(name, pattern) for pattern in asked.patterns)


def pool_for(loaded: Loaded, asked: Asked, targets: int) -> AbstractContextManager[Pool]:
    """Returns the processes for so many targets."""
    size = max(1, min(fleet_of(loaded).parallel or processors(), targets))
    if asked.shard is not None:
        return local_pool(size)
    if asked.scheduler is not None:
        return connected_pool(fleet_of(loaded).parallel, asked.scheduler)
    return dask_pool(size, dashboard=asked.dashboard)


def task_of(asked: Asked, targets: Sequence[Placed]) -> Callable[[Placed], Task]:
    """Returns what makes the tasks of these targets; the files must stay as they are now until all are done."""
    request = asked.request
    file = str(request.file.absolute())
    checkout = checkout_of(request, (each.target for each in targets))

    def make(each: Placed) -> Task:
        name, variables = each.target.name, each.target.of_request
        saved = None if asked.plan is None else asked.plan.saved(name)
        limit, read = request.timeout_seconds, checkout.of_target(variables)
        return Task(file, request.environment, name, variables, request.allow, limit, saved, read)

    return make


def dispatch(
    loaded: Loaded,
    asked: Asked,
    pool: Pool,
    work: Work,
    targets: Sequence[Placed],
    *,
    look: Look | None = None,
    retries: bool = True,
) -> Dispatch:
    fleet = fleet_of(loaded)
    limits = Limits(pool.size, fleet.per_server, fleet.retry if retries else 0)
    return Dispatch(pool, work, task_of(asked, targets), limits, look)


class _Run:
    """A run under way."""

    def __init__(
        self,
        loaded: Loaded,
        asked: Asked,
        watcher: Watcher,
        *,
        work: Work,
        look: Look | None,
        written: Report,
        pool: Pool,
        summary: Summary,
    ) -> None:
        self._loaded, self._asked, self._watcher = loaded, asked, watcher
        self._work, self._look, self._written, self._pool, self._summary = work, look, written, pool, summary
        self._known: set[str] = set()

    def waves(self, waves: Sequence[Wave], ended: frozenset[str]) -> None:
        for wave, following in zip(waves, [*waves[1:], None], strict=True):
            if not self.wave(wave):
                self._summary.left += sum(len(each.targets) for each in waves[waves.index(wave) + 1 :])
                return
            if following is not None and wave.name not in ended:
                self._go_on(wave, following)
            self._written.wave(wave.name)

    def wave(self, wave: Wave) -> bool:
        """Does a wave; returns whether it kept within its budget."""
        most = tolerated(fleet_of(self._loaded).budget, len(wave.targets))
        failed = 0

        def on_end(each: Placed, result: Result, attempts: int) -> None:
            nonlocal failed
            failed += result.outcome == "failed"
            self._summary.add(result)
            self._written.target(wave.name, result, attempts)
            self._watcher.ended(result, attempts)

        self._known.update(each.target.name for each in wave.targets)
        self._watcher.wave(wave.name, wave.targets)
        jobs = dispatch(self._loaded, self._asked, self._pool, self._work, wave.targets, look=self._look)
        self._summary.left += jobs.run(
            wave.targets, may_start=lambda: failed <= most, on_end=on_end, on_tick=self._watcher.tick
        )
        if failed > most:
            self._summary.stopped_in = wave.name
        return failed <= most

    def new_targets(self) -> list[Placed]:
        """Asks for the list again; returns the targets that were not in it before."""
        if isinstance(fleet_of(self._loaded).targets, list):
            return []
        listed = chosen_of(list_targets(self._loaded, self._asked), self._asked)
        return [each for each in listed if each.target.name not in self._known]

    def _go_on(self, wave: Wave, following: Wave) -> None:
        """Waits after a wave, and asks whether the next one may begin."""
        if wave.soak_seconds:
            self._watcher.soak(wave.name, wave.soak_seconds)
            time.sleep(wave.soak_seconds)
        if wave.confirm and not self._watcher.confirm(wave.name, following.name):
            raise GuardError(
                f"wave {wave.name!r} is done; the next one, {following.name!r}, was not confirmed",
                hint=f"Begin it with `bootstrapper fleet apply --wave {following.name}`.",
            )
