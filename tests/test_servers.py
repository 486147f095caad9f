"""The servers of the tests themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.servers import remove_left_over
from tests.waiting import at_most, eventually

ROOT = Path(__file__).parents[1]
HANGS = """
import time
from pathlib import Path

def test_that_hangs(server):
    Path(__file__).with_name("data").write_text(str(server.data))
    time.sleep(600)
"""


def test_a_test_database_is_empty_and_new(database: str) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row == (0,)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_tests_stop_their_server_even_in_the_background_of_a_shell(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGS)
    told = tmp_path / "data"
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    tests = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert eventually(lambda: told.exists() and told.read_text(), 60)
        data = Path(told.read_text())
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        tests.send_signal(number)
        assert tests.wait(at_most(30)) == 2
    finally:
        tests.kill()
    assert not data.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)


def test_what_killed_tests_left_is_removed_and_nothing_that_is_new(tmp_path: Path) -> None:
    old, new = tmp_path / "bootstrapper-tests-old", tmp_path / "bootstrapper-tests-new"
    for folder in (old, new):
        (folder / "data").mkdir(parents=True)
    os.utime(old, (0, 0))
    remove_left_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bootstrapper-tests-new"]
