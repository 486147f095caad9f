"""A backup with its verification, beside `pg_dump -Fc -Z1` of the same client, and a restore beside pg_restore.

python benchmarks/backups.py [--size 1GB] [--rounds 3] [--commits-wait]

Whole processes, in turn, and the median of the rounds; before them comes a round that is not timed. The backup is
`bootstrapper backup FILE`: dumped, synced, read back whole, its checksum computed, its manifest written. The restore
is `bootstrapper restore FILE`: checksum and whole decode again, a new database, the swap of the names; beside it
stands what a person types, `createdb` and `pg_restore`. Peak memory is as in tools.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.tools import BIN, DATABASE, DURABLE, Tool, print_table, show
from bootstrapper.config.units import parse_size, show_size
from bootstrapper.postgres.server.clienttools import find_tools
from tests.servers import Server, path_bin, running_server, wheel_bin

FILE = """\
version: 1
name: benchmark
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: backup
"""
CREATE = """
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, about jsonb NOT NULL,
    price numeric(12, 2) NOT NULL, ordered_at timestamptz NOT NULL, note text
)
"""
FILL = """
INSERT INTO orders (customer, about, price, ordered_at, note)
SELECT 'customer-' || n % 9973 || '@example.com', jsonb_build_object('sku', md5(n::text), 'pieces', n % 17),
       (n::bigint * 7919 % 1000000) / 100.0, timestamptz '2020-01-01 00:00+00' + n * interval '13 seconds',
       repeat('note ' || md5((n / 3)::text) || ' ', 1 + n % 3)
FROM generate_series({first}, {last}) AS n
"""
KEPT = "SELECT datname FROM pg_database WHERE datname ~ '_before_[0-9a-f]{8}$'"
PIECE = 100_000
GOAL = "<= 1.20"
HEAD = ("", "", "time", "ratio", "goal", "peak memory")


@dataclass
class Measured:
    """The runs of one tool."""

    seconds: list[float] = field(default_factory=list)
    mebibytes: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1GB", help="of the database, such as 100MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path_bin() or wheel_bin(), **(DURABLE if options.commits_wait else {})) as server,
    ):
        fill(server, parse_size(options.size))
        rows = compare(server, Path(folder), options.rounds)
        (size,) = server.execute(f"SELECT pg_database_size('{DATABASE}')")[0]
        version = server.execute("SHOW server_version")[0][0]
        dumped = show_size((Path(folder) / "ours.dump").stat().st_size)
        show(f"PostgreSQL {version}, {os.cpu_count()} cores, database {show_size(int(str(size)))}, dump {dumped}")
        print_table([HEAD, *rows])


def fill(server: Server, size: int) -> None:
    """Rows until the database is as large as that."""
    server.execute(f"CREATE DATABASE {DATABASE}")
    server.execute(CREATE, DATABASE)
    first = 1
    while int(str(server.execute(f"SELECT pg_database_size('{DATABASE}')")[0][0])) < size:
        server.execute(FILL.format(first=first, last=first + PIECE - 1), DATABASE)
        first += PIECE
    server.execute("VACUUM (ANALYZE)", DATABASE)
    server.execute("CHECKPOINT")


def compare(server: Server, folder: Path, rounds: int) -> list[tuple[str, ...]]:
    (folder / "bootstrap.yaml").write_text(FILE)
    major = int(str(server.execute("SHOW server_version_num")[0][0])) // 10000
    client = find_tools(("pg_dump", "pg_restore"), major, os.environ["PATH"])
    url = server.url(DATABASE)
    environment = {"DATABASE_URL": url}
    bootstrapper = str(BIN / "bootstrapper")
    dump = [str(client.program("pg_dump")), "-Fc", "-Z1", "-f", "theirs.dump", url]
    restore = [str(client.program("pg_restore")), "-d", server.url("theirs"), "theirs.dump"]
    replace = [bootstrapper, "restore", "ours.dump", "--yes", "--terminate", "--timeout", "1h"]
    pairs = {
        "backup": (
            Tool("pg_dump -Fc -Z1", dump, folder),
            Tool("bootstrapper backup", [bootstrapper, "backup", "ours.dump"], folder, environment),
        ),
        "restore": (
            Tool("pg_restore", restore, folder),
            Tool("bootstrapper restore", replace, folder, environment),
        ),
    }
    rows: list[tuple[str, ...]] = []
    for work, tools in pairs.items():
        measured = measure(server, tools, rounds)
        yardstick = statistics.median(measured[tools[0].name].seconds)
        for name, found in measured.items():
            seconds = statistics.median(found.seconds)
            goal = GOAL if name == "bootstrapper backup" else ""
            ratio = f"{seconds / yardstick:.2f}"
            rows.append((work, name, f"{seconds:.2f} s", ratio, goal, f"{found.mebibytes:.0f} MiB"))
    return rows


def measure(server: Server, tools: Sequence[Tool], rounds: int) -> dict[str, Measured]:
    found = {tool.name: Measured() for tool in tools}
    for number in range(rounds + 1):  # the first one warms the caches
        for tool in tools:
            prepare(server)
            run = tool.run()
            found[tool.name].mebibytes = max(found[tool.name].mebibytes, run.mebibytes)
            if number > 0 or rounds == 0:
                found[tool.name].seconds.append(run.seconds)
    return found


def prepare(server: Server) -> None:
    """Room for a restore, and nothing that the server still has to write of the one before."""
    for (name,) in server.execute(KEPT):
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    server.execute("DROP DATABASE IF EXISTS theirs WITH (FORCE)")
    server.execute("CREATE DATABASE theirs")
    server.execute("CHECKPOINT")


if __name__ == "__main__":
    main()
