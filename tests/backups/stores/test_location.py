"""Tests of where backups go, and of warnings about it."""

from pathlib import Path

import pytest

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores import location
from bootstrapper.backups.stores.folder import Folder
from bootstrapper.backups.stores.location import folder_in_container, store_of
from tests.backups.contexts import Bench, make_bench


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the tests run in: no mark of a container is found unless a test makes one."""
    monkeypatch.setattr(location, "_MARKERS", (tmp_path / ".dockerenv", tmp_path / ".containerenv"))
    monkeypatch.setattr(location, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(location, "ROOT", tmp_path)


def folder_of(bench: Bench, **options: str) -> Path | None:
    return folder_in_container(BackupSettings.model_validate(options), bench.context())


@pytest.mark.parametrize("mark", [".dockerenv", ".containerenv"])
def test_a_relative_folder_ends_with_the_container_it_is_in(bench: Bench, tmp_path: Path, mark: str) -> None:
    assert folder_of(bench) is None
    (tmp_path / mark).touch()
    assert folder_of(bench) == tmp_path / "backups"
    assert folder_of(bench, file="dumps/one.dump") == tmp_path / "dumps"


@pytest.mark.parametrize("line", ["0::/docker/abc", "12:pids:/kubepods/besteffort/pod1", "1:x:/libpod_parent/y"])
def test_a_container_is_known_by_its_control_group(bench: Bench, tmp_path: Path, line: str) -> None:
    (tmp_path / "cgroup").write_text("0::/init.scope\n")
    assert folder_of(bench) is None
    (tmp_path / "cgroup").write_text(line + "\n")
    assert folder_of(bench) == tmp_path / "backups"


def test_kubernetes_says_so_itself(bench: Bench, tmp_path: Path) -> None:
    pod = make_bench(bench.target.url(), tmp_path, variables={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    try:
        assert folder_of(pod) == tmp_path / "backups"
    finally:
        pod.session.close()


def test_an_absolute_folder_a_volume_and_a_url_were_chosen_with_care(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dockerenv").touch()
    assert folder_of(bench, directory=str(tmp_path / "backups")) is None
    assert folder_of(bench, directory="s3://bucket/prefix") is None
    monkeypatch.setattr(location, "ROOT", Path("/proc"))  # of another file system than the folder
    assert folder_of(bench) is None


@pytest.mark.parametrize("directory", ["backups", "file://backups", "../backups"])
def test_a_local_directory_starts_at_the_file(bench: Bench, tmp_path: Path, directory: str) -> None:
    store = store_of(BackupSettings(directory=directory), bench.context())
    assert isinstance(store, Folder)
    assert store.path == (tmp_path / directory.removeprefix("file://")).absolute()


def test_secrets_of_a_remote_place_are_masked(bench: Bench) -> None:
    storage = {"secret": "tiger-one", "sas_token": "tiger-two", "endpoint_url": "http://here"}
    settings = {"directory": "memory://user:tiger-three@x/y", "storage": storage}
    store_of(BackupSettings.model_validate(settings), bench.context())
    assert bench.masker.mask("tiger-one tiger-two tiger-three http://here") == "*** *** *** http://here"
