"""Tests of `plugins`."""

from __future__ import annotations

import json

import pytest

from bootstrapper import __version__
from tests.cli.project import BOOTSTRAP, Project
from tests.cli.pseudoterminal import on_terminal

pytestmark = pytest.mark.smoke


def test_plugins_list_includes_the_built_ins(offline: Project) -> None:
    text = offline.run("plugins", "list").stdout
    assert "renderers  text, json, markdown, sarif" in text
    found = json.loads(offline.run("plugins", "list", "--format", "json").stdout)
    assert "wait" in found[0]["steps"]


def test_plugins_list_keeps_its_columns_on_a_narrow_terminal(offline: Project) -> None:
    shown, code = on_terminal(offline, ["plugins", "list"], COLUMNS="60")
    lines = shown.splitlines()
    assert (code, [line for line in lines if len(line) > 60]) == (0, [])
    assert "    checks     backup, database, environment, extension,\n               fixtures," in "\n".join(lines)


def test_plugins_list_shows_what_failed_to_load_and_why(offline: Project) -> None:
    offline.write("raise OSError('no luck')", "plugins/broken.py")
    offline.write(BOOTSTRAP + "plugins: [./plugins, bootstrapper-nothing]\n")
    done = offline.run("plugins", "list")
    text = " ".join(done.stdout.split())
    assert "broken.py): failed to load fails to import: line 1: OSError: no luck" in text
    assert "bootstrapper-nothing (bootstrapper-nothing): failed to load no installed distribution" in text
    assert f"built-in {__version__} (bootstrapper) steps" in text
    listed = offline.run("plugins", "list", "--format", "json")
    found = {each["name"]: each for each in json.loads(listed.stdout)}
    assert found["broken"]["failure"] == "fails to import: line 1: OSError: no luck"
    assert (found["built-in"]["failure"], found["built-in"]["version"]) == (None, __version__)
    assert (done.returncode, listed.returncode, done.stderr) == (2, 2, "")


def test_plugins_list_does_not_print_a_secret_that_a_failure_quotes(offline: Project) -> None:
    offline.write("import os\nraise OSError(os.environ['API_TOKEN'])", "plugins/broken.py")
    offline.write(BOOTSTRAP + "plugins: [./plugins]\n")
    done = offline.run("plugins", "list", API_TOKEN="hunter2hunter2")
    assert ("OSError: ***" in done.stdout, "hunter2hunter2" in done.stdout) == (True, False)
