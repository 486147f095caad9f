"""`fleet plan` and `fleet status`: look at every target, and write to none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from bootstrapper.config.load import Loaded
from bootstrapper.config.outputs import require_writable
from bootstrapper.errors import ExitCode
from bootstrapper.fleet import contract
from bootstrapper.fleet.asked import Asked, chosen_of, list_targets, load_fleet
from bootstrapper.fleet.coordinator import dispatch, pool_for
from bootstrapper.fleet.dispatch import Work
from bootstrapper.fleet.inputs import checkout_of
from bootstrapper.fleet.looks import NOTHING, Look, plan_one, save_one, state_of, status_one
from bootstrapper.fleet.outcomes import MOST_SHOWN, Watcher
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.work import Result

_EXAMPLES = 5


@dataclass
class Group:
    """Targets whose plans do the same; one of the plans stands for all.

    Attributes:
        plan: The plan of the first of them, as JSON.
        examples: The first of them by name.
    """

    digest: str
    plan: str
    targets: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_pending(self) -> bool:
        return self.digest != NOTHING


@dataclass
class Plans:
    """The plans of a fleet.

    Attributes:
        groups: The largest first; that of targets with nothing to do is the last.
        failures: The first of the targets that could not be planned.
        saved: The digest of the file with all plans; None if none was written.
    """

    fleet: str
    groups: list[Group] = field(default_factory=list)
    unreachable: int = 0
    failed: int = 0
    failures: list[Result] = field(default_factory=list)
    saved: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How one target stands: `head`, `behind`, `drifted`, `failed`, `ahead`, `unreachable` or `unknown`, and why."""

    target: str
    state: str
    detail: str
    seconds: float


@dataclass
class Standings:
    """How the targets of a fleet stand, in the order of their list."""

    fleet: str
    targets: list[Standing] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def states(self) -> Counter[str]:
        return Counter(each.state for each in self.targets)


def plan(asked: Asked, watcher: Watcher, out: Path | None = None) -> Plans:
    """Plans every target that is asked for, and writes to none.

    Args:
        out: A file for the plans of all targets, for `fleet apply FILE`; targets without a plan are not in it.
    """
    started, loaded = time.monotonic(), load_fleet(asked)
    if out is not None:
        inputs = [asked.request.file]
        require_writable(out, overwrite=asked.overwrite, is_ours=contract.is_fleet_plan, inputs=inputs)
    found, groups = Plans(loaded.config.name), dict[str, Group]()
    targets = chosen_of(list_targets(loaded, asked), asked)
    with _written(out, loaded, asked, targets) as written:

        def on_end(result: Result) -> None:
            if isinstance(result, Look):
                group = groups.setdefault(result.state, Group(result.state, result.detail))
                group.targets += 1
                group.examples += [result.target] if len(group.examples) < _EXAMPLES else []
                if written is not None and result.saved is not None:
                    written.add(result.target, result.saved)
                return
            is_unreachable = result.exit_code == ExitCode.UNREACHABLE
            found.unreachable += is_unreachable
            found.failed += not is_unreachable
            found.failures += [result] if len(found.failures) < MOST_SHOWN else []

        _survey(loaded, asked, watcher, targets, work=plan_one if out is None else save_one, on_end=on_end)
        if written is not None and written.targets:
            found.saved = written.end(asked.request.plan_key)
    found.seconds = time.monotonic() - started
    found.groups = sorted(groups.values(), key=lambda group: (not group.is_pending, -group.targets, group.digest))
    return found


def status(asked: Asked, watcher: Watcher) -> Standings:
    """Looks at every target that is asked for."""
    started, loaded = time.monotonic(), load_fleet(asked)
    found, targets = Standings(loaded.config.name), chosen_of(list_targets(loaded, asked), asked)

    def on_end(result: Result) -> None:
        detail = result.detail if isinstance(result, Look) else result.headline
        found.targets.append(Standing(result.target, state_of(result), detail, result.seconds))

    _survey(loaded, asked, watcher, targets, work=status_one, on_end=on_end, retries=False)
    places = {each.target.name: number for number, each in enumerate(targets)}
    found.targets.sort(key=lambda each: places[each.target])
    found.seconds = time.monotonic() - started
    return found


def _written(
    out: Path | None, loaded: Loaded, asked: Asked, targets: Sequence[Placed]
) -> AbstractContextManager[contract.Writer | None]:
    if out is None:
        return nullcontext()
    inputs = checkout_of(asked.request, (each.target for each in targets)).of_all
    return contract.writing(out, loaded.config.name, asked.request.environment, inputs)


def _survey(
    loaded: Loaded,
    asked: Asked,
    watcher: Watcher,
    targets: Sequence[Placed],
    *,
    work: Work,
    on_end: Callable[[Result], None],
    retries: bool = True,
) -> None:
    with pool_for(loaded, asked, len(targets)) as pool:

        def end(result: Result, attempts: int) -> None:
            on_end(result)
            watcher.ended(result, attempts)

        watcher.begin(targets)
        dispatch(loaded, asked, pool, work, targets, retries=retries).run(
            targets,
            may_start=lambda: True,
            on_end=lambda _, result, attempts: end(result, attempts),
            on_tick=watcher.tick,
        )
