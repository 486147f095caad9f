"""The report of a run: JSON lines, written as they come, one for each target, wave and run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from bootstrapper import __version__
from bootstrapper.config.outputs import require_writable
from bootstrapper.errors import UsageError
from bootstrapper.fleet.work import Result

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Report:
    """An open report; each line is with the system before the next target is started."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file

    def begin(self, command: str, asked: Mapping[str, Any]) -> None:
        """Writes what is asked for: the fleet, and which of its targets."""
        self._write({"kind": "run", **asked, "command": command, "version": __version__})

    def target(self, wave: str, result: Result, attempts: int) -> None:
        self._write({"kind": "target", "wave": wave, "attempts": attempts, **asdict(result)})

    def wave(self, name: str) -> None:
        """Writes that all targets of a wave were done, that it was waited for, and confirmed."""
        self._write({"kind": "wave", "wave": name})

    def _write(self, facts: dict[str, Any]) -> None:
        if self._file is None:
            return
        line = json.dumps({**facts, "at": datetime.now(UTC).isoformat(timespec="milliseconds")})
        try:
            self._file.write(f"{line}\n".encode())
            self._file.flush()
        except OSError as error:
            raise UsageError(f"cannot write the report: {error.strerror}") from error


@contextmanager
def writing(path: Path | None, *, overwrite: bool, goes_on: bool, inputs: Iterable[Path]) -> Iterator[Report]:
    """Opens the report; raises UsageError if it cannot be written.

    Args:
        goes_on: Whether the lines that are there stay; one that a killed run left unfinished is cut off.
    """
    if path is None:
        yield Report(None)
        return
    require_writable(path, overwrite=overwrite, is_ours=_is_report, inputs=inputs)
    try:
        with os.fdopen(os.open(path, _FLAGS, 0o666), "ab") as file:
            os.ftruncate(file.fileno(), _whole(path) if goes_on else 0)
            yield Report(file)
    except OSError as error:
        raise UsageError(f"cannot write the report {path}: {error.strerror}") from error


def ended_waves(path: Path, asked: Mapping[str, Any]) -> frozenset[str]:
    """Returns the names of the waves that are complete in the report.

    Raises UsageError for any other file, and for the report of a run that was asked for something else: its waves had
    other targets, or were confirmed for another environment.
    """
    if not _is_report(path):
        raise UsageError(f"{path} is not a report of `fleet apply`", hint="Name the file of --report of that run.")
    with path.open("rb") as file:
        lines = [facts for line in file if (facts := _facts(line)) is not None and facts.get("kind") in ("run", "wave")]
    for line in lines:
        differs = next((key for key in asked if line["kind"] == "run" and line.get(key) != asked[key]), None)
        if differs is not None:
            raise UsageError(
                f"{path} is the report of another run: the {differs} is not the same",
                hint="Name the report of this fleet, and pass the environment, plan and options of its run.",
            )
    return frozenset(str(line.get("wave")) for line in lines if line["kind"] == "wave")


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            facts = _facts(file.readline(1 << 16))
    except OSError:
        return False
    return facts is not None and facts.get("kind") == "run" and "fleet" in facts


def _facts(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _whole(path: Path) -> int:
    """Returns how many bytes of the file are whole lines."""
    size = end = 0
    with path.open("rb") as file:
        for line in file:
            size += len(line)
            end = size if line.endswith(b"\n") else end
    return end
