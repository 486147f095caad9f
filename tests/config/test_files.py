"""What is in a file is found out once in a run, and again when the file changes."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from bootstrapper.config import files
from bootstrapper.config.run_cache import RunCache

TEXTS = files.FileFacts[str]()
NUMBERS = files.FileFacts[int]()


def test_a_file_is_read_again_only_when_it_changes(tmp_path: Path) -> None:
    file, cache, calls = tmp_path / "file", RunCache(), list[str]()

    def find() -> str:
        calls.append(file.read_text())
        return calls[-1]

    file.write_text("one")
    assert [files.once(cache, TEXTS, file, find) for _ in range(2)] == ["one", "one"]
    file.write_text("two, of another size")
    assert files.once(cache, TEXTS, file, find) == "two, of another size"
    (tmp_path / "other").write_text("put in its place, now")
    (tmp_path / "other").replace(file)
    files.once(cache, TEXTS, file, find)
    assert calls == ["one", "two, of another size", "put in its place, now"]


def rewrite(file: Path, text: str) -> None:
    """As a tool that copies does: with the old time of modification."""
    stat = file.stat()
    file.write_text(text)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_file_that_is_rewritten_in_its_size_and_with_its_old_time_is_read_again(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", RunCache()
    file.write_text("one")
    before, deadline = files.sha256(cache, file), time.monotonic() + 5
    rewrite(file, "two")
    while files.sha256(cache, file) == before and time.monotonic() < deadline:
        rewrite(file, "two")  # the clock of a file system stands still for some milliseconds
    assert files.sha256(cache, file) != before


def test_different_questions_about_a_file_have_different_answers(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", RunCache()
    file.write_text("one")
    assert files.once(cache, NUMBERS, file, lambda: 1, depends_on="a") == 1
    assert files.once(cache, NUMBERS, file, lambda: 2, depends_on="b") == 2
    assert files.once(cache, TEXTS, file, lambda: "3", depends_on="a") == "3"


@pytest.mark.parametrize("size", [0, 4, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1])
def test_a_digest_is_of_the_content(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * 257
    (tmp_path / "file").write_bytes(content[:size])
    digest = files.sha256(RunCache(), tmp_path / "file")
    assert digest == hashlib.sha256(content[:size]).hexdigest()


def test_a_file_that_does_not_exist_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.sha256(RunCache(), tmp_path / "none")


def test_a_pipe_has_no_digest_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        files.sha256(RunCache(), tmp_path / "pipe")


def test_a_name_that_is_too_long_is_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 5000)
    assert not files.is_file(path)
    assert not files.is_folder(path)
