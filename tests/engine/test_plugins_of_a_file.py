"""Local plugins in a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.errors import (
    PluginError,
)
from tests.engine.notes import NOTE, ONE_TABLE, note, plugin
from tests.projects import TrialProject


def test_two_plugins_of_the_same_file_name_do_not_get_into_each_others_way(project: TrialProject) -> None:
    body = """
from dataclasses import dataclass
class {name}(Step):
    uses = "{uses}"
    def changes(self, context):
        import sys
        return [Change.create(sys.modules[type(self).__module__].{name}.uses)]
    def apply(self, context, changes): ...
@hookimpl
def bootstrapper_steps(): return [{name}]
"""
    plugin(project, body.format(name="First", uses="first"), folder="a")
    plugin(project, body.format(name="Second", uses="second"), folder="b")
    project.write("plugins: [./a, ./b]\nsteps: [{uses: lock}, {uses: first}, {uses: second}]\n")
    assert [step.changes[0].target for step in project.plan().pending] == ["first", "second"]


@pytest.mark.parametrize(
    ("plugins", "body", "said"),
    [
        ("[./plugins, ./plugins/]", "@hookimpl\ndef bootstrapper_steps(): return []", "twice"),
        ("[./plugins]", "import sys; sys.exit(0)", "SystemExit"),
        ("[./plugins]", "@hookimpl\ndef bootstrapper_steps(everything): return []", "everything"),
        ("['~nobody_of_this_name/x']", "", "folder"),
    ],
)
def test_a_plugin_that_cannot_be_registered_is_named(project: TrialProject, plugins: str, body: str, said: str) -> None:
    plugin(project, body)
    project.write(f"plugins: {plugins}\n" + ONE_TABLE)
    with pytest.raises(PluginError, match=said):
        project.plan()


def test_a_folder_below_the_home_directory_is_found(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    note(project)
    project.write(NOTE.replace("./plugins", "~/plugins"))
    assert [step.name for step in project.plan().pending] == ["note"]
