"""Tests of `config`."""

from __future__ import annotations

import json

import pytest

from tests.cli.project import BOOTSTRAP, Project

pytestmark = pytest.mark.smoke


def test_config_show_prints_the_merged_file_without_the_password(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("${DATABASE_URL}", "postgresql://me:hunter2hunter2@db/app"))
    run = offline.run("config", "show")
    assert run.returncode == 0, run.stderr
    assert "name: first-note" in run.stdout
    assert "hunter2hunter2" not in run.stdout


def test_config_schema_is_a_json_schema(offline: Project) -> None:
    schema = json.loads(offline.run("config", "schema").stdout)
    assert {"steps", "fixtures", "database"} <= schema["properties"].keys()
