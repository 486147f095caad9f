"""Divides the targets into waves: each target belongs to the first wave that takes it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256

from bootstrapper.config.fleet import WaveConfig
from bootstrapper.config.fleet_rules import REST
from bootstrapper.dataclass import dataclass
from bootstrapper.fleet.places import Placed
from bootstrapper.fleet.targets import text_of


@dataclass(frozen=True)
class Wave:
    """Targets that are done together.

    Attributes:
        soak_seconds: How long to wait after it.
        confirm: Whether to ask before the next one begins.
    """

    name: str
    targets: Sequence[Placed]
    soak_seconds: float = 0.0
    confirm: bool = False


def divided(targets: Sequence[Placed], waves: Sequence[WaveConfig]) -> list[Wave]:
    """Returns the waves that have targets, in their order; what none takes is the last one, `rest`."""
    left, found = list(targets), []
    for wave in waves:
        taken, left = _taken(wave, left, len(targets))
        found.append(Wave(wave.name, taken, wave.soak or 0.0, wave.confirm))
    found.append(Wave(REST, left))
    return [wave for wave in found if wave.targets]


def tolerated(budget: int | Fraction, targets: int) -> int:
    """Returns how many of so many targets may fail."""
    return math.floor(budget * targets) if isinstance(budget, Fraction) else budget


def in_shard(name: str, shard: tuple[int, int]) -> bool:
    """Returns whether a target is of the part; by its name, so that it stays so whatever else is listed."""
    number, count = shard
    return int.from_bytes(sha256(name.encode()).digest()[:8]) % count == number


def _taken(wave: WaveConfig, left: list[Placed], total: int) -> tuple[list[Placed], list[Placed]]:
    if wave.where is not None:
        wanted = {key: _texts(value) for key, value in wave.where.items()}
        taken = [each for each in left if _fits(each.target.variables, wanted)]
        return taken, [each for each in left if not _fits(each.target.variables, wanted)]
    most = len(left)
    if wave.first is not None:
        most = wave.first
    elif wave.share is not None:
        most = math.ceil(wave.share * total)
    return left[:most], left[most:]


def _texts(value: object) -> Collection[str]:
    return {text_of(each) for each in (value if isinstance(value, list) else [value]) if each is not None}


def _fits(variables: Mapping[str, str], wanted: Mapping[str, Collection[str]]) -> bool:
    return all(variables.get(key) in values for key, values in wanted.items())
