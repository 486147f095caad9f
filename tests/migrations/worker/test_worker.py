"""What programs in a project's interpreter may rely on: no bootstrapper, and no newer Python than projects have."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bootstrapper.errors import MigrationError
from bootstrapper.migrations.project import packages
from bootstrapper.migrations.worker import process
from tests.migrations.contexts import trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision

PROGRAM = Path(process.__file__).with_name("program")
WORKER = sorted(PROGRAM.rglob("*.py"))
LOCATOR = Path(packages.__file__).with_name("locator.py")
REPOSITORY = Path(__file__).parents[3]

PLAN_ONLY = """
import sys
from pathlib import Path
from bootstrapper.migrations.history.versions import Versions
from bootstrapper.migrations.settings import MigrationSettings
from bootstrapper.migrations.state import compare, read_declared
from bootstrapper.builtin.steps.migrate import Migrate
from bootstrapper.builtin.checks.revision import RevisionCheck
from bootstrapper.deadline import Deadline
from tests.migrations.contexts import make_project
project = make_project(Path(sys.argv[1]), "postgresql://nobody@localhost/nowhere")
settings = MigrationSettings(script_location="migrations")
declared = read_declared(settings, project, deadline=Deadline.never(), report=print)
assert [revision.id for revision in compare(declared, Versions()).pending] == ["001_initial"]
print(sorted({name.partition(".")[0] for name in sys.modules} & {"alembic", "sqlalchemy", "mako", "migrations"}))
"""


AT_ITS_END = """
import atexit, time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
atexit.register(print, "exit function")
ThreadPoolExecutor(1).submit(print, "executor")
Thread(target=lambda: (time.sleep(0.3), print("thread", end=""))).start()
"""


def test_threads_and_exit_functions_of_the_project_end_before_the_worker(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, AT_ITS_END + ENV)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert migrate.lines == ["executor", "threadexit function"]


@pytest.mark.parametrize("module", [*WORKER, LOCATOR], ids=lambda path: path.stem)
def test_a_module_is_written_for_python_3_9(module: Path) -> None:
    text = module.read_text()
    tree = ast.parse(text, feature_version=(3, 9))
    assert len(tree.body) == 1 or "from __future__ import annotations" in text
    assert len(text.splitlines()) < 300


def imported(modules: Sequence[Path]) -> set[str]:
    """The packages outside the standard library."""
    nodes = [node for module in modules for node in ast.walk(ast.parse(module.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_the_worker_imports_only_alembic_and_what_alembic_requires() -> None:
    assert imported(WORKER) == {"alembic", "sqlalchemy", "bootstrapper_worker"}


def test_the_locator_imports_only_the_standard_library() -> None:
    assert imported([LOCATOR]) == set()


def test_the_folder_of_the_worker_is_not_in_the_path_of_the_project(tmp_path: Path, database: str) -> None:
    write_env(tmp_path, f"import sys\nprint('path', *sys.path, *sys.argv[1:], sep=chr(10))\n{ENV}")
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert str(tmp_path) in migrate.lines
        assert [line for line in migrate.lines if line.startswith(str(PROGRAM))] == []


def test_a_traceback_shows_frames_of_the_project_and_none_of_the_worker(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade="raise ValueError('three')")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        with pytest.raises(MigrationError, match="ValueError: three") as caught:
            migrate.apply()
        assert caught.value.traceback is not None
        assert "first_.py" in caught.value.traceback
        assert str(PROGRAM) not in caught.value.traceback


def test_planning_imports_neither_alembic_nor_sqlalchemy_nor_the_project() -> None:
    command = [sys.executable, "-c", PLAN_ONLY, str(REPOSITORY)]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
