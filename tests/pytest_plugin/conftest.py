"""An application to be tested, with a template that is dropped afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pytest_plugin.sessions import STEPS, TESTS, TestedApplication
from tests.servers import Server


@pytest.fixture
def application(tmp_path: Path, server: Server, database: str) -> Iterator[TestedApplication]:
    """The file declares a table with two words; four tests compare and delete them."""
    application = TestedApplication(tmp_path, server, database)
    application.write("bootstrap.yaml", STEPS)
    application.write("test_words.py", TESTS)
    application.configure()
    yield application
    for name in application.templates():
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
