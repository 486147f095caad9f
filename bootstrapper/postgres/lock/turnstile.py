"""Lets only a few processes of one host at a time go to the same database.

Hundreds of replicas that start together would fill the server's connections before one of them has the lock. Those of
one host queue here instead. A few are in front: they look and wait for the lock. The others wait in the kernel, without
a connection and without polling, and each of them looks from time to time as well, through a side door: one visit, then
back to its place in the queue. So the number of connections does not depend on how long the work takes.

Only the load depends on it: without a folder to queue in, or if the queue stands still, it is skipped.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from bootstrapper.deadline import Deadline
from bootstrapper.postgres.lock.host_queue import Line, name_of, queue_folder, remember

PLACES = 4
SIDE_PLACES = 2
SHORTEST_PATIENCE_SECONDS = 15.0
LONGEST_PATIENCE_SECONDS = 30.0
LONGEST_SIDE_SECONDS = 300.0
_MOST_DOUBLINGS = 3


class Turnstile:
    """One process's place in the queue, which is free again when the process ends, however it ends."""

    def __init__(self, where: str, folder: Path | None = None) -> None:
        """Takes the names that all replicas have in common.

        Args:
            where: The server and database, as they are addressed.
            folder: For tests; else one of this user's under the system's temporary folder.
        """
        self._folder = folder or queue_folder()
        self._where = _digest(where)
        self._line: Line | None = None
        self._side: Line | None = None
        self._visits = 0
        self._passes_by = False
        self._is_past = False

    @property
    def has_place(self) -> bool:
        """Whether it may look now: it is in front, or on a visit."""
        return self.is_in_front or (self._side is not None and self._side.is_through)

    @property
    def is_in_front(self) -> bool:
        return self._line is not None and self._line.is_through

    @property
    def has_followers(self) -> bool:
        """Whether others of this host queue while this process is in front."""
        return self._line is not None and self.is_in_front and self._line.is_followed

    def recognize(self, identity: str) -> None:
        """Records which database the address leads to: from then on, all addresses of it share one queue."""
        if self._folder is not None:
            remember(self._folder, self._where, _digest(identity))

    def enter(self, deadline: Deadline) -> bool:
        """Waits for a place, and for a visit if that takes too long; returns whether it may look.

        Never for more than three quarters of the time that is left. One that has not looked yet may do so in the end,
        whatever the queue does.
        """
        if self._folder is None or self._is_past or self._passes_by or self.has_place:
            return True
        if self._line is None:
            self._line = Line(self._folder, name_of(self._folder, self._where), PLACES)
        seconds_left = deadline.seconds_left
        patience = random.uniform(SHORTEST_PATIENCE_SECONDS, LONGEST_PATIENCE_SECONDS)  # noqa: S311 - jitter
        patience = min(patience * 2 ** min(self._visits, _MOST_DOUBLINGS), seconds_left / 2)
        if self._line.wait(deadline.sooner(patience)) or self._line.is_broken:
            return True
        self._side = Line(self._folder, f"{self._line.name}.side", SIDE_PLACES, is_counted=False)
        limit = min(LONGEST_SIDE_SECONDS, (seconds_left - patience) / 2)
        if self._side.wait(deadline.sooner(limit)):
            self._visits += 1
            return True
        self._end_visit()
        self._passes_by = self._visits == 0 or limit == LONGEST_SIDE_SECONDS
        return self._passes_by

    def step_back(self) -> None:
        """Ends a visit; keeps a place in front."""
        self._passes_by = False
        self._end_visit()

    def leave(self) -> None:
        """Gives the place to the next process; this one does not queue again."""
        self._is_past = True
        self._end_visit()
        if self._line is not None:
            self._line.leave()
            self._line = None

    def _end_visit(self) -> None:
        if self._side is not None:
            self._side.leave()
            self._side = None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
