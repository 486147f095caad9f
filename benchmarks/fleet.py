"""Many schemas and databases, done by a fleet and by loops over them. Prints a table.

python benchmarks/fleet.py [--schemas 1000] [--databases 200] [--servers 4] [--parallel 2] [--part 50] [--rounds 1]
                           [--only NAME] [--works first,second,nothing]

Schemas of one database, and databases spread over the servers, get a first revision and a row, then one more
revision, then nothing. `hand-parallel` starts `bootstrapper apply` for each target by `xargs -P`, as a person would.
The rate of a way, in targets a second, is relative to that. CPU is the processor time of all processes of a way,
without the servers, for each target. The ways that start a process for each target do only a part of them. The ways
take turns at each work, in as many rounds as asked for, each with targets of its own.

GNU parallel is Debian's package `parallel` (apt-get install parallel); its row is left out without it.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.tools import BIN, print_table, show
from tests.migrations.projects import write_env, write_revision
from tests.servers import Server, path_bin, running_server, wheel_bin

WORKS = {"first": "first", "second": "one revision", "nothing": "nothing to do"}
YARDSTICK = "bootstrapper, hand-parallel"
ENV = """
import os

from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.schema import CreateSchema

schema = context.get_x_argument(as_dictionary=True)["schema"]
url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    connection.execute(CreateSchema(schema, if_not_exists=True))
    connection.commit()
    context.configure(connection=connection, version_table_schema=schema)
    with context.begin_transaction():
        context.run_migrations()
"""
SCHEMA = 'schema = __import__("alembic").context.get_x_argument(as_dictionary=True)["schema"]\n'
FIRST = f"""{SCHEMA}op.create_table("settings", sa.Column("name", sa.Text, primary_key=True), schema=schema)"""
SECOND = f"""{SCHEMA}op.add_column("settings", sa.Column("value", sa.Text), schema=schema)"""
PROJECT = """\
version: 1
name: benchmark
database: {{url: "${{{url}}}"}}
ledger: {{schema: "${{{schema}}}_ledger"}}
{fleet}
steps:
  - uses: wait
  - uses: lock
  - uses: migrate
    with: {{script_location: migrations, version_table_schema: "${{{schema}}}", x: ["schema=${{{schema}}}"]}}
    check: {{revision: head}}
  - uses: seed
fixtures:
  settings: {{table: "${{{schema}}}.settings", key: [name], rows: [{{name: owner}}]}}
"""


@dataclass(frozen=True)
class Target:
    name: str
    url: str
    schema: str


@dataclass(frozen=True)
class Measured:
    targets: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.targets + other.targets, self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds
        )

    @property
    def rate(self) -> float:
        return self.targets / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--databases", type=int, default=200)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--part", type=int, default=50, help="how many targets the ways do that are not a fleet")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="only ways whose name contains this, and the yardstick")
    parser.add_argument("--works", type=lambda text: text.split(","), default=list(WORKS))
    asked = parser.parse_args()
    show(f"{asked.schemas} schemas and {asked.databases} databases on {asked.servers} servers, {os.cpu_count()} cores")
    ways = [name for name in WAYS if asked.only in name or name == YARDSTICK]
    if "GNU parallel" in ways and not shutil.which("parallel"):
        ways.remove("GNU parallel")
    found: dict[tuple[str, str], Measured] = defaultdict(Measured)
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server(path_bin() or wheel_bin())) for _ in range(asked.servers)]
        urls = made(servers, asked.schemas, asked.databases)
        for number in range(asked.rounds):
            for key, measured in round_of(number, ways, urls, asked):
                found[key] += measured
                show(f"{key[1]}, {key[0]}: {measured.targets} targets in {measured.seconds:.0f} s")
    head = ("", "targets", *(cell for work in asked.works for cell in (WORKS[work], "rate", "CPU each")))
    print_table([head, *(row(name, asked.works, found) for name in ways)])


def round_of(
    number: int, ways: Sequence[str], urls: Sequence[str], asked: argparse.Namespace
) -> Iterator[tuple[tuple[str, str], Measured]]:
    """Yields what each work took, of each way in turn; in schemas of this round's and the way's own."""
    with tempfile.TemporaryDirectory() as place:
        targets: dict[str, list[Target]] = {}
        for name in ways:
            kept = urls if "fleet" in name else part(urls, asked.part)
            schema = f"r{number}w{list(WAYS).index(name)}"
            targets[name] = [Target(f"t{n}", url, f"{schema}_{n}") for n, url in enumerate(kept)]
            prepare(folder_of(place, name), targets[name], asked.parallel)
        for work in asked.works:
            for name in ways if number % 2 == 0 else reversed(ways):
                folder = folder_of(place, name)
                if work == "second":
                    write_revision(folder, "second", "first", upgrade=SECOND)
                command = [each.format(parallel=asked.parallel) for each in WAYS[name]]
                yield (name, work), timed(command, folder, len(targets[name]))


def folder_of(place: str, name: str) -> Path:
    folder = Path(place, str(list(WAYS).index(name)))
    folder.mkdir(exist_ok=True)
    return folder


def part(urls: Sequence[str], number: int) -> Sequence[str]:
    """Returns at most so many of the targets, spread over all."""
    return urls if len(urls) <= number else [urls[len(urls) * n // number] for n in range(number)]


def made(servers: Sequence[Server], schemas: int, databases: int) -> list[str]:
    """Returns the addresses of the targets, of which the first are one database."""
    servers[0].create_database("tenants")
    urls = [servers[0].url("tenants")] * schemas
    for number in range(databases):
        server = servers[number % len(servers)]
        server.create_database(f"tenant_{number}")
        urls.append(server.url(f"tenant_{number}"))
    return urls


def prepare(folder: Path, targets: Sequence[Target], parallel: int) -> None:
    write_env(folder, ENV)
    write_revision(folder, "first", upgrade=FIRST)
    fleet = f"fleet: {{targets: {{file: targets.csv}}, parallel: {parallel}}}"
    (folder / "bootstrap.yaml").write_text(PROJECT.format(url="target.url", schema="target.schema", fleet=fleet))
    (folder / "plain.yaml").write_text(PROJECT.format(url="TARGET_URL", schema="TARGET_SCHEMA", fleet=""))
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    with (folder / "targets.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "url", "schema"))
        writer.writerows((each.name, each.url, each.schema) for each in targets)
    (folder / "targets.txt").write_text("".join(f"{each.url} {each.schema}\n" for each in targets))
    script(folder / "one", f'TARGET_URL=$1 TARGET_SCHEMA=$2 exec "{BIN}/bootstrapper" apply -q -f plain.yaml')
    script(folder / "alembic", f'DATABASE_URL=$1 exec "{BIN}/alembic" -x "schema=$2" upgrade head')


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


_XARGS = ("xargs", "-n", "2", "-P", "{parallel}", "-a", "targets.txt")
_LOOP = ("xargs", "-n", "2", "-a", "targets.txt")
_FLEET = (str(BIN / "bootstrapper"), "fleet", "apply", "-q")
WAYS: dict[str, Sequence[str]] = {
    YARDSTICK: (*_XARGS, "./one"),
    "bootstrapper fleet, Dask": _FLEET,
    "bootstrapper fleet, --shard 0/1": (*_FLEET, "--shard", "0/1"),
    "bootstrapper, shell loop": (*_LOOP, "./one"),
    "GNU parallel": ("parallel", "-j", "{parallel}", "--colsep", " ", "-a", "targets.txt", "./one"),
    "alembic, hand-parallel": (*_XARGS, "./alembic"),
    "alembic, shell loop": (*_LOOP, "./alembic"),
}


def timed(command: Sequence[str], folder: Path, targets: int) -> Measured:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(targets, seconds, cpu)


def row(name: str, works: Sequence[str], found: Mapping[tuple[str, str], Measured]) -> tuple[str, ...]:
    cells = [name, str(found[name, works[0]].targets)]
    for work in works:
        own, yardstick = found[name, work], found[YARDSTICK, work]
        each = own.cpu_seconds / own.targets * 1000
        cells += [f"{own.rate:.2f}/s", f"{own.rate / yardstick.rate:.2f}", f"{each:.1f} ms"]
    return tuple(cells)


if __name__ == "__main__":
    main()
