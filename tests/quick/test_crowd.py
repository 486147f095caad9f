"""Few processes look at once, and an unreachable server does not hold up those that queue."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootstrapper.quick import crowd
from bootstrapper.quick.crowd import PLACES, CrowdedError, Place

HOLD = """
import sys
from bootstrapper.quick.crowd import Place
with Place() as place:
    place.tell(sys.argv[1] == "reached")
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / f"bootstrapper-{os.getuid()}"


@pytest.fixture
def holders(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Processes in all places: their numbers follow from those of the processes, one of which may be skipped."""
    found: dict[int, subprocess.Popen[str]] = {}
    others = []
    while len(found) < PLACES:
        command = [sys.executable, "-c", HOLD, "reached"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if process.pid % PLACES in found:
            others.append(process)
            process.kill()
            process.communicate()
        else:
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
            found[process.pid % PLACES] = process
    return list(found.values())


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_one_more_waits_until_a_place_is_free_whose_holder_was_killed(holders: list[subprocess.Popen[str]]) -> None:
    with pytest.raises(CrowdedError), Place(longest_seconds=0.2):
        pass
    for process in holders:
        end(process)
    with Place(longest_seconds=5):
        pass


def test_one_that_was_stopped_does_not_hold_up_the_others(
    holders: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "_STILL_SECONDS", 0.2)
    with pytest.raises(CrowdedError), Place(longest_seconds=600):
        pass
    for process in holders:
        end(process)


def test_after_one_who_did_not_reach_the_server_the_next_does_not_try(own_folder: Path) -> None:
    with Place() as place:
        place.tell(False)
    started = time.monotonic()
    with pytest.raises(CrowdedError), Place():
        pass
    assert time.monotonic() - started < 5
    for file in own_folder.iterdir():
        os.utime(file, (0, 0))
    with Place() as place:
        place.tell(True)
    with Place():
        pass


def test_a_folder_that_others_may_write_to_is_not_used(own_folder: Path) -> None:
    own_folder.mkdir()
    own_folder.chmod(0o777)
    with Place():
        assert list(own_folder.iterdir()) == []
