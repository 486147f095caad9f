"""A project of each kind, with an interpreter of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments.building import interpreter
from tests.environments.kinds import KINDS, Environment, Kind
from tests.environments.project import OwnProject


@pytest.fixture(scope="session")
def interpreters() -> Callable[[Environment], Path]:
    """Makes an environment when the first test asks for it."""
    made: dict[Environment, Path] = {}

    def find(environment: Environment) -> Path:
        if environment not in made:
            made[environment] = interpreter(environment)
        return made[environment]

    return find


@pytest.fixture(params=KINDS, ids=str)
def own(
    request: pytest.FixtureRequest, interpreters: Callable[[Environment], Path], tmp_path: Path, database: str
) -> OwnProject:
    """A project of each kind on an empty database."""
    kind: Kind = request.param
    return OwnProject(kind, tmp_path, database, interpreters(kind.environment))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make environments` runs this folder, `make test` leaves it out: it installs what it needs."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("environments")
