"""The published schema and the parser agree on what each key of the file takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import pytest

from bootstrapper.builtin import registry
from bootstrapper.config import document
from bootstrapper.config.models import DatabaseConfig, FixtureConfig, LedgerConfig, LimitsConfig
from bootstrapper.engine.json_schema import json_schema
from bootstrapper.engine.open import resolve
from bootstrapper.engine.request import Request
from bootstrapper.errors import InvalidFileError
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.plugin.step import Step, Unit

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
VALUES = (  # no quoted number: what comes out of a variable is one, and so the parser takes it
    *("", "''", "text", "head", "5s", "5", "0", "-1", "1.5", "true"),
    *("[]", "[1]", "[a]", "['']", "{}", "{a: 1}", "{a: b}", "{a: }"),
)
HEAD = "version: 1\ndatabase: {url: embedded:here}\n"
NEEDED = {"sql": "statement: SELECT 1", "command": "run: 'true'"}
BESIDE = {"file": "", "columns": "file: x.csv", "null": "file: x.csv", "delimiter": "file: x.csv"}
MODES = {"where": "mode: sync"}

ONLY_THE_PARSER_KNOWS = {
    ("with.backup.jobs", "5"): "asks for another format",
    ("with.backup.extra_args", "[a]"): "refuses single arguments",
    ("with.backup.extra_args", "['']"): "refuses single arguments",
    ("with.migrate.config", "text"): "looks for the file",
    ("with.migrate.config", "head"): "looks for the file",
    ("with.migrate.config", "5s"): "looks for the file",
    ("with.migrate.config", "''"): "looks for the file",
    ("with.migrate.section", "text"): "looks into the file",
    ("with.migrate.section", "head"): "looks into the file",
    ("with.migrate.section", "5s"): "looks into the file",
    ("with.migrate.section", "''"): "looks into the file",
    ("with.seed.fixtures", "[a]"): "knows the fixtures",
    ("with.seed.fixtures", "['']"): "knows the fixtures",
    ("when.pending", "[a]"): "knows the steps",
    ("when.pending", "['']"): "knows the steps",
}


def steps() -> Iterator[tuple[str, str]]:
    for kind in loaded(registry.bootstrapper_steps()):
        for name, field in kind.options_type.model_fields.items():
            key = field.alias or name
            if (kind.uses, key) not in (("migrate", "script_location"), ("migrate", "cwd")):  # any folder, if it exists
                yield f"with.{kind.uses}.{key}", _step(kind, key)


def _step(kind: type[Unit], key: str) -> str:
    needed = NEEDED.get(kind.uses, "")
    one_is_enough = needed.startswith(key) or (kind.uses, key) == ("sql", "file")
    options = f"{{{'' if one_is_enough or not needed else needed + ', '}{key}: VALUE}}"
    check = ", check: never" if issubclass(kind, Step) and kind.needs_check else ""
    lock = "" if kind.uses == "lock" else "  - uses: lock\n"
    return f"{HEAD}steps:\n{lock}  - {{uses: {kind.uses}, with: {options}{check}}}\n"


def checks() -> Iterator[tuple[str, str]]:
    for kind in loaded(registry.bootstrapper_checks()):
        yield f"when.{kind.key}", f"{HEAD}steps:\n  - uses: lock\n  - {{uses: migrate, when: {{{kind.key}: VALUE}}}}\n"


def sections() -> Iterator[tuple[str, str]]:
    for key in DatabaseConfig.model_fields:
        beside = {"url": "", "host": "", "direct_url": "url: embedded:here, "}.get(key, "host: here, ")
        yield f"database.{key}", f"version: 1\ndatabase: {{{beside}{key}: VALUE}}\nsteps: [{{uses: lock}}]\n"
    for section, model in {"ledger": LedgerConfig, "limits": LimitsConfig}.items():
        for name, field in model.model_fields.items():
            yield f"{section}.{name}", f"{HEAD}steps: [{{uses: lock}}]\n{section}: {{{field.alias or name}: VALUE}}\n"


def fixtures() -> Iterator[tuple[str, str]]:
    for key in FixtureConfig.model_fields:
        parts = [] if key == "key" else ["key: [a]"]
        parts += [BESIDE.get(key, "" if key == "rows" else "rows: []"), MODES.get(key, ""), f"{key}: VALUE"]
        fixture = ", ".join(filter(None, parts))
        if key != "when":  # a check; those are above
            text = f"{HEAD}steps:\n  - uses: lock\n  - uses: seed\nfixtures:\n  words: {{{fixture}}}\n"
            yield f"fixtures.{key}", text


PLACES: Mapping[str, str] = {**dict(steps()), **dict(checks()), **dict(sections()), **dict(fixtures())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With what the steps look for."""
    made = tmp_path_factory.mktemp("project")
    (made / "migrations" / "versions").mkdir(parents=True)
    (made / "migrations" / "env.py").write_text("")
    (made / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    return made


def by_schema(text: str) -> list[str]:
    data = json.loads(json.dumps(document.parse(text.encode(), "bootstrap.yaml").data, default=float))
    return [error.message for error in VALIDATOR.iter_errors(data)]


def by_parser(text: str, folder: Path) -> list[str]:
    file = folder / "bootstrap.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        resolve(Request(file=file), "validate", connects=False)
    except InvalidFileError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize("place", PLACES)
def test_schema_and_parser_agree_on_each_value(place: str, folder: Path) -> None:
    differing = []
    for value in VALUES:
        text = PLACES[place].replace("VALUE", value)
        schema, parser = by_schema(text), by_parser(text, folder)
        if bool(schema) != bool(parser) and (place, value) not in ONLY_THE_PARSER_KNOWS:
            differing.append((value, schema[:1], parser[:1]))
    assert differing == []


@pytest.mark.parametrize("case", ONLY_THE_PARSER_KNOWS)
def test_an_exception_is_still_one(case: tuple[str, str], folder: Path) -> None:
    text = PLACES[case[0]].replace("VALUE", case[1])
    assert by_schema(text) == []
    assert by_parser(text, folder) != []


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("database: {host: h, port: text}", False),
        ("database: {host: h, sslmode: 5}", False),
        ("database: {url: embedded:here, host: h}", False),
        ("database: {url: embedded:here, host: }", True),
        ("database: {user: me}", False),
        ("database: {url: 'mysql://h/d'}", False),
        ("steps: [{uses: lock}, {uses: migrate, with: {repair: }}]", True),
        ("steps: [{uses: lock}, {uses: migrate, with: {repiar: }}]", False),
        ("steps: [{uses: lock}, {uses: migrate, wehn: }]", False),
        ("steps: [{uses: lock}, {uses: command, with: {run: []}, check: never}]", False),
        ("steps: [{uses: lock}, {uses: command, with: {run: ' '}, check: never}]", False),
        ("steps: [{uses: lock}, {uses: command, with: {run: }, check: never}]", False),
        ("steps: [{uses: lock}, {uses: sql, with: {}, check: never}]", False),
        ("steps: [{uses: lock}, {uses: sql, with: {statement: SELECT 1, file: }, check: never}]", True),
        ("steps: [{uses: lock}, {uses: backup, with: {encrypt: {}}}]", False),
        ("steps: [{uses: lock}, {uses: backup, with: {encrypt: {recipients: []}}}]", False),
        ("steps: [{uses: lock}, {uses: backup, with: {encrypt: {recipients: , recipients_file: keys}}}]", True),
        ("fixtures: {words: {key: [a], file: x.csv, columns: []}}", False),
        ("fixtures: {words: {key: [a], file: x.csv, rows: []}}", False),
        ("fixtures: {words: {key: [a], file: x.csv, rows: }}", True),
        ("fixtures: {words: {key: [a]}}", False),
        ("fixtures: {words: {key: [a], rows: [], mode: sync}}", False),
        ("fixtures: {words: {key: [a], rows: [], mod: }}", False),
        ("limits: {timeot: }", False),
        ("stepz:", False),
        ("plugins: ['']", False),
    ],
)
def test_schema_and_parser_agree_on_what_goes_together(text: str, is_right: bool, folder: Path) -> None:
    declared = document.parse(text.encode(), "part").data
    rest = {"database": "{url: embedded:here}", "steps": "[{uses: lock}, {uses: seed}]"}
    whole = "\n".join(["version: 1", text, *(f"{key}: {value}" for key, value in rest.items() if key not in declared)])
    assert (by_schema(whole) == [], by_parser(whole, folder) == []) == (is_right, is_right)
