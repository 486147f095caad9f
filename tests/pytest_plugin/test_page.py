"""The examples of the page are tests that pass, on the sample of this repository."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.pytest_plugin.sessions import TestedApplication

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "test-an-application.md").read_text(encoding="utf-8")
NO_MORE_PARTS = """
import os

def test_the_variable_is_set(bootstrap_database):
    assert os.environ["DATABASE_URL"] == bootstrap_database
"""
APP = """
from fastapi import FastAPI

from bootstrapper.integrations.asgi import lifespan

app = FastAPI(lifespan=lifespan())

@app.get("/")
def root() -> str:
    return "up"
"""
READY = """

def test_the_application_is_up(client):
    assert client.get("/").json() == "up"
"""


def test_the_examples_of_the_page_work_on_the_sample(application: TestedApplication) -> None:
    for name in ("bootstrap.yaml", "config", "migrations", "plugins"):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, application.folder / name, ignore=shutil.ignore_patterns("__pycache__", "webhook"))
        else:
            shutil.copy(place, application.folder / name)
    example, variable, client, marker = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    first, *_ = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (application.folder / "pytest.ini").unlink()
    application.write("pyproject.toml", first)
    application.write("test_words.py", example)
    application.write("test_variable.py", variable + NO_MORE_PARTS)
    application.write("app.py", APP)
    application.write("test_client.py", client + READY)
    application.write("test_marker.py", marker.replace("demo", "development") + example.partition("\n\n\n")[2])
    application.write("test_marker.py", "import psycopg\n" + (application.folder / "test_marker.py").read_text())
    assert application.passes() == 4
