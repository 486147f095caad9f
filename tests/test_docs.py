"""Holds the documentation to the code: generated pages, outputs, examples, commands and links."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from bootstrapper import cli
from bootstrapper.builtin import registry
from bootstrapper.config import document, load
from bootstrapper.config.units import show_seconds
from bootstrapper.engine import plugins
from bootstrapper.engine.json_schema import json_schema
from bootstrapper.plugin import hooks
from bootstrapper.plugin.on_demand import loaded

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
SAMPLE = ("bootstrap.yaml", "pyproject.toml", "config", "migrations", "plugins")
VARIABLES = {
    "DATABASE_URL": "postgresql://app@db.example.com/app",
    "DIRECT_URL": "postgresql://app@db.example.com:6432/app",
    "DB_HOST": "db.example.com",
    "DB_NAME": "app",
    "DB_USER": "app",
}
EMBEDDED: dict[str, Any] = {
    "version": 1,
    "database": {"url": "embedded:.bootstrapper/postgres"},
    "steps": [{"uses": "wait"}, {"uses": "lock"}, {"uses": "migrate"}, {"uses": "seed"}],
}


def blocks(kind: str) -> list[Any]:
    """Returns the fenced blocks with exactly this info string, each with its page and line as id."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generated() -> dict[str, str]:
    pages: dict[str, str] = script("generate").pages()
    return pages


@pytest.mark.parametrize("name", generated())
def test_a_reference_page_is_up_to_date(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert page == generated()[name], "run python docs/generate.py"


def test_every_builtin_and_every_hook_has_its_heading() -> None:
    reference = ROOT / "docs" / "reference"
    for page, level, names in (
        ("steps.md", "##", [kind.uses for kind in loaded(registry.bootstrapper_steps())]),
        ("checks.md", "##", [kind.key for kind in loaded(registry.bootstrapper_checks())]),
        ("values.md", "##", [kind.key for kind in registry.bootstrapper_values()]),
        ("hooks.md", "###", [name for name in vars(hooks) if name.startswith("bootstrapper_")]),
    ):
        lines = (reference / page).read_text(encoding="utf-8").splitlines()
        assert [name for name in names if f"{level} {name}" not in lines] == []


def test_every_key_in_the_reference_has_a_meaning() -> None:
    for name, text in generated().items():
        empty = [line for line in text.splitlines() if re.match(r"\| `.*\|\s*\|$", line)]
        assert empty == [], name


def completed(fragment: Any) -> dict[str, Any]:
    """Completes a part of a file with an embedded server and default steps."""
    data = {"steps": fragment} if isinstance(fragment, list) else dict(fragment)
    data = {**EMBEDDED, **data}
    named = [name for step in data["steps"] for name in (step.get("with") or {}).get("fixtures", [])]
    if named:
        data["fixtures"] = {name: {"key": ["id"], "rows": []} for name in named} | data.get("fixtures", {})
    return data


def whole(text: str) -> dict[str, Any]:
    return completed(
        json.loads(json.dumps(document.parse(text.encode(), "example", any_root=True).data, default=float))
    )


@pytest.mark.parametrize("text", blocks("yaml"))
def test_an_example_fits_the_schema(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(whole(text))] == []


@pytest.mark.parametrize("text", blocks("yaml check"))
def test_a_check_fits_the_schema(text: str) -> None:
    bare = re.fullmatch(r"(\w+)\n", text)
    check = bare[1] if bare else document.parse(text.encode(), "example").data
    data = {**EMBEDDED, "steps": [{"uses": "lock"}, {"uses": "migrate", "when": check}]}
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(json.dumps(data, default=float)))] == []


@pytest.mark.parametrize("text", blocks("yaml value"))
def test_a_value_fits_the_schema(text: str) -> None:
    column = document.parse(b"value: " + text.encode(), "example").data["value"]
    data = {**EMBEDDED, "fixtures": {"users": {"key": ["id"], "rows": [{"id": 1, "column": column}]}}}
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a copy of the sample, with all files that the examples refer to."""
    copy_sample(tmp_path)
    (tmp_path / "staging.yaml").write_text(only(blocks("yaml overlay"), "overlays.md"), encoding="utf-8")
    (tmp_path / "plugins" / "grant.py").write_text(only(blocks("python"), 'uses = "grant"'), encoding="utf-8")
    (tmp_path / "countries.csv").write_text("code;name\nde;Germany\n", encoding="utf-8")
    (tmp_path / "bootstrap").mkdir()
    (tmp_path / "bootstrap" / "env.py").write_text(only(blocks("python"), "to_thread"), encoding="utf-8")
    staff = "mail,full name,office,initial password\na@example.com,Ann,berlin,secret\n"
    (tmp_path / "staff.csv").write_text(staff, encoding="utf-8")
    for secret in ("db_password", "bucket_secret"):
        (tmp_path / secret).write_text("secret\n", encoding="utf-8")
    for name in [name for name in os.environ if name.startswith(("PG", "BOOTSTRAPPER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copy_sample(folder: Path) -> None:
    for name in SAMPLE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)


def only(found: list[Any], having: str) -> str:
    chosen = [str(each.values[0]) for each in found if having in str(each.id) or having in str(each.values[0])]
    assert len(chosen) == 1
    return chosen[0]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_an_example_passes_validate(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = text.replace("/run/secrets/", f"{folder}/")
    data = whole(text)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    (folder / "bootstrap.yaml").write_text(json.dumps(data), encoding="utf-8")
    environments = [part for name in data.get("environments", {}) for part in ("-e", name)][:2]
    code = cli.main(["validate", *environments])
    assert (code, capsys.readouterr().err) == (0, "")


def test_the_overlay_of_the_example_merges_as_the_page_says(folder: Path) -> None:
    (folder / "bootstrap.yaml").write_text(only(blocks("yaml"), "overlays.md"), encoding="utf-8")
    loaded = load.load(folder / "bootstrap.yaml", "staging", {})
    assert [step.uses for step in loaded.config.steps] == ["wait", "lock", "backup", "migrate", "seed"]
    assert loaded.config.steps[0].with_ == {"timeout": "2m"}
    assert list(loaded.config.fixtures["books"].rows) == ["second"]


@pytest.mark.parametrize("code", [each for each in blocks("python") if "@hookimpl" in str(each.values[0])])
def test_a_plugin_of_the_documentation_loads(code: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    info = plugins.survey([(f"{tmp_path}/", None)], tmp_path)[1]
    assert (info.failure, bool(info.steps + info.checks + info.values + info.renderers + info.hooks)) == (None, True)


def test_the_readme_shows_the_sample_file_as_it_is() -> None:
    assert (ROOT / "bootstrap.yaml").read_text(encoding="utf-8") in [
        each.values[0] for each in blocks("yaml") if str(each.id).startswith("README")
    ]


def test_the_readme_shows_what_plan_and_apply_print() -> None:
    outputs = script("outputs")
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(outputs.BLOCK.findall(page)) == 4
    assert normal(page) == normal(outputs.refreshed(page)), "run python docs/outputs.py"


def test_the_tutorial_shows_what_its_commands_print() -> None:
    outputs = script("outputs")
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert normal(page) == normal(outputs.refreshed_tutorial(page)), "run python docs/outputs.py"


def normal(text: str) -> str:
    """Replaces what differs between runs."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "RUN", text)
    text = re.sub(r"\b\d+(\.\d+)? (ms|s|min \d+ s|h \d+ min|d \d+ h)\b", "TIME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "MOMENT", text)
    text = re.sub(r"PostgreSQL 18\.\d+", "PostgreSQL 18", text)
    return re.sub(r"(?:^migrate(?: \||:) .*\n)+", _in_one_order, text, flags=re.MULTILINE)


@pytest.mark.parametrize("seconds", [0.02, 1.2, 42, 75, 3700, 100_000])
def test_a_duration_of_any_length_is_replaced(seconds: float) -> None:
    assert normal(f"done in {show_seconds(seconds)}.") == "done in TIME."


def _in_one_order(lines: re.Match[str]) -> str:
    """Sorts lines whose order varies: Alembic's log and the run's events come through two pipes."""
    return "".join(sorted(lines[0].splitlines(keepends=True), key=lambda line: line.startswith("migrate |")))


def commands() -> Iterator[Any]:
    for kind in ("console", "sh"):
        for block in blocks(kind):
            for line in str(block.values[0]).splitlines():
                if match := re.match(r"(?:\$ )?(bootstrapper .*)", line):
                    command = re.split(r" (?:\|\||>) ", match[1])[0]  # what follows is the shell's
                    yield pytest.param(command, id=f"{block.id} {command}")
    for block in blocks("yaml workflow"):
        for number, words in enumerate(re.findall(r"run: (bootstrapper .*)", str(block.values[0]))):
            yield pytest.param(words.partition(" >>")[0], id=f"{block.id} {number}")


def given(line: str) -> None:
    """Parses a command with click; raises its usage error."""
    words = shlex.split(line)[1:]
    context = click.Context(cli.group, info_name="bootstrapper")
    command: click.Command = cli.group
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context("bootstrapper", words)


@pytest.mark.parametrize("line", list(commands()))
def test_a_shown_command_parses(line: str) -> None:
    given(line)


def mentioned() -> Iterator[Any]:
    """Yields the commands in running text, of pages and of messages."""
    for path in (*PAGES, *sorted((ROOT / "bootstrapper").rglob("*.py"))):
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for found in dict.fromkeys(re.findall(r"`(bootstrapper [^`{}]*)`", text)):
            yield pytest.param(" ".join(found.split()), id=f"{path.relative_to(ROOT)} {found}")


@pytest.mark.parametrize("line", list(mentioned()))
def test_a_mentioned_command_parses_given_its_arguments(line: str) -> None:
    with suppress(click.MissingParameter):
        given(line.replace("RUN_ID", "01a207ee-ff5c-7924-ae70-7ac7957d1113"))


def test_the_site_has_every_page_in_its_navigation() -> None:
    named = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted(pages)


def links() -> Iterator[Any]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                yield pytest.param(page, target, id=f"{page.relative_to(ROOT)} {target}")


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_a_link_has_a_target(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
