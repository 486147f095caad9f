"""A plan of a whole fleet as a file: the saved plan of each target, and a digest over all of them.

JSON lines: the first says what it is of, then there is one for each target, and the last has the digest over all lines
before it, and the signature where there is a key. Each target's plan is read only when that target is done.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bootstrapper import __version__
from bootstrapper.errors import GuardError, UsageError
from bootstrapper.plans.saved import KEY_VARIABLE

_FORMAT_VERSION = 1
_PURPOSE = b"bootstrapper fleet plan\0"


class Writer:
    """A plan of a fleet that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._state = hashlib.sha256()
        self.targets = 0

    def add(self, target: str, saved: str) -> None:
        self.line({"target": target, "plan": saved})
        self.targets += 1

    def line(self, facts: dict[str, Any]) -> None:
        content = f"{json.dumps(facts)}\n".encode()
        self._state.update(content)
        self._file.write(content)

    def end(self, key: str | None) -> str:
        """Writes the last line; returns the digest."""
        digest = self._state.hexdigest()
        signature = _signature(digest, key) if key else None
        self._file.write(f"{json.dumps({'digest': digest, 'signature': signature})}\n".encode())
        return digest


@contextmanager
def writing(path: Path, name: str, environment: str | None) -> Iterator[Writer]:
    """Replaces the file in one step at the end, readable by its owner only; leaves it as it was on an error."""
    part = None
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            writer = Writer(file)
            writer.line(
                {"fleet": name, "environment": environment, "version": __version__, "format_version": _FORMAT_VERSION}
            )
            yield writer
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
        part = None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if part is not None:
            with suppress(OSError):
                Path(part).unlink(missing_ok=True)


class FleetPlan:
    """A plan of a fleet that was read: where in the file the plan of each target is."""

    def __init__(self, path: Path, environment: str | None, digest: str, places: dict[str, int]) -> None:
        self._path = path
        self.environment = environment
        self.digest = digest
        self._places = places

    def __contains__(self, target: str) -> bool:
        return target in self._places

    @property
    def targets(self) -> frozenset[str]:
        return frozenset(self._places)

    def saved(self, target: str) -> str:
        """Returns the saved plan of a target as text."""
        with self._path.open("rb") as file:
            file.seek(self._places[target])
            found = json.loads(file.readline())
        return str(found["plan"])


def read(path: Path, key: str | None) -> FleetPlan:
    """Reads where the plans are, and checks the digest over all.

    Raises UsageError if the file is not a plan of a fleet, and GuardError if it was changed, or is not signed with the
    key although there is one.
    """
    state, places, environment, last = hashlib.sha256(), dict[str, int](), None, None
    try:
        with path.open("rb") as file:
            place = 0
            for line in file:
                facts = json.loads(line)
                if place == 0:
                    environment = _head(facts)
                elif "digest" in facts:
                    last = facts
                    break
                else:
                    places[str(facts["target"])] = place
                    str(facts["plan"])  # which is read again when its turn comes
                state.update(line)
                place += len(line)
            is_whole = last is not None and last["digest"] == state.hexdigest() and not file.read(1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        hint = "Make one with `bootstrapper fleet plan --out FILE`."
        raise UsageError(f"{path} is not a plan of a fleet", hint=hint) from error
    if not is_whole or last is None:
        raise GuardError("the plan of the fleet was changed after it was made, or is not whole; nothing was applied")
    signature = str(last.get("signature") or "")
    if key is not None and not hmac.compare_digest(signature.encode(), _signature(last["digest"], key).encode()):
        raise GuardError(
            f"the plan of the fleet is not signed with the key in {KEY_VARIABLE}; nothing was applied",
            hint="Make the plan and apply it with the same key.",
        )
    return FleetPlan(path, environment, last["digest"], places)


def is_fleet_plan(path: Path) -> bool:
    """Returns whether the file begins as such a plan does."""
    try:
        with path.open("rb") as file:
            _head(json.loads(file.readline(1 << 16)))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _head(facts: dict[str, Any]) -> str | None:
    if facts["format_version"] != _FORMAT_VERSION or "fleet" not in facts:
        raise ValueError("another format")
    return None if facts["environment"] is None else str(facts["environment"])


def _signature(digest: str, key: str) -> str:
    content = _PURPOSE + digest.encode()
    return hmac.new(key.encode(errors="surrogateescape"), content, hashlib.sha256).hexdigest()
