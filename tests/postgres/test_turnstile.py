from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bootstrapper.postgres import turnstile
from bootstrapper.postgres.turnstile import PLACES, Turnstile
from tests.waiting import at_most, eventually


@pytest.fixture
def one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "PLACES", 1)


def through(folder: Path, seconds: float = 0.1) -> Turnstile:
    passed = Turnstile("server/database", folder)
    passed.enter(seconds)
    return passed


def test_no_more_than_so_many_have_a_place(tmp_path: Path) -> None:
    tries = [through(tmp_path) for _ in range(6 * PLACES)]
    assert 1 < sum(each.has_place for each in tries) <= PLACES


@pytest.mark.usefixtures("one_place")
def test_a_place_that_is_left_goes_to_the_next_at_once(tmp_path: Path) -> None:
    first = through(tmp_path)
    second = Turnstile("server/database", tmp_path)
    waiting = threading.Thread(target=second.enter, args=[10.0])
    waiting.start()
    first.leave()
    waiting.join(at_most(5))
    assert second.has_place


@pytest.mark.usefixtures("one_place")
def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    first = through(tmp_path)
    assert not through(tmp_path, seconds=0.05).has_place
    first.leave()
    assert eventually(lambda: through(tmp_path, seconds=0.05).has_place)  # whoever gave up keeps nothing


@pytest.mark.usefixtures("one_place")
def test_the_place_of_a_dead_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from bootstrapper.postgres import turnstile; turnstile.PLACES = 1\n"
        "t = turnstile.Turnstile('server/database', Path(sys.argv[1])); t.enter(1)\n"
        "os.kill(os.getpid(), 9 if t.has_place else 15)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9
    assert through(tmp_path).has_place


@pytest.mark.usefixtures("one_place")
def test_another_database_has_places_of_its_own(tmp_path: Path) -> None:
    assert through(tmp_path).has_place
    other = Turnstile("server/other", tmp_path)
    other.enter(0.1)
    assert other.has_place


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert not through(tmp_path).has_place
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_made_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not through(tmp_path / "file").has_place


@pytest.mark.usefixtures("one_place")
def test_one_in_front_knows_whether_others_queue_behind(tmp_path: Path) -> None:
    first = through(tmp_path)
    assert not first.has_followers
    second = Turnstile("server/database", tmp_path)
    waiting = threading.Thread(target=second.enter, args=[10.0])
    waiting.start()
    assert eventually(lambda: first.has_followers)
    first.leave()
    waiting.join(at_most(5))
    assert not second.has_followers


@pytest.mark.usefixtures("one_place")
def test_whoever_lost_patience_queues_again_the_next_time(tmp_path: Path) -> None:
    first = through(tmp_path)
    second = through(tmp_path, seconds=0.05)
    assert not second.has_place
    first.leave()
    second.enter(1.0)
    assert second.has_place


@pytest.mark.usefixtures("one_place")
def test_whoever_left_for_good_does_not_queue_again(tmp_path: Path) -> None:
    first = through(tmp_path)
    first.leave()
    first.enter(1.0)
    assert not first.has_place
