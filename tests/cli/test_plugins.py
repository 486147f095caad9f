"""Tests of `plugins`."""

from __future__ import annotations

import json

import pytest

from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal

pytestmark = pytest.mark.smoke


def test_plugins_list_includes_the_built_ins(offline: Project) -> None:
    text = offline.run("plugins", "list").stdout
    assert "renderers  text, json, markdown" in text
    found = json.loads(offline.run("plugins", "list", "--format", "json").stdout)
    assert "wait" in found[0]["steps"]


def test_plugins_list_keeps_its_columns_on_a_narrow_terminal(offline: Project) -> None:
    shown, code = on_terminal(offline, ["plugins", "list"], COLUMNS="60")
    lines = shown.splitlines()
    assert (code, [line for line in lines if len(line) > 60]) == (0, [])
    assert "    checks     backup, database, environment, extension,\n               fixtures," in "\n".join(lines)
