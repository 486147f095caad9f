from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.postgres.lock import host_queue, turnstile
from bootstrapper.postgres.lock.turnstile import PLACES, SIDE_PLACES, Turnstile
from tests.waiting import at_most, eventually


@pytest.fixture
def one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "PLACES", 1)
    monkeypatch.setattr(turnstile, "SIDE_PLACES", 1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "SHORTEST_PATIENCE_SECONDS", 0.02)
    monkeypatch.setattr(turnstile, "LONGEST_PATIENCE_SECONDS", 0.02)


def through(folder: Path, seconds: float = 0.1, where: str = "server/database") -> Turnstile:
    passed = Turnstile(where, folder)
    passed.enter(Deadline.after(seconds))
    return passed


def test_no_more_than_so_many_have_a_place(tmp_path: Path) -> None:
    tries = [through(tmp_path) for _ in range(6 * PLACES)]
    assert 1 < sum(each.is_in_front for each in tries) <= PLACES
    assert sum(each.has_place for each in tries) <= PLACES + SIDE_PLACES


@pytest.mark.usefixtures("one_place")
def test_a_place_that_is_left_goes_to_the_next_at_once(tmp_path: Path) -> None:
    first = through(tmp_path)
    second = Turnstile("server/database", tmp_path)
    waiting = threading.Thread(target=second.enter, args=[Deadline.after(10.0)])
    waiting.start()
    first.leave()
    waiting.join(at_most(5))
    assert second.is_in_front


@pytest.mark.usefixtures("one_place", "impatient")
def test_processes_that_queue_for_long_take_turns_at_looking(tmp_path: Path) -> None:
    first = through(tmp_path)
    others = [Turnstile("server/database", tmp_path) for _ in range(5)]
    looking: list[int] = []
    most: list[int] = []

    def look_twice(waiter: Turnstile) -> None:
        for _ in range(2):
            assert waiter.enter(Deadline.after(60.0))
            looking.append(1)
            most.append(len(looking))
            time.sleep(0.01)  # the visit itself
            looking.pop()
            waiter.step_back()

    threads = [threading.Thread(target=look_twice, args=[other]) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(at_most(20))
    assert len(most) == 2 * len(others)
    assert max(most) == 1, "one at a time, however long they wait"
    assert first.is_in_front
    assert not any(other.is_in_front for other in others)
    first.leave()
    assert eventually(lambda: any(other.is_in_front for other in others)), "they kept their turn meanwhile"


@pytest.mark.usefixtures("one_place", "impatient")
def test_a_process_that_looked_before_needs_a_place_near_its_deadline(tmp_path: Path) -> None:
    blocking = [through(tmp_path), through(tmp_path)]
    assert [each.has_place for each in blocking] == [True, True]
    waiter = Turnstile("server/database", tmp_path)
    assert waiter.enter(Deadline.after(0.1)), "the first look does not wait for the queue"
    assert not waiter.has_place
    assert waiter.enter(Deadline.after(60.0)), "nor does it wait again before it"
    waiter.step_back()
    blocking[1].step_back()
    assert waiter.enter(Deadline.after(1.0))
    waiter.step_back()
    assert through(tmp_path, 1.0).has_place
    assert not waiter.enter(Deadline.after(0.1))


@pytest.mark.usefixtures("one_place")
def test_the_place_of_a_dead_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from bootstrapper.deadline import Deadline\n"
        "from bootstrapper.postgres.lock import turnstile; turnstile.PLACES = 1\n"
        "t = turnstile.Turnstile('server/database', Path(sys.argv[1])); t.enter(Deadline.after(1))\n"
        "os.kill(os.getpid(), 9 if t.has_place else 15)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == -9
    assert through(tmp_path).is_in_front


@pytest.mark.usefixtures("one_place")
def test_another_database_has_places_of_its_own(tmp_path: Path) -> None:
    assert through(tmp_path).is_in_front
    assert through(tmp_path, where="server/other").is_in_front


@pytest.mark.usefixtures("one_place")
def test_all_addresses_of_one_database_share_a_queue_once_it_is_known(tmp_path: Path) -> None:
    for where in ("server/database", "pooler/database"):
        first = through(tmp_path, where=where)
        first.recognize("7301/16384")
        first.leave()
    assert through(tmp_path).is_in_front
    assert not through(tmp_path, where="pooler/database").is_in_front


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert not through(tmp_path).has_place
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_created_does_not_stop_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    waiter = Turnstile("server/database", tmp_path / "file")
    assert [waiter.enter(Deadline.after(5.0)), waiter.has_place] == [True, False]


def test_a_system_without_a_folder_for_temporary_files_has_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    waiter = Turnstile("server/database")
    assert waiter.enter(Deadline.after(5.0))
    waiter.recognize("7301/16384")
    waiter.leave()


@pytest.mark.usefixtures("one_place")
def test_files_of_databases_that_no_run_asks_for_are_swept(tmp_path: Path) -> None:
    through(tmp_path, where="server/gone").leave()
    still = through(tmp_path, where="server/still")
    (tmp_path / "notes").touch()
    long_ago = time.time() - host_queue.UNUSED_SECONDS - 60
    for path in tmp_path.iterdir():
        os.utime(path, (long_ago, long_ago))
    before = set(tmp_path.iterdir())
    assert through(tmp_path, where="server/new").is_in_front
    assert len(before - set(tmp_path.iterdir())) == 1, "a file that is locked or is not ours stays"
    assert still.is_in_front
    assert (tmp_path / "notes").exists()


def test_a_file_swept_while_it_is_opened_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / f"{'0' * 32}.0"
    holder = host_queue.taken(path, 2)
    waiting: list[int] = []
    waiter = threading.Thread(target=lambda: waiting.append(host_queue.taken(path, 2)))
    waiter.start()
    path.unlink()
    os.close(holder)
    waiter.join(at_most(5))
    assert os.fstat(waiting[0]).st_ino == path.stat().st_ino


@pytest.mark.usefixtures("one_place")
def test_a_process_in_front_knows_whether_others_queue(tmp_path: Path) -> None:
    first = through(tmp_path)
    assert not first.has_followers
    second = Turnstile("server/database", tmp_path)
    waiting = threading.Thread(target=second.enter, args=[Deadline.after(10.0)])
    waiting.start()
    assert eventually(lambda: first.has_followers)
    first.leave()
    waiting.join(at_most(5))
    assert not second.has_followers


@pytest.mark.usefixtures("one_place")
def test_a_process_that_left_does_not_queue_again(tmp_path: Path) -> None:
    first = through(tmp_path)
    first.leave()
    first.enter(Deadline.after(1.0))
    assert not first.has_place
