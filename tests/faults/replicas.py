"""Many runs at once, cheaply: one warmed-up process forks a child for each.

Starting Python and importing takes longer than a whole run; so a nursery imports everything once and every replica is
a fork of it. From there on it is a process like any other: own connections, own Alembic workers, killed on its own.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
BUG = 3


@dataclass(frozen=True)
class Order:
    """One run to start.

    Attributes:
        trap: A boundary of crashing.py at which it dies or stops.
        log: Where it writes every boundary that it passes.
        start_at: By time.monotonic(), so that many start at once; None is now.
        lease_seconds: Instead of the usual lease.
        patience_seconds: How long it queues at the turnstile before it looks, instead of 15 to 30 s.
        rival: One of rivals.py to run instead of ours.
    """

    folder: str
    url: str
    trap: str | None = None
    trap_signal: str = "SIGKILL"
    log: str | None = None
    mutants: tuple[str, ...] = ()
    start_at: float | None = None
    timeout_seconds: float | None = 60.0
    lease_seconds: float | None = None
    patience_seconds: float | None = None
    rival: str | None = None


@dataclass
class Replica:
    """A started run. `exit_code` is the command's, or minus the signal that killed it."""

    number: int
    pid: int
    report: Path
    nursery: Nursery
    facts: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def wait(self, seconds: float = 90.0) -> int:
        """Waits for its end; kills it and raises where that takes too long."""
        if not self.nursery.poll_until(lambda: self.exit_code is not None, seconds):
            self.kill()
            raise AssertionError(f"replica {self.number} did not end in {seconds:g} s")
        assert self.exit_code is not None
        if self.report.exists():
            self.facts = json.loads(self.report.read_text())
        return self.exit_code

    def wait_until_stopped(self, seconds: float = 30.0) -> bool:
        """Whether it stopped; false where it ended before it came to the trap."""
        is_over = self.nursery.poll_until(lambda: self.is_stopped or self.exit_code is not None, seconds)
        assert is_over, "the replica came to no trap and to no end"
        return self.exit_code is None

    @property
    def is_stopped(self) -> bool:
        return state(self.pid) == "T"

    @property
    def error(self) -> str:
        return str(self.facts.get("error", ""))

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def go_on(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: int) -> None:
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def state(pid: int) -> str:
    """A process's state as one letter: T is stopped, Z has ended without being waited for, X is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Nursery:
    """The process that forks replicas. Its children die with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="replicas-")
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.replicas"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._replicas: list[Replica] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(30)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._folder.cleanup()

    def start(self, order: Order) -> Replica:
        assert self._process.stdin is not None
        number = len(self._replicas)
        report = Path(self._folder.name) / f"{number}.json"
        replica = Replica(number, 0, report, self)
        self._replicas.append(replica)
        self._process.stdin.write(json.dumps({"report": str(report), "number": number, **asdict(order)}) + "\n")
        self._process.stdin.flush()
        assert self.poll_until(lambda: replica.pid > 0, 60), "the nursery forks no more"
        return replica

    def run(self, order: Order, seconds: float = 90.0) -> Replica:
        replica = self.start(order)
        replica.wait(seconds)
        return replica

    def poll_until(self, condition: Any, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition():
                if time.monotonic() > deadline:
                    return False
                self._changed.wait(0.05)
        return True

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._changed:
                replica = self._replicas[told["number"]]
                replica.pid = told.get("pid", replica.pid)
                replica.exit_code = told.get("exit_code", replica.exit_code)
                self._changed.notify_all()


@contextmanager
def all_ended(replicas: list[Replica]) -> Iterator[None]:
    """Kills what is left of the replicas, stopped ones too."""
    try:
        yield
    finally:
        for replica in replicas:
            replica.kill()


def main() -> None:
    """The nursery's own side: orders come in on standard input, one JSON object a line."""
    from tests.faults import warm  # noqa: F401 - everything that a run may import

    gc.collect()
    gc.freeze()
    numbers: dict[int, int] = {}
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    begun = b""
    while True:
        with suppress(InterruptedError):
            ready, _, _ = select.select([0, woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
            if 0 in ready:
                data = os.read(0, 65536)
                if not data:
                    break
                *lines, begun = (begun + data).split(b"\n")
                for line in lines:
                    _fork(json.loads(line), numbers)
        _reap(numbers)
    for pid in numbers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _fork(order: dict[str, Any], numbers: dict[int, int]) -> None:
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        code = BUG
        try:
            code = _live(order)
        finally:
            os._exit(code)
    numbers[pid] = order["number"]
    _tell(number=order["number"], pid=pid)


def _reap(numbers: dict[int, int]) -> None:
    for pid in list(numbers):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            _tell(number=numbers.pop(pid), exit_code=os.waitstatus_to_exitcode(status))


def _tell(**facts: Any) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def _live(order: dict[str, Any]) -> int:
    """One replica's life: `apply`, and a report of how it went."""
    from bootstrapper.api import run
    from bootstrapper.engine.request import Request
    from bootstrapper.errors import BootstrapperError
    from tests.faults.crashing import MUTANTS, Boundaries, Trap, shorten_lease, shorten_patience

    if order["rival"] is not None:
        return _live_as_rival(order)
    for mutant in order["mutants"]:
        MUTANTS[mutant]()
    if order["lease_seconds"] is not None:
        shorten_lease(order["lease_seconds"])
    if order["patience_seconds"] is not None:
        shorten_patience(order["patience_seconds"])
    trap = Trap(order["trap"], order["trap_signal"]) if order["trap"] else None
    boundaries = Boundaries(trap, Path(order["log"]) if order["log"] else None)
    boundaries.install()
    if order["start_at"] is not None:
        time.sleep(max(0.0, order["start_at"] - time.monotonic()))
    facts: dict[str, Any] = {"began": time.monotonic()}
    code = BUG
    try:
        outcome = run.apply(
            Request(
                file=Path(order["folder"]) / "bootstrap.yaml",
                variables={**os.environ, "DATABASE_URL": order["url"]},
                timeout_seconds=order["timeout_seconds"],
                emit=boundaries.emit,
            )
        )
        facts["applied"] = [step.name for step in outcome.applied]
        facts["run_id"] = str(outcome.run_id) if outcome.run_id else None
        code = 0
    except BootstrapperError as error:
        facts["error"], facts["kind"] = str(error), type(error).__name__
        code = int(error.exit_code)
    except BaseException as error:  # noqa: BLE001 - what else comes out of a run is a bug, and reported as one
        facts["error"], facts["kind"] = _bug(error), type(error).__name__
    _report(order, facts)
    return code


def _bug(error: BaseException) -> str:
    """The error in a line, with the places in our package that it came through, innermost first."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/bootstrapper/" in frame.filename]
    places = [f"{frame.filename.rpartition('/bootstrapper/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return f"BUG {type(error).__name__}: {' '.join(str(error).split())[:120]} in {' < '.join(reversed(places[-6:]))}"


def _live_as_rival(order: dict[str, Any]) -> int:
    from tests.faults.rivals import RIVALS

    time.sleep(max(0.0, (order["start_at"] or 0.0) - time.monotonic()))
    facts: dict[str, Any] = {"began": time.monotonic()}
    code = 0
    try:
        RIVALS[order["rival"]](Path(order["folder"]), order["url"])
    except BaseException as error:  # noqa: BLE001 - how it failed is what the comparison shows
        facts["error"], code = f"{type(error).__name__}: {error}", 1
    _report(order, facts)
    return code


def _report(order: dict[str, Any], facts: dict[str, Any]) -> None:
    facts["ended"] = time.monotonic()
    unfinished = Path(order["report"] + ".new")
    unfinished.write_text(json.dumps(facts))
    unfinished.rename(order["report"])


if __name__ == "__main__":
    main()
