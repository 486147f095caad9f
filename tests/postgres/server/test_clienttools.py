import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrapper.errors import ClientToolsError, ExitCode
from bootstrapper.postgres.server.clienttools import USUAL_PLACES, find_tools
from tests.servers import unprivileged

NAMES = ("pg_dump", "pg_restore")


def make_tools(folder: Path, version: str, names: tuple[str, ...] = NAMES) -> Path:
    """Programs that answer --version as PostgreSQL's do."""
    folder.mkdir(parents=True)
    for name in names:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return folder


def test_the_nearest_major_that_is_not_below_the_servers_is_taken(tmp_path: Path) -> None:
    folders = [make_tools(tmp_path / name, f"{name}.3") for name in ("14", "17", "16")]
    tools = find_tools(NAMES, 15, os.pathsep.join(map(str, folders)), places=())
    assert (tools.version_text, tools.program("pg_restore")) == ("16.3", folders[2] / "pg_restore")


def test_among_the_same_major_the_newest_minor_is_taken(tmp_path: Path) -> None:
    make_tools(tmp_path / "old", "17.2")
    make_tools(tmp_path / "new", "17.10")
    assert find_tools(NAMES, 17, "", places=[f"{tmp_path}/*"]).version == (17, 10)


def test_a_beta_counts_as_its_major(tmp_path: Path) -> None:
    folder = make_tools(tmp_path / "beta", "19beta2 (Debian 19~beta2-1)")
    assert find_tools(NAMES, 19, str(folder), places=()).version == (19, 0)


def test_a_folder_without_all_programs_is_passed_over(tmp_path: Path) -> None:
    make_tools(tmp_path / "15", "15.1", names=("pg_dump",))
    make_tools(tmp_path / "16", "16.1")
    assert find_tools(NAMES, 15, "", places=[f"{tmp_path}/*"]).folder == tmp_path / "16"


def test_the_wrapper_of_debian_is_passed_over_for_the_programs_behind_it(tmp_path: Path) -> None:
    make_tools(tmp_path / "share", "15.9", names=("pg_wrapper",))
    (tmp_path / "bin").mkdir()
    for name in NAMES:
        (tmp_path / "bin" / name).symlink_to(tmp_path / "share" / "pg_wrapper")
    real = make_tools(tmp_path / "lib", "15.9")
    assert find_tools(NAMES, 15, str(tmp_path / "bin"), places=[str(real)]).folder == real


def test_the_embedded_wheel_is_found_without_path(tmp_path: Path) -> None:
    tools = find_tools((*NAMES, "psql"), 18, "", places=())
    assert tools.version[0] == 18
    assert tools.program("psql").is_file()


def test_a_program_that_does_not_run_here_is_passed_over(tmp_path: Path) -> None:
    broken = make_tools(tmp_path / "broken", "18.1")
    (broken / "pg_dump").write_bytes(b"\x7fELF of another machine")
    assert find_tools(NAMES, 18, str(broken), places=()).folder != broken


def test_with_only_older_ones_the_error_names_versions_and_places(tmp_path: Path) -> None:
    folder = make_tools(tmp_path / "17", "17.4")
    with pytest.raises(ClientToolsError) as caught:
        find_tools(NAMES, 99, str(folder), places=())
    assert f"no pg_dump of PostgreSQL 99 or newer: found 17.4 in {folder}" in caught.value.message
    assert str(folder) in caught.value.looked_in
    assert caught.value.exit_code == ExitCode.FAILED


def test_the_places_of_the_packages_are_looked_in() -> None:
    assert {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} <= {*USUAL_PLACES}


def test_a_folder_on_path_without_permission_is_passed_over(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    make_tools(closed / "bin", "17.1")
    tools = make_tools(tmp_path / "open", "17.2")
    closed.chmod(0)
    code = (
        "import sys; from bootstrapper.postgres.server.clienttools import find_tools\n"
        "print(find_tools(*eval(sys.argv[1])))"
    )
    arguments = repr((NAMES, 17, f"{closed / 'bin'}{os.pathsep}{tools}", ()))
    command = unprivileged([sys.executable, "-c", code, arguments])
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    finally:
        closed.chmod(0o700)
    assert "version=(17, 2)" in done.stdout, done.stderr
