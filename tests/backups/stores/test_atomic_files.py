"""Tests of drafts in folders that other users may write to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrapper.backups.stores.atomic_files import draft_folder, draft_path, sweep

DEPTH = 1200  # more than Python descends by recursion


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A draft with folders in folders; removed by a program that takes them."""
    folder = draft_path(tmp_path / "deep")
    script = f"mkdir '{folder}' && cd -P '{folder}' && for i in $(seq {DEPTH}); do mkdir a && cd -P a; done"
    subprocess.run(["/bin/sh", "-c", script], check=True)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_folders_too_deep_to_be_removed_stop_no_sweep(nested: Path, tmp_path: Path) -> None:
    with draft_folder(tmp_path / "killed") as (path, _):
        draft_path(tmp_path / "other").mkdir()
        assert set(sweep(tmp_path)) - {nested} == {draft_path(tmp_path / "other")}
        assert path.exists()


def test_what_another_user_put_into_a_shared_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft_path(tmp_path / "theirs").touch()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert sweep(tmp_path) == []
    assert draft_path(tmp_path / "theirs").exists()


@pytest.mark.parametrize(("mode", "is_swept"), [(0o700, True), (0o755, True), (0o777, False), (0o1777, False)])
def test_in_a_folder_that_only_its_owner_fills_all_drafts_are_swept(tmp_path: Path, mode: int, is_swept: bool) -> None:
    left = draft_path(tmp_path / "theirs")
    left.touch()
    os.chown(left, 65534, 65534)
    tmp_path.chmod(mode)
    assert sweep(tmp_path) == ([left] if is_swept else [])
