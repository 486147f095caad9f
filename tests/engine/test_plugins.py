"""Plugins from folders and distributions: what they bring, and what is said of one that does not work."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootstrapper import __version__
from bootstrapper.engine import plugins
from bootstrapper.engine.plugin_registry import PluginInfo
from bootstrapper.errors import PluginError, Source

PLACE = Source("bootstrap.yaml", 7, 10)

STEP = """
from bootstrapper import Step, hookimpl

class Greet(Step):
    uses = "{uses}"
    def changes(self, context): return []
    def apply(self, context, changes): pass

@hookimpl
def bootstrapper_steps(): return [Greet]
"""


def load(folder: Path, *more: str) -> plugins.Plugins:
    return plugins.load([(text, PLACE) for text in ("./plugins", *more)], folder)


def survey(folder: Path, *more: str) -> dict[str, PluginInfo]:
    return {info.name: info for info in plugins.survey([(text, PLACE) for text in ("./plugins", *more)], folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "plugins" / name
    path.write_text(text)
    return path


def test_a_file_in_a_listed_folder_provides_its_step(folder: Path) -> None:
    write(folder, "greet.py", STEP.format(uses="greet"))
    found = load(folder)
    assert found.steps["greet"].__name__ == "Greet"
    assert survey(folder)["greet"].steps == ("greet",)


def test_built_ins_come_through_the_same_hooks(folder: Path) -> None:
    assert {"wait", "lock", "backup", "extension", "migrate", "seed", "sql", "command"} <= set(load(folder).steps)
    assert survey(folder)["built-in"].version == __version__


def test_a_file_that_starts_with_an_underscore_is_not_a_plugin(folder: Path) -> None:
    write(folder, "_shared.py", "raise RuntimeError")
    assert load(folder).files == ()


@pytest.mark.parametrize("uses", ["seed", "greet"])
def test_two_steps_of_one_name_are_refused_with_both_origins(folder: Path, uses: str) -> None:
    write(folder, "a.py", STEP.format(uses="greet"))
    second = write(folder, "b.py", STEP.format(uses=uses))
    with pytest.raises(PluginError, match=f"step '{uses}' is already provided by") as caught:
        load(folder)
    assert str(second) in str(caught.value)


def test_a_plugin_that_fails_to_import_is_named_with_the_line(folder: Path) -> None:
    path = write(folder, "broken.py", "x = 1\nraise OSError('no luck')\n")
    with pytest.raises(PluginError) as caught:
        load(folder)
    assert f"plugin {path}: fails to import: line 2: OSError: no luck" in str(caught.value)


def test_a_syntax_error_is_named_with_the_line(folder: Path) -> None:
    write(folder, "broken.py", "x = 1\nx = = 2\n")
    with pytest.raises(PluginError, match="line 2: invalid syntax"):
        load(folder)


def test_a_hook_of_an_unknown_name_is_refused_with_a_suggestion(folder: Path) -> None:
    path = write(folder, "typo.py", STEP.format(uses="greet").replace("bootstrapper_steps", "bootstrapper_stepps"))
    with pytest.raises(PluginError, match="unknown hook 'bootstrapper_stepps'") as caught:
        load(folder)
    assert caught.value.hint == "Did you mean 'bootstrapper_steps'?"
    assert str(path) in str(caught.value)


def test_a_hook_without_its_marker_is_refused(folder: Path) -> None:
    write(folder, "bare.py", STEP.format(uses="greet").replace("@hookimpl\n", ""))
    with pytest.raises(PluginError, match="bootstrapper_steps is not marked as a hook"):
        load(folder)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (
            STEP.format(uses="greet").replace("return [Greet]", "return Greet"),
            "must return a list of classes, not the class Greet",
        ),
        (
            STEP.format(uses="greet").replace("return [Greet]", "return [int]"),
            "not a subclass of Gate or Scope or Step",
        ),
        (STEP.format(uses="greet").replace("return [Greet]", "return [1 / 0]"), "raised ZeroDivisionError"),
        (
            STEP.format(uses="greet").replace("    def apply(self, context, changes): pass\n", ""),
            "does not define apply",
        ),
        (STEP.format(uses=""), "has no `uses`"),
        (STEP.format(uses="greet").replace('"greet"', "5"), "`uses` of Greet must be text, not int"),
    ],
)
def test_a_hook_with_an_invalid_result_is_refused(folder: Path, broken: str, reason: str) -> None:
    write(folder, "nonsense.py", broken)
    with pytest.raises(PluginError, match=reason):
        load(folder)


@pytest.mark.parametrize(
    ("made", "reason"), [("Greet()", "raised TypeError"), ("Greet('greet', None)", "Greet is returned as an instance")]
)
def test_a_hook_that_returns_an_instance_gets_a_hint(folder: Path, made: str, reason: str) -> None:
    write(folder, "made.py", STEP.format(uses="greet").replace("[Greet]", f"[{made}]"))
    with pytest.raises(PluginError, match=reason) as caught:
        load(folder)
    assert caught.value.hint == "Return the class, not an instance of it: `[Name]`, not `[Name()]`."


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("async def bootstrapper_events(event): ...", "bootstrapper_events is asynchronous; it must be `def`"),
        ("async def bootstrapper_steps(): return []", "bootstrapper_steps is asynchronous; it must be `def`"),
        ("def bootstrapper_events(e): ...", r"bootstrapper_events must take \(event\), not \(e\)$"),
        ("def bootstrapper_events(*, event): ...", r"bootstrapper_events must take \(event\), not \(\*, event\)$"),
        ("def bootstrapper_steps(context): return []", r"bootstrapper_steps must take \(\), not \(context\)$"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused_when_it_is_loaded(folder: Path, function: str, reason: str) -> None:
    write(folder, "odd.py", f"from bootstrapper import hookimpl\n\n@hookimpl\n{function}\n")
    with pytest.raises(PluginError, match=reason):
        load(folder)


def test_a_hook_need_not_take_what_it_does_not_use(folder: Path) -> None:
    text = "from bootstrapper import hookimpl\n\n@hookimpl\ndef bootstrapper_events(known=1): ...\n"
    write(folder, "few.py", text)
    load(folder)
    assert survey(folder)["few"].hooks == ("events",)


def test_a_missing_folder_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="folder does not exist") as caught:
        load(tmp_path)
    assert str(caught.value).startswith("bootstrap.yaml:7:10: ")


def test_a_distribution_that_is_not_installed_is_named_with_its_place(folder: Path) -> None:
    with pytest.raises(PluginError, match="bootstrapper-nothing: no installed distribution") as caught:
        load(folder, "bootstrapper-nothing")
    assert caught.value.source == PLACE


@pytest.fixture
def distribution(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with an entry point, as an installer would leave it."""
    site = folder / "site"
    info = site / "bootstrapper_greetings-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bootstrapper-greetings\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bootstrapper]\ngreetings = greetings_plugin\n")
    (site / "greetings_plugin.py").write_text(STEP.format(uses="greet"))
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "greetings_plugin", raising=False)
    return site


def test_a_listed_distribution_provides_its_step(folder: Path, distribution: Path) -> None:
    assert "greet" in load(folder, "bootstrapper_greetings").steps


def test_the_code_and_the_version_of_a_distribution_belong_to_its_plugins(folder: Path, distribution: Path) -> None:
    found = load(folder, "bootstrapper-greetings")
    assert found.files[-1] == distribution / "greetings_plugin.py"
    assert found.versions == ("bootstrapper-greetings 1.0",)


def test_all_files_of_the_package_of_a_distribution_belong_to_its_plugins(folder: Path, distribution: Path) -> None:
    package = distribution / "greetings"
    package.mkdir()
    for name in ("__init__.py", "helper.py"):
        (package / name).write_text("")
    (package / "plugin.py").write_text("from greetings import helper\n" + STEP.format(uses="greet"))
    points = distribution / "bootstrapper_greetings-1.0.dist-info" / "entry_points.txt"
    points.write_text("[bootstrapper]\ngreetings = greetings.plugin\n")
    names = [path.name for path in load(folder, "bootstrapper-greetings").files]
    assert names == ["__init__.py", "helper.py", "plugin.py"]


def test_an_unlisted_distribution_is_shown_and_not_imported(folder: Path, distribution: Path) -> None:
    (distribution / "greetings_plugin.py").write_text("raise RuntimeError('imported')")
    shown = survey(folder)["greetings"]
    assert (shown.listed, shown.version, shown.failure, shown.steps) == (False, "1.0", None, ())


def test_a_distribution_that_fails_to_import_is_named(folder: Path, distribution: Path) -> None:
    (distribution / "greetings_plugin.py").write_text("import nothing_of_this_name")
    with pytest.raises(PluginError, match="import of greetings_plugin raised ModuleNotFoundError"):
        load(folder, "bootstrapper-greetings")


def test_a_file_without_a_hook_is_an_error(folder: Path) -> None:
    path = write(folder, "greet.py", STEP.format(uses="greet").replace("bootstrapper_steps", "steps"))
    with pytest.raises(PluginError, match="has no hooks") as caught:
        load(folder)
    assert caught.value.plugin == str(path)
    assert caught.value.hint is not None
    assert "bootstrapper_steps" in caught.value.hint


def test_a_plugin_that_fails_to_import_fails_so_in_every_thread(folder: Path) -> None:
    write(folder, "broken.py", "import time\ntime.sleep(0.01)\nraise OSError('no luck')\n")

    def attempt(_: int) -> str:
        try:
            load(folder)
        except PluginError as error:
            return error.reason
        return ""

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(attempt, range(32))) == {"fails to import: line 3: OSError: no luck"}


def test_one_plugin_that_fails_does_not_hide_the_others(folder: Path, distribution: Path) -> None:
    write(folder, "a_broken.py", "x = 1\nraise OSError('no luck')\n")
    write(folder, "b_bare.py", "x = 1\n")
    write(folder, "c_fine.py", STEP.format(uses="fine"))
    found = survey(folder, "./nowhere", "bootstrapper-greetings", "bootstrapper-nothing")
    assert found["a_broken"].failure == "fails to import: line 2: OSError: no luck"
    assert found["b_bare"].failure == "has no hooks"
    assert (found["c_fine"].failure, found["c_fine"].steps) == (None, ("fine",))
    assert found["./nowhere"].failure == "folder does not exist"
    assert (found["greetings"].failure, found["greetings"].version) == (None, "1.0")
    assert found["bootstrapper-nothing"].failure == "no installed distribution of this name provides plugins"


def test_what_a_plugin_provided_before_it_failed_is_left_to_others(folder: Path) -> None:
    checks = "\n@hookimpl\ndef bootstrapper_renderers(): return None\n"
    write(folder, "a_half.py", STEP.format(uses="greet") + checks)
    write(folder, "b_whole.py", STEP.format(uses="greet"))
    write(folder, "c_again.py", STEP.format(uses="greet"))
    found = survey(folder)
    assert found["a_half"].failure == "bootstrapper_renderers must return a list of classes, not NoneType"
    assert (found["b_whole"].failure, found["b_whole"].steps) == (None, ("greet",))
    again = found["c_again"].failure
    assert again is not None
    assert again.startswith("step 'greet' is already provided by")


NAMED = "\n\nfrom . import _names\n" + STEP.format(uses="greet").replace('"greet"', "_names.USES")


def test_a_plugin_imports_a_file_and_a_package_beside_it(folder: Path) -> None:
    write(folder, "_names.py", "from .inner.words import WORD\nUSES = WORD")
    (folder / "plugins" / "inner").mkdir()
    inner = write(folder, "inner/words.py", "WORD = 'greet'")
    plugin = write(folder, "plugin.py", NAMED)
    found = load(folder)
    assert "greet" in found.steps
    assert {inner, plugin} < set(found.files)


def test_files_of_one_name_beside_the_plugins_of_two_folders_stay_apart(folder: Path) -> None:
    for name in ("plugins", "others"):
        (folder / name).mkdir(exist_ok=True)
        write(folder, f"../{name}/_names.py", f"USES = {name!r}")
        write(folder, f"../{name}/plugin.py", NAMED)
    assert {"plugins", "others"} <= set(load(folder, "./others").steps)


def test_a_file_beside_a_plugin_does_not_hide_an_installed_module(folder: Path) -> None:
    write(folder, "_names.py", "import json\nfrom .inner import json as own\nUSES = json.loads(own.TEXT)")
    (folder / "plugins" / "inner").mkdir()
    write(folder, "inner/json.py", "TEXT = '\"greet\"'")
    write(folder, "plugin.py", NAMED)
    assert "greet" in load(folder).steps


def test_a_file_beside_a_plugin_that_changes_is_imported_again(folder: Path) -> None:
    helper = write(folder, "_names.py", "USES = 'before'")
    write(folder, "plugin.py", NAMED)
    assert "before" in load(folder).steps
    helper.write_text("USES = 'afterwards'")
    assert "afterwards" in load(folder).steps


def test_two_plugins_share_the_classes_of_a_file_beside_them(folder: Path) -> None:
    write(folder, "_base.py", "class Base: ...")
    for name in ("a", "b"):
        body = STEP.format(uses=name).replace("class Greet(Step)", "from ._base import Base\nclass Greet(Base, Step)")
        write(folder, f"{name}.py", body)
    found = load(folder).steps
    bases = [next(base for base in found[name].__mro__ if base.__name__ == "Base") for name in ("a", "b")]
    assert bases[0] is bases[1]


@pytest.mark.parametrize(
    ("helper", "said"), [("x = 1\nraise OSError('no luck')", "OSError: no luck"), ("x = 1\nx = = 2", "invalid syntax")]
)
def test_an_error_of_a_file_beside_a_plugin_is_named_with_its_line(folder: Path, helper: str, said: str) -> None:
    path = write(folder, "_names.py", helper)
    write(folder, "plugin.py", NAMED)
    with pytest.raises(PluginError) as caught:
        load(folder)
    assert caught.value.reason == f"fails to import: {path}, line 2: {said}"


def test_an_import_of_a_file_beside_a_plugin_without_the_dot_is_explained(folder: Path) -> None:
    write(folder, "_names.py", "")
    write(folder, "plugin.py", NAMED.replace("from . import _names", "import _names"))
    with pytest.raises(PluginError, match="line 3: ModuleNotFoundError: No module named '_names'") as caught:
        load(folder)
    assert caught.value.hint == "Import what lies beside it with a dot: from ._names import ..."


def test_a_link_that_leads_back_ends_the_search_for_files_beside_a_plugin(folder: Path) -> None:
    write(folder, "greet.py", STEP.format(uses="greet"))
    (folder / "plugins" / "again").symlink_to(folder / "plugins")
    assert [path.name for path in load(folder).files] == ["greet.py"]


@pytest.mark.parametrize(
    ("api", "said"),
    [
        ("2", r"grant.py: was written for version 2 of the plugin API; bootstrapper \S+ has version 1"),
        ("0", r"grant.py: was written for version 0 of the plugin API; bootstrapper \S+ has version 1"),
        ("'1'", r"grant.py: bootstrapper_api is not a whole number"),
        ("True", r"grant.py: bootstrapper_api is not a whole number"),
    ],
)
@pytest.mark.parametrize("begin", ["", "from bootstrapper import NameOfAnotherVersion\n"], ids=["imported", "failing"])
def test_a_plugin_for_another_version_of_the_contracts_is_refused(
    folder: Path, begin: str, api: str, said: str
) -> None:
    write(folder, "grant.py", f"{begin}bootstrapper_api = {api}\n{STEP.format(uses='greet')}")
    with pytest.raises(PluginError, match=said):
        load(folder)


def test_a_distribution_for_another_version_of_the_contracts_is_refused(folder: Path, distribution: Path) -> None:
    module = distribution / "greetings_plugin.py"
    module.write_text(f"bootstrapper_api = 2\n{module.read_text()}")
    with pytest.raises(PluginError, match=r"bootstrapper.greetings \(greetings_plugin\): was written for version 2"):
        load(folder, "bootstrapper-greetings")


def test_a_plugin_may_say_the_version_that_it_was_written_for(folder: Path) -> None:
    write(folder, "grant.py", f"bootstrapper_api = 1\n{STEP.format(uses='greet')}")
    assert "greet" in load(folder).steps
