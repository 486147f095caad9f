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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bootstrapper import __version__
from bootstrapper.errors import GuardError, StalePlanError, UsageError
from bootstrapper.plans.saved import KEY_VARIABLE
from bootstrapper.text import one_line

_FORMAT_VERSION = 1
_PURPOSE = b"bootstrapper fleet plan\0"


class Writer:
    """A plan of a fleet that is being written; without any target no file is left."""

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
def writing(path: Path, name: str, environment: str | None, inputs: Mapping[str, str]) -> Iterator[Writer]:
    """Replaces the file in one step at the end, readable by its owner only; leaves it as it was on an error.

    Args:
        inputs: The digests of what is read for all targets, by their names.
    """
    part = None
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            writer = Writer(file)
            head = {"fleet": name, "environment": environment, "version": __version__, "inputs": dict(inputs)}
            writer.line({**head, "format_version": _FORMAT_VERSION})
            yield writer
            file.flush()
            os.fsync(file.fileno())
        if writer.targets:
            Path(part).replace(path)
            part = None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if part is not None:
            with suppress(OSError):
                Path(part).unlink(missing_ok=True)


class FleetPlan:
    """A plan of a fleet that was read: where in the file the plan of each target is, and the digest of its line."""

    def __init__(self, path: Path, head: dict[str, Any], digest: str, places: dict[str, tuple[int, bytes]]) -> None:
        self._path = path
        self._fleet, self._inputs = str(head["fleet"]), dict(head["inputs"])
        self.environment = None if head["environment"] is None else str(head["environment"])
        self.digest = digest
        self._places = places

    def __contains__(self, target: str) -> bool:
        return target in self._places

    @property
    def targets(self) -> frozenset[str]:
        return frozenset(self._places)

    def saved(self, target: str) -> str:
        """Returns the saved plan of a target as text; raises GuardError if it is not what was read first."""
        place, digest = self._places[target]
        try:
            with self._path.open("rb") as file:
                file.seek(place)
                line = file.readline()
        except OSError as error:
            raise UsageError(f"cannot read {self._path}: {error.strerror}") from error
        if hashlib.sha256(line).digest() != digest:
            raise GuardError("the plan of the fleet was changed during the run; this target was not touched")
        return str(json.loads(line)["plan"])

    def require_made_of(self, name: str, inputs: Mapping[str, str]) -> None:
        """Raises StalePlanError if it was made for another fleet, or of files that were changed since."""
        command = "bootstrapper fleet plan --out FILE"
        if self._fleet != name:
            raise StalePlanError(
                f"it is of fleet {one_line(self._fleet)}, and not of {one_line(name)}", command=command
            )
        changed = next((each for each in inputs if self._inputs.get(each, inputs[each]) != inputs[each]), None)
        if changed is not None:
            raise StalePlanError(f"{one_line(changed)} was changed since it was made", command=command)


def read(path: Path, key: str | None) -> FleetPlan:
    """Reads where the plans are, and checks the digest over all.

    Raises UsageError if the file is not a plan of a fleet, and GuardError if it was changed, or is not signed with the
    key although there is one.
    """
    state, places = hashlib.sha256(), dict[str, tuple[int, bytes]]()
    head, last = dict[str, Any](), None
    try:
        with path.open("rb") as file:
            place = 0
            for line in file:
                facts = json.loads(line)
                if place == 0:
                    head = _head(facts)
                elif "digest" in facts:
                    last = facts
                    break
                else:
                    places[str(facts["target"])] = (place, hashlib.sha256(line).digest())
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
    return FleetPlan(path, head, last["digest"], places)


def is_fleet_plan(path: Path) -> bool:
    """Returns whether the file begins as such a plan does."""
    try:
        with path.open("rb") as file:
            _head(json.loads(file.readline(1 << 16)))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _head(facts: dict[str, Any]) -> dict[str, Any]:
    has_all = "fleet" in facts and "environment" in facts and isinstance(facts["inputs"], dict)
    if facts["format_version"] != _FORMAT_VERSION or not has_all:
        raise ValueError("another format")
    return facts


def _signature(digest: str, key: str) -> str:
    content = _PURPOSE + digest.encode()
    return hmac.new(key.encode(errors="surrogateescape"), content, hashlib.sha256).hexdigest()
