"""What programs in a project's interpreter may rely on: nothing of ours, and no newer Python than projects have."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrapper.migrations.project import packages
from bootstrapper.migrations.worker import process

WORKER = Path(process.__file__).with_name("worker.py")
LOCATOR = Path(packages.__file__).with_name("locator.py")
REPOSITORY = Path(__file__).parents[3]

PLAN_ONLY = """
import sys
from pathlib import Path
from bootstrapper.migrations.history.versions import Versions
from bootstrapper.migrations.state import compare, read_declared
from bootstrapper.builtin.steps.migrate import Migrate
from bootstrapper.builtin.checks.revision import RevisionCheck
from bootstrapper.deadline import Deadline
from tests.migrations.contexts import make_project
project = make_project(Path(sys.argv[1]), "postgresql://nobody@localhost/nowhere")
settings = Migrate.With(script_location="migrations")
declared = read_declared(settings, project, deadline=Deadline.never(), report=print)
assert [revision.id for revision in compare(declared, Versions()).pending] == ["001_initial"]
print(sorted({name.partition(".")[0] for name in sys.modules} & {"alembic", "sqlalchemy", "mako", "migrations"}))
"""


@pytest.mark.parametrize("program", [WORKER, LOCATOR])
def test_it_is_written_for_python_3_9(program: Path) -> None:
    ast.parse(program.read_text(), feature_version=(3, 9))
    assert "from __future__ import annotations" in program.read_text()


@pytest.mark.parametrize(("program", "needed"), [(WORKER, {"alembic", "sqlalchemy"}), (LOCATOR, set())])
def test_it_imports_only_alembic_what_alembic_needs_and_the_standard_library(program: Path, needed: set[str]) -> None:
    nodes = list(ast.walk(ast.parse(program.read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert foreign == needed


def test_planning_imports_neither_alembic_nor_sqlalchemy_nor_the_project() -> None:
    command = [sys.executable, "-c", PLAN_ONLY, str(REPOSITORY)]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
