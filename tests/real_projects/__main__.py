"""Runs real projects through bootstrapper and compares with plain Alembic. `python -m tests.real_projects [NAME ...]`.

The first run installs each project into a virtual environment of its own, which is a lot to download.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.real_projects.projects import PROJECTS
from tests.real_projects.trials import Outcome, Trials
from tests.servers import path_bin, running_server, wheel_bin


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real_projects", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROJECTS)}; all without one")
    parser.add_argument("--rounds", type=int, default=10, help="how often a run is killed")
    parser.add_argument("--at-once", type=int, default=20, help="how many runs start at once")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    if unknown := set(options.names) - set(PROJECTS):
        parser.error(f"no project {', '.join(sorted(unknown))}")
    say(f"seed {options.seed}")
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="real-") as folder,
        running_server(path_bin() or wheel_bin(), max_connections="100") as server,
    ):
        say(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}")
        for name in options.names or PROJECTS:
            project = PROJECTS[name]
            project.install()
            trials = Trials(project, server, Path(folder), random.Random(f"{options.seed} {name}"))
            for outcome in trials.all(rounds=options.rounds, at_once=options.at_once):
                show(name, outcome)
                failed += bool(outcome.faults)
    say(f"{failed} wrong" if failed else "all right")
    return 1 if failed else 0


def show(name: str, outcome: Outcome) -> None:
    verdict = "WRONG" if outcome.faults else "right"
    say(f"{name:10} {outcome.trial:16} {verdict}  {outcome.seconds:7.1f} s  {outcome.told}")
    for line in outcome.faults:
        say(f"    {line}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
