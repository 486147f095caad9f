"""Deadlines and requests to stop."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from bootstrapper.deadline import Deadline, Stop
from tests.waiting import at_most, eventually

HANDLERS = """
import random, signal
from bootstrapper.deadline import Deadline, Stop

for _ in range(400):
    stop, called = Stop(), []
    signal.signal(signal.SIGALRM, lambda number, frame: stop.set("SIGALRM"))
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 3e-3))
    while not stop.is_set:
        with stop.calling(lambda: called.append(1)):
            Deadline.after(10, stop).sleep(0.0005)
"""


def test_a_deadline_passes_with_its_stop_and_so_do_those_derived_from_it() -> None:
    stop = Stop()
    deadline = Deadline.after(60, stop)
    derived = [deadline.sooner(30), deadline.later(5), deadline.revocable()]
    stop.set("SIGTERM")
    assert [each.has_passed for each in (deadline, *derived)] == [True] * 4
    assert (deadline.is_stopped, deadline.seconds_left, stop.reason) == (True, 0.0, "SIGTERM")
    assert not deadline.at_least(5).has_passed, "tidying up has time of its own"


def test_the_first_reason_counts() -> None:
    stop = Stop()
    stop.set("SIGTERM")
    stop.set("SIGINT")
    assert stop.reason == "SIGTERM"


def test_a_sleep_ends_with_the_stop() -> None:
    stop = Stop()
    began = time.monotonic()
    threading.Timer(0.05, stop.set).start()
    Deadline.after(None, stop).sleep(60)
    assert time.monotonic() - began < at_most(5)


def test_a_callback_is_called_once_if_the_stop_is_set_in_the_block_or_before_it() -> None:
    stop, during, late, over = Stop(), [], [], []
    with stop.calling(lambda: over.append(1)):
        pass
    with stop.calling(lambda: during.append(1)):
        stop.set()
        assert eventually(lambda: during == [1])
    with stop.calling(lambda: late.append(1)):
        assert late == [1]
    assert (during, over) == ([1], [])


def test_a_signal_handler_may_set_it_whatever_it_interrupts() -> None:
    ended = subprocess.run([sys.executable, "-c", HANDLERS], check=False, timeout=at_most(30))
    assert ended.returncode == 0


@pytest.mark.parametrize("seconds", [None, 60])
def test_without_a_stop_there_is_no_need_to_look_often(seconds: float | None) -> None:
    assert Deadline.after(seconds).tick_seconds > 50
    assert Deadline.after(seconds, Stop()).tick_seconds <= 0.1
