"""Tests of a disk that is full after any number of bytes."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.folder import Folder, backups, size_of
from bootstrapper.backups.take.verify import checksum
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError
from tests.backups.contexts import Bench, take, take_into

PAGE = 4096
KEY = "age1rplg24yj34g9ret9j9jwdurdz9aa7vf0qukwyn4jauttu9dhruqq80y46e"
SHAPES: dict[str, tuple[str, dict[str, object]]] = {
    "custom": ("one.dump", {}),
    "plain": ("one.sql", {}),
    "directory": ("one.dir", {"format": "directory"}),
    "encrypted": ("one.dump.age", {"encrypt": {"recipients": [KEY]}}),
}


def take_shape(bench: Bench, folder: Path, shape: str) -> None:
    name, options = SHAPES[shape]
    settings = BackupSettings.model_validate(options)
    format_ = settings.dated_format if shape == "directory" else settings.format_of(name)
    take_into(bench.context(), Folder(folder), name, settings, format_)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system with room for so many bytes."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    try:
        with small_disk(folder, PAGE):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def require_whole_or_nothing(folder: Path) -> bool:
    """Whether there is a backup, which then is whole."""
    found = backups(folder)
    left = {path.name for path in folder.iterdir()}
    assert left == {name for backup in found for name in (backup.path.name, f"{backup.path.name}.json")}
    for backup in found:
        assert backup.verified
        assert checksum(backup.path, Deadline.never()) == backup.manifest.sha256
    return bool(found)


def what_goes_wrong(bench: Bench, folder: Path, shape: str) -> str | None:
    try:
        take_shape(bench, folder, shape)
    except BackupError as error:
        return str(error)
    return None


@pytest.mark.parametrize("shape", SHAPES)
def test_a_disk_full_at_any_page_gives_an_error_and_no_file(bench: Bench, tmp_path: Path, shape: str) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.skip("only root may mount a small disk here")
    whole = tmp_path / "whole"
    whole.mkdir()
    take_shape(bench, whole, shape)
    pages = sum(-(-(size_of(path) or 0) // PAGE) for path in whole.iterdir()) + len(list(whole.glob("*.dir/*"))) + 2
    outcomes = []
    for size in range(PAGE, (pages + 3) * PAGE, PAGE):
        with small_disk(tmp_path / "disk", size) as disk:
            said = what_goes_wrong(bench, disk, shape)
            assert said is None or re.search(r"No space left|read the dump back|truncated|exit code 1", said), said
            assert require_whole_or_nothing(disk) is (said is None)
            outcomes.append(said is None)
    assert outcomes[0] is False
    assert outcomes[-1] is True
    assert outcomes == sorted(outcomes)  # from some size on it fits


def test_the_error_of_a_full_disk_names_the_folder(bench: Bench, tmp_path: Path) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.skip("only root may mount a small disk here")
    with small_disk(tmp_path / "disk", PAGE) as disk, pytest.raises(BackupError) as caught:
        take_shape(bench, disk, "custom")
    assert caught.value.hint == f"The disk of {disk} is full: free space on it, or choose another `directory`."


LIMITED = """
import resource, sys
from pathlib import Path
from tests.backups.contexts import take
from bootstrapper.errors import BackupError
from tests.backups.contexts import make_bench
bench = make_bench(sys.argv[1], Path(sys.argv[2]))
for size in map(int, sys.argv[3:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        take(bench.context(), Path(sys.argv[2]) / f"{size}.dump")
        print("taken", size)
    except BackupError as error:
        print("failed", size)
"""


def test_a_limit_on_the_size_of_files_gives_an_error_and_no_file(bench: Bench, tmp_path: Path) -> None:
    size = take(bench.context(), tmp_path / "whole.dump").manifest.size
    limits = [0, 1, 511, 4000, size // 2, size - 1, size + 1000]
    command = [sys.executable, "-c", LIMITED, bench.target.url(), str(tmp_path), *map(str, limits)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [*(f"failed {limit}" for limit in limits[:-1]), f"taken {limits[-1]}"]
    assert len(backups(tmp_path)) == 2
    assert require_whole_or_nothing(tmp_path)


def test_a_manifest_that_does_not_fit_leaves_no_dump_either(bench: Bench, tmp_path: Path) -> None:
    """The dump is smaller than its manifest here, so that a limit stops only the latter."""
    bench.execute("DROP TABLE users")
    many = [f"CREATE TABLE a_table_with_a_long_name_{number} (id int)" for number in range(60)]
    bench.execute("; ".join(many))
    dump = take(bench.context(), tmp_path / "whole.sql", BackupSettings(tables=("a_table_with_a_long_name_1",)))
    written = (tmp_path / "whole.sql.json").stat().st_size
    assert dump.manifest.size < written - 500
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written - 300, before[1]))
    try:
        with pytest.raises(BackupError, match=r"cannot write .*two\.sql: File too large"):
            take(bench.context(), tmp_path / "two.sql", BackupSettings(tables=("a_table_with_a_long_name_1",)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("*two*"))
    assert require_whole_or_nothing(tmp_path)
