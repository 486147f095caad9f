"""The lines of .gitignore that keep the embedded server and backups out of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bootstrapper.errors import UsageError

LINES = (".bootstrapper/", "backups/")


def missing(folder: Path) -> tuple[str, ...]:
    """Returns the lines that are not ignored yet, here or by a .gitignore above, up to the root of the repository."""
    present = set(_patterns(folder / ".gitignore", anchored=True))
    for above in _within_repository(folder):
        present |= set(_patterns(above / ".gitignore", anchored=False))
    return tuple(line for line in LINES if line.rstrip("/") not in present)


def extended(folder: Path, lines: Sequence[str]) -> bytes:
    """Returns the content of .gitignore with these lines at its end; raises UsageError if it cannot be read."""
    file = folder / ".gitignore"
    try:
        content = file.read_bytes() if file.exists() else b""
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    ending = b"\r\n" if b"\r\n" in content else b"\n"
    start = ending if content and not content.endswith(b"\n") else b""
    return content + start + b"".join(line.encode() + ending for line in lines)


def _within_repository(folder: Path) -> list[Path]:
    """Returns the folders above, up to the root of the repository; none if there is no repository."""
    every = (folder, *folder.parents)
    root = next((place for place in every if (place / ".git").exists()), folder)
    return list(folder.parents[: every.index(root)])


def _patterns(file: Path, *, anchored: bool) -> list[str]:
    """Returns its patterns without the slashes around them; one with a slash in front holds for its own folder."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = [line.strip() for line in lines]
    return [line.removeprefix("**/").strip("/") for line in found if anchored or not line.startswith("/")]
