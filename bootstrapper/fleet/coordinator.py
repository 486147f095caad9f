"""`fleet apply`: wave after wave, until the budget is used up or no target is left that was not done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from bootstrapper.config.fleet_rules import NEW
from bootstrapper.config.load import Loaded
from bootstrapper.errors import BootstrapperError, GuardError
from bootstrapper.fleet import report
from bootstrapper.fleet.asked import Asked, chosen_of, is_asked, list_targets, load_fleet, waves_of
from bootstrapper.fleet.checkout import Checkout
from bootstrapper.fleet.clusters import connected_pool, dask_pool
from bootstrapper.fleet.contract import FleetPlan
from bootstrapper.fleet.dispatch import Dispatch, Limits, Look, Work
from bootstrapper.fleet.inputs import checkout_of
from bootstrapper.fleet.leases import Leased, lease_of
from bootstrapper.fleet.outcomes import Summary, Watcher
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.pools import Pool, local_pool, processors
from bootstrapper.fleet.report import Report
from bootstrapper.fleet.targets import fleet_of
from bootstrapper.fleet.waves import Wave, tolerated
from bootstrapper.fleet.work import Result, Task, apply_one, look_at


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
        _require_plan(loaded, asked, checkout_of(asked.request, (each.target for each in listed)))
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
                run.wave(Wave(NEW, new))
        except BaseException:  # a wave that is not confirmed, or an interruption
            summary.left = max(0, targets - summary.outcomes.total())
            raise
        finally:
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


def _require_plan(loaded: Loaded, asked: Asked, checkout: Checkout) -> None:
    """Raises StalePlanError unless a plan that is asked for is that of these files."""
    if asked.plan is not None:
        asked.plan.require_made_of(loaded.config.name, checkout.of_all)


def _unlisted(plan: FleetPlan, asked: Asked, listed: Sequence[Placed]) -> frozenset[str]:
    """Returns the targets of the plan that are asked for and not listed any more."""
    if asked.wave is not None:  # the wave of a target that is not listed is not known
        return frozenset()
    return frozenset(name for name in plan.targets - {each.target.name for each in listed} if is_asked(name, asked))


def pool_for(loaded: Loaded, asked: Asked, targets: int) -> AbstractContextManager[Pool]:
    """Returns the processes for so many targets."""
    size = max(1, min(fleet_of(loaded).parallel or processors(), targets))
    if asked.shard is not None:
        return local_pool(size)
    if asked.scheduler is not None:
        return connected_pool(fleet_of(loaded).parallel, asked.scheduler)
    return dask_pool(size, dashboard=asked.dashboard)


def task_of(loaded: Loaded, asked: Asked, targets: Sequence[Placed]) -> Callable[[Placed], Task]:
    """Returns what makes the tasks of these targets; the files must stay as they are now until all are done."""
    request = asked.request
    file = str(request.file.absolute())
    most = fleet_of(loaded).per_server if asked.scheduler is not None else None
    checkout = checkout_of(request, (each.target for each in targets))
    _require_plan(loaded, asked, checkout)

    def make(each: Placed) -> Task:
        name, variables = each.target.name, each.target.of_request
        saved = None if asked.plan is None else asked.plan.saved(name)
        limit, read = request.timeout_seconds, checkout.of_target(variables)
        lease = None if most is None else lease_of(each.server, most)
        return Task(file, request.environment, name, variables, request.allow, limit, saved, read, lease)

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
    if asked.scheduler is not None:
        work, look = Leased(work), None if look is None else Leased(look)
    return Dispatch(pool, work, task_of(loaded, asked, targets), limits, look)


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
        for wave, following in zip_longest(waves, waves[1:]):
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
        try:
            listed = chosen_of(list_targets(self._loaded, self._asked), self._asked)
        except BootstrapperError as error:  # told after what became of those that were done
            self._summary.list_error = error
            return []
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
