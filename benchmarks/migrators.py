"""Who brings a database to the newest revision: ours and the peers, each with a history of the same statements."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import histories, installed
from benchmarks.tools import BIN, DATABASE, Tool, django_database, psql
from tests.servers import Server

PEER = "alembic"
OURS = "bootstrapper"
ORDINARY = f"{OURS}, no quick look"

_ORDINARY = "import sys; sys.argv[1:] = ['apply']; from bootstrapper.cli import run; run()"
_ONCE = 500  # revisions above which a slow tool is measured in one round only
_NEVER = 2000  # and above which it is left out


def find_migrators(folder: Path, length: int, server: Server) -> list[Tool]:
    """Those that are installed or can be, in an empty folder; slow ones only where the history is short enough."""
    return [
        tool for find in (_alembic, _psql, _dbmate, _yoyo, _django, _sqitch) for tool in find(folder, length, server)
    ]


def _alembic(folder: Path, length: int, server: Server) -> Iterator[Tool]:
    place, url = folder / "alembic", server.url(DATABASE)
    histories.write_alembic(place, length, url)
    upgrade = [str(BIN / "alembic"), "upgrade", "head"]
    address = {"DATABASE_URL": url}
    yield Tool(PEER, upgrade, place)
    yield Tool(f"{PEER}, a transaction each", upgrade, place, {"TRANSACTION_PER_MIGRATION": "1"})
    yield Tool(OURS, [str(BIN / "bootstrapper"), "apply"], place, address)
    yield Tool(ORDINARY, [sys.executable, "-c", _ORDINARY], place, address)


def _psql(folder: Path, length: int, server: Server) -> Iterator[Tool]:
    histories.write_psql(folder / "psql", length)
    yield psql("psql, one script", "-f", "all.sql", folder=folder / "psql", server=server)


def _dbmate(folder: Path, length: int, server: Server) -> Iterator[Tool]:
    program = installed.dbmate()
    if program:
        histories.write_dbmate(folder / "dbmate", length)
        options = ["--url", f"{server.url(DATABASE)}?sslmode=disable", "-d", str(folder / "dbmate"), "--no-dump-schema"]
        yield Tool("dbmate", [str(program), *options, "migrate"], folder)


def _yoyo(folder: Path, length: int, server: Server) -> Iterator[Tool]:
    python = _slow(installed.yoyo_python, length)
    if python:
        histories.write_yoyo(folder / "yoyo", length)
        url = urlsplit(server.url(DATABASE))._replace(scheme="postgresql+psycopg").geturl()
        command = [
            str(python.with_name("yoyo")),
            "apply",
            "--batch",
            "--no-config-file",
            "--database",
            url,
            str(folder / "yoyo"),
        ]
        yield Tool("yoyo", command, folder, is_slow=length > _ONCE)


def _django(folder: Path, length: int, server: Server) -> Iterator[Tool]:
    python = _slow(installed.django_python, length)
    if python:
        place = folder / "django"
        histories.write_django(place, length, django_database(server.port, server.user, server.password))
        variables = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(place)}
        yield Tool("django", [str(python), "-m", "django", "migrate"], place, variables, is_slow=length > _ONCE)


def _sqitch(folder: Path, length: int, server: Server) -> Iterator[Tool]:
    program = _slow(installed.sqitch, length)
    if program:
        place = folder / "sqitch"
        histories.write_sqitch(place, length)
        url = urlsplit(server.url(DATABASE))._replace(scheme="db:pg").geturl()
        command = [str(program), "deploy", "--no-verify", url]
        yield Tool("sqitch", command, place, is_slow=length > _ONCE)


def _slow(find: Callable[[], Path | None], length: int) -> Path | None:
    return find() if length <= _NEVER else None
