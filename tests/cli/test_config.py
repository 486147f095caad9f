"""Tests of `config`."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.cli.project import BOOTSTRAP, ROOT, Project

pytestmark = pytest.mark.smoke


def test_config_show_prints_the_merged_file_without_the_password(offline: Project) -> None:
    offline.write(BOOTSTRAP.replace("${DATABASE_URL}", "postgresql://me:hunter2hunter2@db/app"))
    run = offline.run("config", "show")
    assert run.returncode == 0, run.stderr
    assert "name: first-note" in run.stdout
    assert "hunter2hunter2" not in run.stdout


def test_the_published_schema_of_plans_is_the_one_that_the_code_gives(offline: Project) -> None:
    published = (ROOT / "config" / "plan.schema.json").read_text(encoding="utf-8")
    assert offline.run("config", "schema", "--plan").stdout == published


def test_plans_printed_and_saved_fit_their_schema(project: Project) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((ROOT / "config" / "plan.schema.json").read_text()))
    printed = project.run("plan", "--out", "plan.json", "--format", "json").stdout
    validator.validate(json.loads(printed))
    validator.validate(json.loads((project.folder / "plan.json").read_text()))
    assert not validator.is_valid({**json.loads(printed), "payload": 1})


def test_config_schema_is_a_json_schema(offline: Project) -> None:
    schema = json.loads(offline.run("config", "schema").stdout)
    assert {"steps", "fixtures", "database"} <= schema["properties"].keys()
