"""As whom the embedded server runs."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrapper.errors import EmbeddedServerError
from bootstrapper.postgres.server import unprivileged
from bootstrapper.postgres.server.embedded import EmbeddedServer
from bootstrapper.postgres.server.unprivileged import Identity, choose
from tests.postgres.server.embedding import FAST, START, python
from tests.servers import wheel_bin
from tests.waiting import at_most

NAMESPACE = (sys.executable, "-IS", str(Path(unprivileged.__file__).with_name("namespace.py")))
PROGRAM = wheel_bin() / "postgres"


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private."""
    place = Path(tempfile.mkdtemp(prefix="open-", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def account_that_reaches(place: Path) -> int | None:
    """Worked out from the modes, where the tool tries it."""
    for path in (place, *place.parents, *PROGRAM.parents):
        if not path.stat().st_mode & stat.S_IXOTH:
            return None
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return known.get("postgres", known.get("nobody"))


def test_data_belongs_to_an_account_that_reaches_it_when_root_makes_it(open_place: Path) -> None:
    server = EmbeddedServer(open_place / "postgres", settings=FAST)
    server.start()
    try:
        expected = account_that_reaches(open_place) or 0 if os.getuid() == 0 else os.getuid()
        assert server.data.stat().st_uid == expected
        assert (server.folder / "server.json").stat().st_uid == os.getuid()
        assert choose(server.folder, server.data, PROGRAM).user == (expected if os.getuid() == 0 and expected else None)
    finally:
        server.stop()


def test_no_account_is_chosen_that_cannot_enter_the_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    expected = Identity(launcher=NAMESPACE) if os.getuid() == 0 else Identity()
    assert choose(tmp_path, tmp_path / "data", PROGRAM) == expected


def test_an_ordinary_user_runs_the_server_itself(tmp_path: Path) -> None:
    said, _ = python(START, tmp_path / "postgres", launcher=NAMESPACE).communicate(timeout=at_most(60))
    server = EmbeddedServer(tmp_path / "postgres")
    try:
        target = server.target()
        assert target is not None
        assert said == f"{target.url()}\n"
    finally:
        server.stop()


def test_a_user_id_without_a_name_gets_a_namespace_for_initdb(tmp_path: Path) -> None:
    nameless = """
import pwd
def getpwuid(user): raise KeyError(user)
pwd.getpwuid = getpwuid
"""
    said, _ = python(nameless + START, tmp_path / "postgres", launcher=NAMESPACE).communicate(timeout=at_most(60))
    server = EmbeddedServer(tmp_path / "postgres")
    try:
        assert said.startswith("postgresql://")
        assert server.is_running
    finally:
        server.stop()


def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    said, _ = python(START, locked / "postgres", launcher=NAMESPACE).communicate(timeout=at_most(60))
    assert f"UnusableServerError: embedded server: {locked}/postgres: Permission denied" in said
    assert list(locked.iterdir()) == []


def test_programs_of_the_server_do_not_inherit_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPERADMIN_PASSWORD", "DATABASE_URL", "PGPASSWORD", "AWS_SESSION"):
        monkeypatch.setenv(name, "hunter2")
    works, said = Identity().run(["env"], seconds=10)
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert works
    assert names <= {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LC_ALL"}
    assert "hunter2" not in said


def test_root_without_a_usable_account_gets_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(unprivileged, "_ACCOUNTS", ())
    monkeypatch.setattr(unprivileged, "_namespace", lambda: Identity(launcher=("false",)))
    with pytest.raises(EmbeddedServerError, match="does not run as root") as caught:
        choose(tmp_path, tmp_path / "data", PROGRAM)
    assert caught.value.hint is not None
    assert "ordinary user" in caught.value.hint


def test_data_of_a_user_who_cannot_enter_any_more_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "stat", lambda self: os.stat_result((0o40700, 1, 1, 1, 12345, 12345, 0, 0, 0, 0)))
    with pytest.raises(EmbeddedServerError, match="belongs to user 12345"):
        unprivileged._owner(tmp_path, data, PROGRAM)
