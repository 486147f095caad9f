"""First apply and nothing to do, over generated histories: ours, beside Alembic, dbmate and Django. Prints a table.

python benchmarks/migrations.py [--revisions 100] [--rounds 5] [--only NAME] [--commits-wait]

Whole processes, in turn, and the median of the rounds. Before them comes a round that is not timed: there the peak
memory is read, the sum over all processes of the tool. Django is measured once where a history is long. dbmate is
looked for on PATH, Django is installed into a virtual environment below .venv; who is not there is left out, and it is
said.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import histories  # noqa: E402 - the path comes first
from tests.servers import Server, path_bin, running_server, wheel_bin  # noqa: E402

BIN = Path(sys.executable).parent
DJANGO = ROOT / ".venv" / "benchmarks" / "django"
DATABASE = "benchmark"
HEAD = ("revisions", "", "first apply", "ratio", "nothing to do", "ratio", "peak memory")
PEER = "alembic"
# An installed tool is compiled; a checkout is only where Python may write down what it compiled.
COMPILING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Tool:
    """How to start it, and in which folder; a slow one is measured in one round only."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_slow: bool = False

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            env={**COMPILING, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def seconds(self) -> float:
        began = time.perf_counter()
        process = self.start()
        self._finish(process)
        return time.perf_counter() - began

    def peak_mebibytes(self) -> float:
        process = self.start()
        peak = 0
        while process.poll() is None:
            peak = max(peak, _tree_kibibytes(process.pid))
            time.sleep(0.005)
        self._finish(process)
        return peak / 1024

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        _, errors = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{self.name} ended with {process.returncode}: {errors.decode(errors='replace')[-2000:]}")


@dataclass
class Measured:
    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    peak: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revisions", type=int, action="append", help="may be repeated; 100 and 1000 without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", help="beside alembic; may be repeated")
    parser.add_argument("--commits-wait", action="store_true", help="fsync and synchronous_commit on")
    options = parser.parse_args()
    settings = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"} if options.commits_wait else {}
    rows = [HEAD]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path_bin() or wheel_bin(), **settings) as server,
    ):
        waits = "wait for the disk" if options.commits_wait else "do not wait for the disk"
        show(f"PostgreSQL {server.execute('SHOW server_version')[0][0]}, {os.cpu_count()} cores, commits {waits}")
        for length in options.revisions or (100, 1000):
            tools = find_tools(Path(folder) / str(length), length, server)
            chosen = [tool for tool in tools if not options.only or tool.name in (PEER, *options.only)]
            rows += table(length, measure(server, chosen, options.rounds))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        show("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def find_tools(folder: Path, length: int, server: Server) -> list[Tool]:
    url = server.url(DATABASE)
    histories.write_alembic(folder / "alembic", length, url)
    upgrade = [str(BIN / "alembic"), "upgrade", "head"]
    tools = [
        Tool(PEER, upgrade, folder / "alembic"),
        Tool(f"{PEER}, a transaction each", upgrade, folder / "alembic", {"TRANSACTION_PER_MIGRATION": "1"}),
        Tool("bootstrapper", [str(BIN / "bootstrapper"), "apply"], folder / "alembic", {"DATABASE_URL": url}),
    ]
    dbmate = shutil.which("dbmate")
    if dbmate:
        histories.write_dbmate(folder / "dbmate", length)
        options = ["--url", f"{url}?sslmode=disable", "-d", str(folder / "dbmate"), "--no-dump-schema"]
        tools.append(Tool("dbmate", [dbmate, *options, "migrate"], folder))
    else:
        show("dbmate is not on PATH: left out")
    if has_django():
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": DATABASE, "HOST": "127.0.0.1"}
        database |= {"PORT": str(server.port), "USER": server.user, "PASSWORD": server.password}
        histories.write_django(folder / "django", length, database)
        command = [str(DJANGO / "bin" / "python"), "-m", "django", "migrate"]
        settings = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder / "django")}
        is_slow = length > 500
        tools.append(Tool("django", command, folder / "django", settings, is_slow=is_slow))
    else:
        show("Django can not be installed: left out")
    return tools


def has_django() -> bool:
    if (DJANGO / "bin" / "django-admin").is_file():
        return True
    with suppress(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-m", "venv", str(DJANGO)], check=True)
        install = ["install", "--quiet", "--disable-pip-version-check", "django>=5.2,<5.3", "psycopg[binary]"]
        subprocess.run([str(DJANGO / "bin" / "python"), "-m", "pip", *install], check=True)
        return True
    return False


def measure(server: Server, tools: Sequence[Tool], rounds: int) -> dict[str, Measured]:
    found = {tool.name: Measured() for tool in tools}
    for tool in tools:  # compiles what is compiled once, and warms the caches
        empty(server)
        found[tool.name].peak = tool.peak_mebibytes()
    for number in range(rounds):
        for tool in tools:
            if tool.is_slow and number > 0:
                continue
            empty(server)
            found[tool.name].first.append(tool.seconds())
            found[tool.name].again.append(tool.seconds())
    return found


def table(length: int, found: Mapping[str, Measured]) -> list[tuple[str, ...]]:
    first, again = (statistics.median(times) for times in (found[PEER].first, found[PEER].again))
    return [
        (
            str(length),
            name,
            f"{statistics.median(tool.first):.2f} s",
            f"{statistics.median(tool.first) / first:.2f}",
            f"{statistics.median(tool.again):.2f} s",
            f"{statistics.median(tool.again) / again:.2f}",
            f"{tool.peak:.0f} MiB",
        )
        for name, tool in found.items()
    ]


def empty(server: Server) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {DATABASE}")


def _tree_kibibytes(pid: int) -> int:
    """Resident memory of a process and all its children, each counted whole."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    return (int(resident[1]) if resident else 0) + sum(_tree_kibibytes(int(child)) for child in children)


def show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
