"""What was made of the same content a moment ago, for a process that starts several times, as an application does."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


class Recent(Generic[Key, Made]):
    """The last few results of a function that depends on nothing but its key, which is content, never a mere path.

    Any thread may ask. The results are shared, so nothing may change them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Made] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, key: Key) -> Made | None:
        """Returns what was made for an equal key; None if that is not among the last few."""
        with self._lock:
            return self._kept.get(key)

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """Returns what was made for an equal key, or makes it; two threads that ask at once may both make it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made
