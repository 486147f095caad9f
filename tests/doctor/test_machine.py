"""What is said of folders and programs of this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.doctor import machine
from bootstrapper.doctor.result import Result, Verdict
from bootstrapper.engine.open import resolve
from bootstrapper.engine.request import Request

FILE = "version: 1\ndatabase: {url: 'postgresql://db.example.com/shop'}\nsteps: [{uses: wait}]\n"


def folder(tmp_path: Path, size: int | None, **settings: Any) -> Result:
    file = tmp_path / "bootstrap.yaml"
    file.write_text(FILE)
    project = resolve(Request(file=file, variables={}), "doctor").project
    return machine.folder(BackupSettings(**settings), project, size)


def test_a_folder_of_backups_that_does_not_exist_is_judged_by_the_one_it_will_be_in(tmp_path: Path) -> None:
    found = folder(tmp_path, 1)
    assert found.verdict is Verdict.OK
    assert found.message.endswith(f" free in {tmp_path}/backups")
    assert not (tmp_path / "backups").exists()


def test_less_room_than_the_database_has_is_a_warning(tmp_path: Path) -> None:
    found = folder(tmp_path, 1 << 60)
    assert (found.verdict, "less than the database has" in found.message) == (Verdict.WARNING, True)


def test_a_remote_store_is_not_tried(tmp_path: Path) -> None:
    found = folder(tmp_path, 1, directory="s3://key:secret@bucket/prefix")
    assert found.message == "s3://key@bucket/prefix is remote, and was not tried"


def test_the_programs_of_an_unknown_server_are_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.yaml"
    file.write_text(FILE)
    project = resolve(Request(file=file, variables={"PATH": ""}), "doctor").project
    assert machine.programs(BackupSettings(), project, None).verdict is Verdict.WARNING
    assert machine.programs(BackupSettings(), project, 14).verdict is Verdict.OK
    assert machine.programs(BackupSettings(), project, 99).verdict is Verdict.PROBLEM


def test_a_queue_that_others_can_write_to_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = machine.queue()
    assert found.verdict is Verdict.OK
    Path(found.message).mkdir(mode=0o777)
    Path(found.message).chmod(0o777)
    found = machine.queue()
    assert (found.verdict, "is not ours alone" in found.message) == (Verdict.WARNING, True)
