"""What is done to a run, and what is then found wrong: every function gives the violations, none if all is well.

The tests call them expecting nothing; the mutants, with a guard taken out, expect them to find something; the long form
calls them with seeded chance for as long as it is told to.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from tests.faults.outcome import Snapshot, ledger_lies, snapshot
from tests.faults.pgbouncer import PgBouncer
from tests.faults.proxy import Blackhole, Fault, Proxy
from tests.faults.replicas import Replica, all_ended, children, state
from tests.faults.trials import Trial, must_succeed, poll, untruths

# How long after its deadline a run may take to end.
GRACE_SECONDS = 4.0


def crash(trial: Trial, place: str) -> list[str]:
    """kill -9 at a boundary of the run's own process."""
    killed = trial.run(trap=place)
    if killed.exit_code != -signal.SIGKILL:
        return [f"it never came to {place}: {killed.exit_code} {killed.error}"]
    return trial.verdict()


def crash_in_worker(trial: Trial, place: str, whom: str) -> list[str]:
    """kill -9 inside the Alembic worker's work: of the worker, of the run, or of both."""
    trap = trial.lay_trap(place, whom)
    disturbed = trial.run()
    if trap.exists():
        trap.unlink()
        return [f"the worker never came to {place}: {disturbed.exit_code} {disturbed.error}"]
    found = [f"exit 0 although the worker died at {place}"] if whom == "worker" and not disturbed.exit_code else []
    return found + trial.verdict(disturbed)


def crash_at_random(trial: Trial, chance: random.Random, times: int, longest: float) -> list[str]:
    """kill -9 after a random while, several times in a row."""
    found = []
    for _ in range(times):
        replica = trial.start()
        time.sleep(chance.uniform(0, longest))
        replica.kill()
        replica.wait()
        found += ledger_lies(trial.url)
    return found + trial.verdict()


def zombie(
    trial: Trial,
    place: str,
    *,
    pooler: PgBouncer | None,
    mutants: tuple[str, ...] = (),
    worker: bool = False,
    expected: Snapshot | None = None,
) -> list[str]:
    """A run stops, loses its lock to another one, which finishes, and wakes up again: it must write nothing.

    Through a pooler its lease runs out; on a direct connection its backend is terminated. What it says that it applied
    must be what it did before it stopped.
    """
    url = pooler.url(trial.url) if pooler else trial.url
    options: dict[str, Any] = {"url": url, "mutants": mutants}
    if worker:
        trial.lay_trap(place, "both", "SIGSTOP")
        sleeper = trial.start(**options)
    else:
        sleeper = trial.start(**options, trap=place, trap_signal="SIGSTOP")
    with all_ended([sleeper]):
        if not sleeper.wait_until_stopped():
            return [f"it never came to {place}: {sleeper.exit_code} {sleeper.error}"]
        workers = children(sleeper.pid) if worker else []
        if pooler is None:
            terminate(trial)
        second = trial.run(**options)
        found = must_succeed([second])
        before = snapshot(trial.url)
        for pid in workers:  # before the run itself wakes up, whose heartbeat would end them
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            poll(lambda pid=pid: state(pid) in "ZX", 20)  # type: ignore[misc]
        sleeper.go_on()
        sleeper.wait()
        found += [f"the zombie wrote: {line}" for line in before.differences(snapshot(trial.url))]
        claimed = sleeper.facts.get("applied") or []
        if sleeper.exit_code == 0 and not set(claimed) <= noted_for(trial, sleeper.pid):
            found.append(f"the zombie says that it applied {claimed}")
        return found + untruths([sleeper]) + trial.verdict(expected=expected)


def noted_for(trial: Trial, pid: int) -> set[str]:
    """The steps whose results the ledger ascribes to a process."""
    query = (
        "SELECT step FROM bootstrapper.steps JOIN bootstrapper.runs USING (run_id) WHERE kind = 'result' AND pid = %s"
    )
    with psycopg.connect(trial.url) as connection:
        return {step for (step,) in connection.execute(query, (pid,))}


def terminate(trial: Trial) -> int:
    """pg_terminate_backend on everything that is connected to the database."""
    done = trial.site.server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{trial.name}' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    return len(done)


def terminate_at_random(trial: Trial, chance: random.Random, times: int, longest: float) -> list[str]:
    """Its backends are terminated while it runs."""
    replica = trial.start()
    with all_ended([replica]):
        for _ in range(times):
            time.sleep(chance.uniform(0, longest))
            terminate(trial)
        replica.wait()
    return trial.verdict(replica)


def network_fault(trial: Trial, fault: Fault, *, timeout_seconds: float = 30.0) -> list[str]:
    """A run through a proxy to which something happens."""
    with Proxy(trial.site.server.port, fault) as proxy:
        url = trial.url.replace(f":{trial.site.server.port}/", f":{proxy.port}/")
        replica = trial.start(url=url, timeout_seconds=timeout_seconds)
        found = in_time(replica, timeout_seconds)
    if isinstance(fault, Blackhole):
        if proxy.happened.is_set() and replica.exit_code == 0 and proxy.fault is not None:
            found.append("exit 0 through a network that swallows everything")
    elif not proxy.happened.is_set() and replica.exit_code != 0:
        found.append(f"nothing happened, and it exited with {replica.exit_code}: {replica.error}")
    return found + trial.verdict(replica)


def in_time(replica: Replica, timeout_seconds: float) -> list[str]:
    """Waits for its end, but not for long after its deadline."""
    with all_ended([replica]):
        if replica.nursery.poll_until(lambda: replica.exit_code is not None, timeout_seconds + GRACE_SECONDS):
            replica.wait()
            return []
    replica.wait()
    return [f"the deadline of {timeout_seconds:g} s did not hold: it was still there {GRACE_SECONDS:g} s later"]


def application_inserts_meanwhile(trial: Trial, *, mutants: tuple[str, ...] = ()) -> list[str]:
    """The application has inserted a seeded row, and not committed, when the seed step writes."""
    first = trial.run(trap="StepStarted seed 1", mutants=mutants)
    assert first.exit_code == -signal.SIGKILL, first.error
    with psycopg.connect(trial.url) as application:
        application.execute("INSERT INTO labels (text) VALUES ('four')")
        replica = trial.start(mutants=mutants)
        with all_ended([replica]):
            blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"
            poll(lambda: bool(trial.site.server.execute(blocked)) or replica.exit_code is not None, 30)
            application.commit()
            replica.wait()
    return must_succeed([replica]) + trial.verdict()


def server_restarts(trial: Trial, restart: Callable[[], None], after_seconds: float) -> list[str]:
    """The server goes down and comes back in the middle of a run."""
    replica = trial.start()
    with all_ended([replica]):
        time.sleep(after_seconds)
        restart()
        replica.wait()
    return trial.verdict(replica)


def pooler_restarts(trial: Trial, pooler: PgBouncer, runs: int, after_seconds: float) -> list[str]:
    """The pooler goes down and comes back in the middle of several runs at once."""
    replicas = [trial.start(url=pooler.url(trial.url), lease_seconds=4.0) for _ in range(runs)]
    with all_ended(replicas):
        time.sleep(after_seconds)
        pooler.restart()
        for replica in replicas:
            replica.wait()
    return trial.verdict(*replicas)
