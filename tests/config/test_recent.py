"""Results that are kept by the content they were made of."""

from __future__ import annotations

import threading

import pytest

from bootstrapper.config.recent import Recent


def test_a_result_is_made_once_for_equal_content() -> None:
    recent, made = Recent[bytes, object](most=2), []
    first = recent.get(b"a", lambda: made.append(1) or object())
    assert recent.get(bytes(bytearray(b"a")), lambda: made.append(2) or object()) is first
    assert made == [1]


def test_the_result_that_was_not_asked_for_longest_is_dropped_first() -> None:
    recent, made = Recent[str, str](most=2), []

    def ask(key: str) -> None:
        recent.get(key, lambda: made.append(key) or key)

    for key in "abaca":
        ask(key)
    assert made == ["a", "b", "c"]
    ask("b")
    assert made == ["a", "b", "c", "b"]


def test_an_error_is_not_kept() -> None:
    recent = Recent[str, int](most=2)
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 // 0)
    assert recent.get("a", lambda: 7) == 7


def test_many_threads_may_ask_at_once() -> None:
    recent, found = Recent[int, int](most=3), []

    def ask() -> None:
        found.extend(recent.get(number % 5, lambda number=number: number % 5) == number % 5 for number in range(500))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4000
    assert all(found)
