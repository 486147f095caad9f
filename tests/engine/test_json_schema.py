"""The published JSON Schema: it takes what the tool takes, and finds what is wrong before the tool is run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bootstrapper.api.project import config_schema
from bootstrapper.builtin import registry
from bootstrapper.config import document, load
from bootstrapper.config.units import parse_duration
from bootstrapper.engine.json_schema import json_schema
from bootstrapper.engine.request import Request
from bootstrapper.engine.schema_nodes import shown_duration
from bootstrapper.plugin.on_demand import loaded

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
PRODUCTION = {"DATABASE_URL": "postgresql://db.example.com/app", "SUPERADMIN_PASSWORD": "x"}


def problems(text: str) -> list[str]:
    data = document.parse(text.encode(), "bootstrap.yaml").data
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in validator.iter_errors(plain(data))]


def plain(data: Any) -> Any:
    """Decimals as the numbers that JSON has."""
    return json.loads(json.dumps(data, default=float))


def with_step(step: str) -> str:
    return f"version: 1\ndatabase: {{url: embedded:here}}\nsteps:\n  - uses: lock\n  - {step}\n"


def test_the_published_file_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "bootstrapper", "config", "schema"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    published = (ROOT / "config" / "bootstrap.schema.json").read_text(encoding="utf-8")
    assert printed == published, "run `make schema`"


def test_it_is_a_schema_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("environment", ["development", "production"])
def test_the_sample_file_fits_in_every_environment(environment: str) -> None:
    loaded = load.load(ROOT / "bootstrap.yaml", environment, PRODUCTION)
    jsonschema.Draft202012Validator(SCHEMA).validate(plain(loaded.document.data))


def test_the_sample_file_names_the_published_schema() -> None:
    first = (ROOT / "bootstrap.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./config/bootstrap.schema.json"


@pytest.mark.parametrize(
    "step",
    [
        "{uses: migrate}",
        "{uses: migrate, with: , check: }",
        "{uses: migrate, timeout: '${LIMIT:-5m}'}",
        "{uses: migrate, with: {ddl_retries: '${RETRIES}', lock_timeout: '${LOCK:-3s}'}}",
        "{uses: migrate, with: {env: {TOKEN: {$file: /run/secrets/token}}}}",
        "{uses: migrate, with: {env: {TOKEN: {$vault: app/token}}}}",
        "{uses: migrate, check: [{revision: head}, {not: {any: [{database: empty}, {table: users}]}}]}",
        "{uses: backup, when: {all: [{pending: [migrate]}, {environment: [production]}]}}",
        "{uses: backup, check: {backup: {newer_than: 24h}}}",
        "{uses: seed, check: fixtures}",
        "{uses: sql, with: {statement: SELECT 1}, check: never}",
        '{uses: command, with: {run: ["true"]}, check: {a_check_of_a_plugin: {anything: 1}}}',
        "{uses: command, with: {run: 'make assets'}, check: {once: assets-1}}",
        "{uses: extension, with: {name: vector}}",
        "{uses: a_step_of_a_plugin, with: {anything: {at: [all]}}, when: a_check_of_a_plugin}",
    ],
)
def test_a_right_step_fits(step: str) -> None:
    assert problems(with_step(step)) == []


@pytest.mark.parametrize(
    "step",
    [
        "{with: {timeout: 5s}}",
        "{uses: 1}",
        "{uses: migrate, wenn: {database: empty}}",
        "{uses: wait, with: {timeout: 5}}",
        "{uses: wait, with: {timeout: 5 minutes}}",
        "{uses: wait, with: {for: writing}}",
        "{uses: wait, check: {database: empty}}",
        "{uses: lock, when: {database: empty}}",
        "{uses: backup, with: {keep: 0}}",
        "{uses: backup, with: {folder: backups}}",
        "{uses: migrate, with: {cwd: {$sql: now()}}}",
        "{uses: migrate, check: revision}",
        "{uses: migrate, check: {revision: head, table: users}}",
        "{uses: migrate, check: {pending: [migrate]}}",
        "{uses: migrate, check: {not: {rows: {tabel: users}}}}",
        "{uses: migrate, check: []}",
        "{uses: seed, check: {database: full}}",
        "{uses: seed, with: {fixtures: users}}",
        "{uses: sql, with: {statement: SELECT 1}}",
        "{uses: command, check: never}",
        "{uses: command, with: {run: 5}, check: never}",
    ],
)
def test_a_wrong_step_is_found(step: str) -> None:
    assert problems(with_step(step)) != []


@pytest.mark.parametrize(
    "fixture",
    [
        "{key: [email], rows: [{email: a, password_hash: {$password: x}, created: {$now: }, tags: [a, b]}]}",
        "{key: [email], rows: {one: {tenant_id: {$ref: tenants.default}, data: {$literal: {a: 1}}, n: null}}}",
        "{key: [id], rows: [{a: {$ref: {b: {c: {$ref: {d: {e: 1}}}, f: x}}}, data: {$schema: x, type: object}}]}",
        "{key: [id], mode: '${MODE:-create}', file: users.csv, null: NULL, delimiter: ;, when: {environment: [a]}}",
        "{key: [id], mode: sync, where: all, rows: [], defaults: {made: {$sql: now()}, active: true}}",
    ],
)
def test_a_right_fixture_fits(fixture: str) -> None:
    assert problems(with_step(f"uses: seed\nfixtures: {{users: {fixture}}}")) == []


@pytest.mark.parametrize(
    "fixture",
    [
        "{rows: []}",
        "{key: [], rows: []}",
        "{key: [id], rows: text}",
        "{key: [id], rows: [text]}",
        "{key: [id], mode: replace, rows: []}",
        "{key: [id], rows: [], on_delete: keep}",
        "{key: [id], rows: [{tenant_id: {$ref: 5}}]}",
        "{key: [id], rows: [{hash: {$password: x, rotate: true}}]}",
        "{key: [id], rows: [{tenant_id: {$ref: tenants.default, column: id}}]}",
    ],
)
def test_a_wrong_fixture_is_found(fixture: str) -> None:
    assert problems(with_step(f"uses: seed\nfixtures: {{users: {fixture}}}")) != []


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\ndatabase: {url: embedded:here}\nsteps: [{uses: wait}]",
        "version: 1\nsteps: [{uses: wait}]",
        "version: 1\ndatabase: {url: embedded:here}",
        "version: 1\ndatabase: {url: embedded:here, hots: localhost}\nsteps: [{uses: wait}]",
        "version: 1\ndatabase: {url: [a]}\nsteps: [{uses: wait}]",
        "version: 1\ndatabase: {url: embedded:here}\nsteps: [{uses: wait}]\nlimits: {timeout: soon}",
        "version: 1\ndatabase: {url: embedded:here}\nsteps: [{uses: wait}]\nfixture: {}",
    ],
)
def test_a_wrong_file_is_found(text: str) -> None:
    assert problems(text) != []


def test_every_builtin_step_and_check_has_a_definition() -> None:
    names = {f"with.{kind.uses}" for kind in loaded(registry.bootstrapper_steps())}
    names |= {f"check.{kind.key}" for kind in loaded(registry.bootstrapper_checks())}
    assert names <= set(SCHEMA["$defs"])


def test_every_builtin_value_is_described_where_it_may_stand() -> None:
    definitions = SCHEMA["$defs"]
    for kind in registry.bootstrapper_values():
        assert definitions["ColumnFunction"]["properties"][kind.key]["description"]
        assert (definitions["ValueFunction"]["properties"][kind.key] is False) == kind.needs_database


def test_every_key_of_the_file_is_described() -> None:
    assert [place for place, node in keys(SCHEMA["$defs"]) if node is not False and not node.get("description")] == []


def keys(definitions: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, definition in definitions.items():
        for key, node in definition.get("properties", {}).items():
            if key not in ("all", "any", "not"):
                yield f"{name}: {key}", node


@pytest.mark.parametrize("text", ["250ms", "3s", "60s", "90s", "5m", "2h", "24h"])
def test_a_default_time_is_shown_as_a_file_would_write_it(text: str) -> None:
    assert shown_duration(parse_duration(text)) == text


PLUGIN = """
import re
from typing import Annotated, Any
from pydantic import PlainValidator
from bootstrapper import Answer, Check, Step, StepModel, Value, hookimpl

class GrantOptions(StepModel):
    \"\"\"What is granted.

    Attributes:
        table: The table to read.
    \"\"\"
    table: str
    at_most: int = 3
    pattern: Annotated[Any, PlainValidator(re.compile)] = re.compile("x")


class Grant(Step[GrantOptions]):
    \"\"\"Lets a role read a table.\n\n    And more.\"\"\"
    uses = "acme/grant"
    def changes(self, context): return []
    def apply(self, context, changes): ...

class RoleCheck(Check[str]):
    key = "role"
    def ask(self, context): return Answer.yes("")

class Vault(Value):
    key = "$vault"
    needs_database = True
    def resolve(self, context, argument): return ""

@hookimpl
def bootstrapper_steps(): return [Grant]

@hookimpl
def bootstrapper_checks(): return [RoleCheck]

@hookimpl
def bootstrapper_values(): return [Vault]
"""


@pytest.fixture(scope="module")
def with_plugins(tmp_path_factory: pytest.TempPathFactory) -> jsonschema.Draft202012Validator:
    folder = tmp_path_factory.mktemp("project")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "acme.py").write_text(PLUGIN)
    (folder / "bootstrap.yaml").write_text(with_step("{uses: acme/grant, name: grant}") + "plugins: [./plugins]\n")
    schema = config_schema(Request(file=folder / "bootstrap.yaml", variables={}))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("step", "is_valid"),
    [
        ("{uses: acme/grant, with: {table: books}}", True),
        ("{uses: acme/grant, with: {table: books, at_most: '${MOST}', pattern: {any: thing}}}", True),
        ("{uses: acme/grant, with: {table: books}, check: {role: reader}}", True),
        ("{uses: acme/grant, with: {tabel: books}}", False),
        ("{uses: acme/grant, with: {table: books, at_most: many}}", False),
        ("{uses: acme/grant}", False),
        ("{uses: acme/grant, with: {table: books}, check: {role: []}}", False),
        ("{uses: acme/grant, with: {table: books}, check: role}", False),
        ("{uses: acme/grant, with: {table: {$vault: name}}}", False),
        ("{uses: of_another_plugin, with: {any: thing}}", True),
    ],
)
def test_with_the_plugins_of_the_file_it_knows_what_they_take(
    with_plugins: jsonschema.Draft202012Validator, step: str, is_valid: bool
) -> None:
    data = plain(document.parse(with_step(step).encode(), "bootstrap.yaml").data)
    assert with_plugins.is_valid(data) == is_valid


def test_with_the_plugins_of_the_file_it_describes_what_they_add(
    with_plugins: jsonschema.Draft202012Validator,
) -> None:
    known = with_plugins.schema["properties"]["steps"]["items"]["$ref"].rpartition("/")[2]
    uses = with_plugins.schema["$defs"][known]["properties"]["uses"]["anyOf"]
    assert {"const": "acme/grant", "description": "Lets a role read a table."} in uses
    options = with_plugins.schema["$defs"]["with.acme/grant"]["properties"]
    assert options["table"]["description"] == "The table to read."


def test_without_the_option_the_plugins_of_the_file_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("raise OSError('no luck')")
    (tmp_path / "bootstrap.yaml").write_text(with_step("uses: broken") + "plugins: [./plugins]\n")
    command = [sys.executable, "-m", "bootstrapper", "config", "schema"]
    plain_one = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (plain_one.returncode, json.loads(plain_one.stdout)) == (0, SCHEMA)
    failing = subprocess.run([*command, "--with-plugins"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (failing.returncode, "fails to import: line 1: OSError: no luck" in failing.stderr) == (2, True)
