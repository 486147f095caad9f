"""What is asked for a fleet, and which of the listed targets that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from bootstrapper.config import load
from bootstrapper.config.load import Loaded
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.request import Request
from bootstrapper.engine.secrets import learn_declared, learn_variables
from bootstrapper.errors import InvalidFileError, UsageError
from bootstrapper.fleet.contract import FleetPlan
from bootstrapper.fleet.places import Placed, placed
from bootstrapper.fleet.targets import Target, fleet_of, read_targets
from bootstrapper.fleet.waves import Wave, divided, in_shard

_TRIED = 3


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
    """Reads the list of targets; the file has to be valid for one of the first, and may be for all."""
    request = asked.request
    found = list(placed(loaded, read_targets(loaded)))
    if asked.patterns and not any(_is_named(each.target.name, asked) for each in found):
        raise UsageError(f"no target matches {' or '.join(asked.patterns)}")
    _require_valid(request, [each.target for each in found[:_TRIED]])
    return found


def _require_valid(request: Request, targets: Sequence[Target]) -> None:
    """Raises the error of the first target if the file is valid for none: one that lacks a variable fails alone."""
    errors = []
    for target in targets:
        try:
            load.load(request.file, request.environment, {**request.variables, **target.of_request})
        except InvalidFileError as error:
            errors.append(error)
        else:
            return
    if errors:
        raise errors[0]


def target_named(loaded: Loaded, name: str) -> Target:
    """Returns the target of the list that has this name. Raises UsageError if there is none."""
    found = next((each for each in read_targets(loaded) if each.name == name), None)
    if found is None:
        raise UsageError(f"no target is named {name!r}", hint="`bootstrapper fleet status` lists all targets.")
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
    return [each for each in listed if is_asked(each.target.name, asked)]


def is_asked(name: str, asked: Asked) -> bool:
    """Returns whether a target of this name is asked for."""
    return _is_named(name, asked) and (asked.shard is None or in_shard(name, asked.shard))


def _is_named(name: str, asked: Asked) -> bool:
    return not asked.patterns or any(fnmatchcase(name, pattern) for pattern in asked.patterns)
