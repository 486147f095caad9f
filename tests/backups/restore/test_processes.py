"""Tests of what other users can see during a restore, and of where its programs are found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.backups.restore.shops import FILE, Shop
from tests.backups.take.test_processes import SPELLINGS, command_lines, program


@pytest.mark.parametrize(
    ("name", "way", "seen"),
    [
        ("one.dump", [], {"pg_restore"}),
        ("one.dump", ["--in-place"], {"pg_restore", "psql", "pg_dump"}),
        ("one.sql", [], {"psql"}),
    ],
)
def test_the_process_list_never_shows_the_password_during_a_restore(
    shop: Shop, name: str, way: list[str], seen: set[str]
) -> None:
    assert shop.run("backup", name).returncode == 0
    command = shop.project.command("restore", name, "--yes", "-e", "here", *way)
    process = subprocess.Popen(
        command,
        cwd=shop.project.folder,
        env=shop.project.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found: set[bytes] = set()
    while process.poll() is None:
        found.update(command_lines(process.pid).values())
    assert process.returncode == 0
    assert seen <= {program(line) for line in found}
    assert [line for line in found for text in SPELLINGS if text in line] == []


def test_programs_that_lie_beside_the_pg_dump_that_the_file_names_are_found(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "bin"
    folder.mkdir(parents=True)
    for name in ("pg_dump", "pg_restore", "psql"):
        original = shop.server.programs / name
        (folder / name).write_text(f"#!/bin/sh\necho $0 >> {tmp_path}/used\nexec '{original}' \"$@\"\n")
        (folder / name).chmod(0o755)
    shop.project.write(FILE.replace("    check: never", f"    with: {{pg_dump: {folder}/pg_dump}}\n    check: never"))
    shop.back_up()
    assert shop.run("restore", "--latest", "--yes").returncode == 0
    assert str(folder / "pg_restore") in (tmp_path / "used").read_text()
    shutil.rmtree(folder)
