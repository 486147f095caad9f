"""Many replicas start at once against one small server: ours, beside what others do. Prints a table.

python benchmarks/stampede.py [--replicas 300] [--behind] [--patience 60]

Replicas are forks of one warmed-up process (see tests/faults/replicas.py), so that what is measured is the crowd at
the database and not 300 starts of Python. All run the same four revisions; ours also takes a backup, seeds and writes
its ledger.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.crowds import Crowd, crowd  # noqa: E402
from tests.faults.replicas import Nursery  # noqa: E402 - the path comes first
from tests.faults.trials import Site, Trial  # noqa: E402
from tests.servers import running_server, wheel_bin  # noqa: E402

MAX_CONNECTIONS = 60
WAYS = {
    "bootstrapper": None,
    "blocking advisory lock": "blocking",
    "keep-open polling": "polling",
    "plain alembic upgrade head": "plain",
}
HEAD = ("", "done", "peak connections", "application refused", "last out after", "whole")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=300)
    parser.add_argument("--behind", action="store_true", help="one revision behind instead of empty")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds; who is not done by then has failed")
    parser.add_argument("--only", choices=WAYS, action="append")
    options = parser.parse_args()
    state = "one revision behind" if options.behind else "empty"
    show(f"{options.replicas} at once, max_connections {MAX_CONNECTIONS}, database {state}, {os.cpu_count()} cores")
    rows: list[tuple[str, ...]] = [HEAD]
    reasons: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(wheel_bin(), max_connections=str(MAX_CONNECTIONS)) as server,
        Nursery() as nursery,
    ):
        server.execute("CREATE ROLE deployer LOGIN PASSWORD 'deploys'")
        site = Site(server, nursery, Path(folder))
        for name in options.only or WAYS:
            seen = measure(site, WAYS[name], options)
            rows.append(row(name, seen))
            reasons += [f"{name}: {text}" for text in failures(seen)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEAD))]
    for line in rows:
        show("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for text in reasons:
        show(text)


def measure(site: Site, rival: str | None, options: argparse.Namespace) -> Crowd:
    trial = site.trial("full", owner="deployer")
    url = trial.url.replace("postgres:correct%20horse", "deployer:deploys")
    if options.behind:
        bring_to_head(trial, url, rival)
    application = url.replace(trial.name, "postgres")
    return crowd(trial, [url] * options.replicas, application, rival=rival, patience_seconds=options.patience)


def bring_to_head(trial: Trial, url: str, rival: str | None) -> None:
    first = trial.run(url=url, rival=rival)
    assert first.exit_code == 0, first.error
    trial.workload.add_late_revision()


def failures(seen: Crowd) -> list[str]:
    """The commonest reasons why replicas failed, each with how often."""
    said = Counter(" ".join(replica.error.split())[:240] for replica in seen.replicas if replica.exit_code != 0)
    return [f"{count} x {text}" for text, count in said.most_common(3)]


def row(name: str, seen: Crowd) -> tuple[str, ...]:
    done = sum(replica.exit_code == 0 for replica in seen.replicas)
    refused = f"{seen.refused / max(seen.attempts, 1):.0%} of {seen.attempts}"
    return (
        name,
        f"{done} of {len(seen.replicas)}",
        str(seen.peak),
        refused,
        f"{seen.last_out:.2f} s",
        f"{seen.seconds:.1f} s",
    )


def show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
