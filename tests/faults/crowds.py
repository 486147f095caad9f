"""Many runs at once, and what an application beside them notices."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.acquire import advisory_key
from tests.faults.replicas import Replica, all_ended, children, state
from tests.faults.trials import Trial, must_succeed, poll
from tests.faults.watching import Application, Sampler

# A crowd on few cores keeps a heartbeat waiting.
CROWD_LEASE_SECONDS = 6.0
# For the whole crowd; its runs themselves give up later.
PATIENCE_SECONDS = 90.0


@dataclass
class Crowd:
    """How a crowd did.

    Attributes:
        peak: Our connections at once, at most.
        refused: Attempts of the application to connect that failed, out of `attempts`.
        last_out: Seconds from the end of the run that did the work (for rivals: of the first) to that of the last one.
    """

    replicas: list[Replica]
    peak: int
    attempts: int
    refused: int
    last_out: float
    seconds: float

    def __str__(self) -> str:
        done = sum(replica.exit_code == 0 for replica in self.replicas)
        return (
            f"{done} of {len(self.replicas)} done, at most {self.peak} connections, application refused"
            f" {self.refused} of {self.attempts} times, last out {self.last_out:.2f} s after the work was done,"
            f" {self.seconds:.1f} s"
        )


def crowd(
    trial: Trial,
    urls: Sequence[str],
    application_url: str,
    *,
    mutants: tuple[str, ...] = (),
    rival: str | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Crowd:
    """As many runs at once as there are URLs, beside an application that connects all the time."""
    start_at = time.monotonic() + 0.3 + len(urls) * 0.006
    with Application(application_url) as application, Sampler(trial.site.server.url(), trial.name) as sampler:
        options: dict[str, Any] = {"start_at": start_at, "timeout_seconds": 120, "mutants": mutants, "rival": rival}
        replicas = [trial.start(url=url, lease_seconds=CROWD_LEASE_SECONDS, **options) for url in urls]
        with all_ended(replicas):
            trial.site.nursery.poll_until(lambda: all(r.exit_code is not None for r in replicas), patience_seconds)
        for replica in replicas:  # what was left is killed, and counts as failed
            replica.wait()
    left = time.monotonic()
    ended = [replica.facts.get("ended", left) for replica in replicas]
    workers = [replica.facts["ended"] for replica in replicas if replica.facts.get("run_id")]
    last_out = max(ended) - max(workers) if workers else max(ended) - min(filter(None, ended))
    return Crowd(replicas, sampler.peak, application.attempts, application.refused, last_out, max(ended) - start_at)


def crowd_faults(trial: Trial, seen: Crowd) -> list[str]:
    found = must_succeed(seen.replicas)
    applied = [name for replica in seen.replicas for name in replica.facts.get("applied", [])]
    found += [f"{name} was applied {applied.count(name)} times" for name in set(applied) if applied.count(name) > 1]
    if seen.refused:
        found.append(f"the application was refused {seen.refused} of {seen.attempts} times")
    return found


def crowd_behind_long_work(trial: Trial, urls: Sequence[str], seconds: float) -> Sampler:
    """As many runs at once, which are out of patience long before the lock is free; all answer 0 in the end."""
    key = advisory_key(LedgerNames())
    with psycopg.connect(trial.url, autocommit=True, application_name="the application") as worker:
        worker.execute("SELECT pg_advisory_lock(%s)", (key,))
        with Sampler(trial.site.server.url(), trial.name) as sampler:
            replicas = [trial.start(url=url, timeout_seconds=120, patience_seconds=0.5) for url in urls]
            with all_ended(replicas):
                time.sleep(seconds)
                worker.execute("SELECT pg_advisory_unlock(%s)", (key,))
                trial.site.nursery.poll_until(lambda: all(r.exit_code is not None for r in replicas), PATIENCE_SECONDS)
            for replica in replicas:
                replica.wait()
    failed = must_succeed(replicas)
    assert failed == [], failed
    return sampler


def waiters_during_concurrent_build(trial: Trial, waiters: int) -> list[str]:
    """An old transaction holds up CREATE INDEX CONCURRENTLY inside a migration while others wait for the lock."""
    trap = trial.lay_trap("index dropped", "worker", "SIGSTOP")
    first = trial.start()
    replicas = [first]
    with all_ended(replicas):
        poll(lambda: not trap.exists() or first.exit_code is not None, 30)
        (stopped,) = children(first.pid)
        poll(lambda: state(stopped) == "T" or first.exit_code is not None, 10)
        with psycopg.connect(trial.url) as old:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT count(*) FROM journal")  # CREATE INDEX CONCURRENTLY waits for the end of this view
            os.kill(stopped, signal.SIGCONT)
            building = "SELECT count(*) FROM pg_stat_progress_create_index"
            poll(lambda: trial.site.server.execute(building, trial.name) != [(0,)], 20)
            replicas += [trial.start() for _ in range(waiters)]
            time.sleep(3.0)
            still = trial.site.server.execute(building, trial.name)
        for replica in replicas:
            replica.wait()
    found = must_succeed(replicas)
    if still == [(0,)]:
        found.append("the build was not under way while they waited")
    return found + trial.verdict()
