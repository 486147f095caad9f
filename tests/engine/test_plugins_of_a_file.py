"""Local plugins in a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.api import project as projects
from bootstrapper.errors import GuardError, PluginError
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


IN_PRODUCTION = "environments: {live: {protected: true}, here: {}}\nplugins: [./plugins]\n" + ONE_TABLE
IMPORTED = """
from pathlib import Path
from bootstrapper import hookimpl
Path(__file__).with_name('imported').touch()
@hookimpl
def bootstrapper_steps(): return []
"""


@pytest.mark.parametrize("name", ["", "_helper.py", "plugin.py"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_plugins_that_others_may_write_are_refused_in_a_protected_environment_before_they_are_imported(
    project: TrialProject, name: str, mode: int
) -> None:
    plugin(project, "", name="plugin")
    folder = project.folder / "plugins"
    folder.chmod(0o755)
    for file in ("_helper.py", "plugin.py"):
        (folder / file).write_text(IMPORTED)
        (folder / file).chmod(0o644)
    project.write(IN_PRODUCTION)
    projects.validate(project.request(environment="live"))
    (folder / "imported").unlink()
    (folder / "plugin.py").write_text(IMPORTED + "# as new\n")
    path = folder / name
    path.chmod(path.stat().st_mode | mode)
    with pytest.raises(GuardError, match="must not be writable by other users") as caught:
        projects.validate(project.request(environment="live"))
    assert (str(caught.value.source).endswith("bootstrap.yaml:6:11"), caught.value.exit_code) == (True, 9)
    with pytest.raises(GuardError):
        project.apply(environment="live")
    assert not (folder / "imported").exists()
    projects.validate(project.request(environment="here"))
    assert (folder / "imported").exists()


@pytest.mark.parametrize("name", ["inner", "inner/words.py", "inner/__pycache__"])
def test_a_file_beside_a_plugin_that_others_may_write_is_refused_in_a_protected_environment(
    project: TrialProject, name: str
) -> None:
    plugin(project, "from .inner import words\n@hookimpl\ndef bootstrapper_steps(): return []")
    folder = project.folder / "plugins"
    (folder / "inner" / "__pycache__").mkdir(parents=True)
    (folder / "inner" / "words.py").write_text("")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    project.write(IN_PRODUCTION)
    projects.validate(project.request(environment="live"))
    (folder / name).chmod(0o777)
    with pytest.raises(GuardError, match=rf"must not be writable by other users: .*/{name}"):
        projects.validate(project.request(environment="live"))


def test_a_file_beside_a_plugin_belongs_to_the_digest_of_the_configuration(project: TrialProject) -> None:
    plugin(project, "from .inner import words\n@hookimpl\ndef bootstrapper_steps(): return []")
    helper = project.folder / "plugins" / "inner" / "words.py"
    helper.parent.mkdir()
    helper.write_text("WORD = 'one'")
    project.write("plugins: [./plugins]\n" + ONE_TABLE)
    before = project.plan().inputs
    helper.write_text("WORD = 'another'")
    assert project.plan().inputs != before
