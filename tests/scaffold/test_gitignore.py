"""The lines that `init` adds to .gitignore."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.scaffold.gitignore import LINES, extended, missing


@pytest.mark.parametrize("pattern", [".bootstrapper", "/.bootstrapper/", "**/.bootstrapper/", ".bootstrapper/ "])
def test_a_folder_that_is_ignored_is_not_added_again(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    assert missing(tmp_path) == ("backups/",)


def test_patterns_of_the_repository_hold_for_its_folders(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (folder := tmp_path / "backend").mkdir()
    (tmp_path / ".gitignore").write_text("backups/\n/.bootstrapper/\n")
    assert missing(folder) == (".bootstrapper/",)


def test_without_a_repository_the_folders_above_do_not_count(tmp_path: Path) -> None:
    (folder := tmp_path / "backend").mkdir()
    (tmp_path / ".gitignore").write_text("backups/\n.bootstrapper/\n")
    assert missing(folder) == LINES


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"backups/\n"),
        (b"*.pyc\n", b"*.pyc\nbackups/\n"),
        (b"*.pyc", b"*.pyc\nbackups/\n"),
        (b"*.pyc\r\n", b"*.pyc\r\nbackups/\r\n"),
    ],
)
def test_lines_are_added_at_the_end_in_the_style_of_the_file(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / ".gitignore").write_bytes(before)
    assert extended(tmp_path, ["backups/"]) == after
