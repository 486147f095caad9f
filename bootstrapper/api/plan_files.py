"""Files of saved plans: `bootstrapper plan --out FILE` writes one, `bootstrapper apply FILE` reads it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bootstrapper.config.outputs import require_writable
from bootstrapper.errors import UsageError
from bootstrapper.plans.saved import SavedPlan

_MOST_CHARACTERS = 256 * 1024 * 1024


def require_place(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raises UsageError if no plan can be written there, or if that would replace anything but a saved plan.

    Args:
        path: The file to write.
        overwrite: Whether any other regular file may be replaced.
        inputs: Files that the command reads, which are never replaced.
    """
    require_writable(path, overwrite=overwrite, is_ours=_is_saved_plan, inputs=inputs)


def write(path: Path, saved: SavedPlan) -> None:
    """Replaces the file in one step, readable by its owner only; raises UsageError if that does not work."""
    part = None
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(saved.to_json())
            stream.flush()
            os.fsync(descriptor)
        Path(part).replace(path)
    except OSError as error:
        if part is not None:
            with suppress(OSError):
                Path(part).unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> SavedPlan:
    """Raises UsageError if the file cannot be read, or is not a saved plan."""
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MOST_CHARACTERS + 1)  # a device tells no size
        if len(text) > _MOST_CHARACTERS:
            raise UsageError(f"{path} is too large for a saved plan")
        return SavedPlan.from_json(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a saved plan: {error}", hint="Make one with `bootstrapper plan --out FILE`."
        ) from error


def _is_saved_plan(path: Path) -> bool:
    try:
        read(path)
    except UsageError:
        return False
    return True
