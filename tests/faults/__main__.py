"""The long form: faults by seeded chance, for as long as wanted. `python -m tests.faults --seed 1 --minutes 30`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.faults import crowds, scenarios
from tests.faults.pgbouncer import PgBouncer
from tests.faults.proxy import TO_CLIENT, TO_SERVER, Blackhole, Cut, LostCommit
from tests.faults.replicas import Nursery
from tests.faults.trials import Site
from tests.faults.workload import WORKER_PLACES
from tests.servers import running_server, wheel_bin

Scenario = Callable[[Site, random.Random], tuple[str, list[str]]]
ZOMBIE_PLACES = ("StepStarted append 1", "StepStarted seed 1", "StepApplied tables 1")
WORKER_ZOMBIE_PLACES = ("loaded", "fence 1", "fence 3", "fence 5", "index dropped")


def crash(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    kind = chance.choice(["quick", "quick", "full"])
    place = chance.choice(site.places(kind))
    return f"{kind} {place}", scenarios.crash(site.trial(kind), place)


def crash_in_worker(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    place, whom = chance.choice(WORKER_PLACES), chance.choice(["run", "worker", "both"])
    return f"{place} {whom}", scenarios.crash_in_worker(site.trial("full"), place, whom)


def crash_at_random(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    return "", scenarios.crash_at_random(site.trial("full"), chance, times=5, longest=1.0)


def zombie(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    is_worker = chance.random() < 0.5
    place = chance.choice(WORKER_ZOMBIE_PLACES if is_worker else ZOMBIE_PLACES)
    if chance.random() < 0.3:
        trial = site.trial("full" if is_worker else "quick")
        return f"direct {place}", scenarios.zombie(trial, place, pooler=None, worker=is_worker)
    trial = site.trial("pooled" if is_worker else "quick")
    with PgBouncer(site.server, "transaction") as pooler:
        return f"pooled {place}", scenarios.zombie(trial, place, pooler=pooler, worker=is_worker)


def lost_commit(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    fault = LostCommit(chance.randint(1, site.traffic("full").commits))
    return str(fault), scenarios.network_fault(site.trial("full"), fault)


def cut(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    direction = chance.choice([TO_SERVER, TO_CLIENT])
    fault = Cut(direction, chance.randrange(site.traffic("full").bytes[direction]))
    return str(fault), scenarios.network_fault(site.trial("full"), fault)


def blackhole(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    direction = chance.choice([TO_SERVER, TO_CLIENT])
    fault = Blackhole(direction, chance.randrange(site.traffic("full").bytes[direction]))
    return str(fault), scenarios.network_fault(site.trial("full"), fault, timeout_seconds=4)


def terminated(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    return "", scenarios.terminate_at_random(site.trial("full"), chance, times=3, longest=0.5)


def pooler_restart(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    after = chance.uniform(0, 1.5)
    with PgBouncer(site.server, "transaction") as pooler:
        return f"after {after:.2f} s", scenarios.pooler_restarts(site.trial("pooled"), pooler, 4, after)


def crowd(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    trial = site.trial("full", owner="deployer")
    url = trial.url.replace("postgres:correct%20horse", "deployer:deploys")
    seen = crowds.crowd(trial, [url] * 300, url.replace(trial.name, "postgres"))
    return str(seen), crowds.crowd_faults(trial, seen) + trial.verdict(url=url)


SCENARIOS: dict[str, Scenario] = {
    "crash": crash,
    "crash in the worker": crash_in_worker,
    "crash at random": crash_at_random,
    "zombie": zombie,
    "lost commit": lost_commit,
    "cut": cut,
    "blackhole": blackhole,
    "terminated": terminated,
    "pooler restart": pooler_restart,
    "crowd of 300": crowd,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="only this scenario; may be repeated")
    parser.add_argument("--round", type=int, help="only this round of the seed")
    options = parser.parse_args()
    say(f"seed {options.seed}")
    names = options.only or list(SCENARIOS)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(wheel_bin(), synchronous_commit="on") as server,
        Nursery() as nursery,
    ):
        server.execute("CREATE ROLE deployer LOGIN PASSWORD 'deploys'")
        site = Site(server, nursery, Path(folder))
        failed = rounds(site, names, options.seed, options.minutes, options.round)
    return 1 if failed else 0


def rounds(site: Site, names: list[str], seed: int, minutes: float, only: int | None) -> int:
    """Round after round, each with a chance of its own that seed and number reproduce; gives how many failed."""
    until = time.monotonic() + minutes * 60
    failed = number = 0
    while only is not None or time.monotonic() < until:
        number = only if only is not None else number + 1
        chance = random.Random(f"{seed} {number}")
        # A crowd is heavy: one round in ten.
        name = chance.choices(names, weights=[1 if name.startswith("crowd") else 3 for name in names])[0]
        began = time.monotonic()
        try:
            about, found = SCENARIOS[name](site, chance)
        except Exception:  # noqa: BLE001 - a scenario that breaks is a finding, and the next one goes on
            about, found = "", [traceback.format_exc()]
        say(f"{number:5} {time.monotonic() - began:6.1f} s  {'WRONG' if found else 'right'}  {name}: {about}")
        for line in found:
            say(f"        {line}")
        failed += bool(found)
        if only is not None:
            break
    say(f"seed {seed}: {number} rounds, {failed} wrong")
    return failed


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
