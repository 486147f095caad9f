"""Loading the file: its shape, its environment, its variables, and every problem with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.config.document import parse, validation
from bootstrapper.config.load import Loaded, load
from bootstrapper.config.models import StepConfig, json_schema
from bootstrapper.config.unit_fields import Seconds
from bootstrapper.errors import InvalidFileError, Problem, Source, UnknownEnvironmentError

pytestmark = pytest.mark.smoke

SECRET = "hunter2secret"
MINIMAL = "version: 1\ndatabase: {url: x}\nsteps: [{uses: wait}]\n"
FULL = """\
version: 1
name: app
database: {url: "${DATABASE_URL:-embedded:.bootstrapper/postgres}", direct_url: "${DIRECT_URL}"}
plugins: [./plugins, some-plugin]
steps:
  - uses: wait
    with: {timeout: "${TIMEOUT}"}
  - name: rows
    uses: seed
    timeout: 5m
    when: {all: [{pending: [wait]}]}
    check: never
fixtures:
  users:
    table: app.users
    key: [email]
    mode: sync
    where: all
    create_only: [token]
    on_deleted: keep
    defaults: {active: "${ACTIVE}"}
    rows: {admin: {email: a, hash: {$password: "${PASSWORD}"}}}
  many: {key: [id], file: many.csv, null: "", delimiter: ";", columns: [id, name]}
ledger: {schema: control, grant_to: [reader]}
limits: {timeout: 1h, step_timeout: 250ms}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, so that problems show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(content: str, environment: str | None = None, **variables: str) -> Loaded:
    Path("a.yaml").write_text(content)
    return load(Path("a.yaml"), environment, variables)


def problems(content: str, environment: str | None = None, **variables: str) -> list[Problem]:
    with pytest.raises(InvalidFileError) as caught:
        loaded(content, environment, **variables)
    return list(caught.value.problems)


def problem(content: str, environment: str | None = None, **variables: str) -> str:
    (found,) = problems(content, environment, **variables)
    return str(found)


def write(name: str, content: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(content)


def test_the_whole_envelope_is_read(folder: Path) -> None:
    found = loaded(FULL).config
    assert (found.version, found.name, found.plugins) == (1, "app", ["./plugins", "some-plugin"])
    assert found.database.model_dump(exclude_none=True) == {
        "url": "${DATABASE_URL:-embedded:.bootstrapper/postgres}",
        "direct_url": "${DIRECT_URL}",
    }
    wait, rows = found.steps
    assert (wait.uses, wait.name, wait.with_, wait.when, wait.timeout) == (
        "wait",
        "wait",
        {"timeout": "${TIMEOUT}"},
        None,
        None,
    )
    assert (rows.uses, rows.name, rows.when, rows.check) == ("seed", "rows", {"all": [{"pending": ["wait"]}]}, "never")
    assert rows.timeout == 300
    users, many = found.fixtures["users"], found.fixtures["many"]
    assert (users.table, users.key, users.mode, users.where, users.on_deleted) == (
        "app.users",
        ["email"],
        "sync",
        "all",
        "keep",
    )
    assert (users.create_only, users.defaults) == (["token"], {"active": "${ACTIVE}"})
    assert users.rows == {"admin": {"email": "a", "hash": {"$password": "${PASSWORD}"}}}
    assert (many.table, many.file, many.null, many.delimiter, many.columns) == (
        None,
        "many.csv",
        "",
        ";",
        ["id", "name"],
    )
    assert (many.mode, many.on_deleted, many.rows) == ("create", "recreate", None)
    assert (found.ledger.schema_, found.ledger.grant_to) == ("control", ["reader"])
    assert (found.limits.timeout, found.limits.step_timeout) == (3600, 0.25)


def test_missing_keys_have_their_default(folder: Path) -> None:
    found = loaded(MINIMAL)
    assert (found.config.name, found.config.ledger.schema_, found.config.limits.timeout) == (
        folder.name,
        "bootstrapper",
        None,
    )
    assert (found.environment, found.protected, found.files) == (None, False, (Path("a.yaml"),))
    assert found.directory == folder


def test_a_folder_with_an_invalid_name_still_gives_the_project_one(folder: Path) -> None:
    write("a folder (ü)/b.yaml", MINIMAL)
    assert load(Path("a folder (ü)/b.yaml"), None, {}).config.name == "a-folder-"


def test_a_key_without_a_value_counts_as_absent(folder: Path) -> None:
    empty = "ledger:\nlimits: {timeout: }\nfixtures:\nplugins:\nname: ${NAME}\nenv_files:\n"
    found = loaded(MINIMAL.replace("x}", "x, host: }") + empty, NAME="").config
    assert (found.ledger.schema_, found.limits.timeout, found.fixtures) == ("bootstrapper", None, {})


def test_variables_are_converted_to_the_type_of_their_field(folder: Path) -> None:
    content = (
        MINIMAL + "environments: {e: {protected: '${P}'}}\nlimits: {timeout: '${T}'}\nledger: {grant_to: ['${R:-r}']}"
    )
    found = loaded(content, "e", P="true", T="5s")
    assert (found.protected, found.config.limits.timeout, found.config.ledger.grant_to) == (True, 5, ["r"])


def test_late_parts_need_no_variable_and_early_ones_do(folder: Path) -> None:
    assert loaded(FULL).config.fixtures["users"].defaults == {"active": "${ACTIVE}"}
    found = problems(MINIMAL + "limits: {timeout: '${T}'}\nledger: {schema: '${S:?ask}', grant_to: ['${R}']}")
    assert list(map(str, found)) == [
        "a.yaml:4:19: variable T is not set",
        "a.yaml:5:18: ask",
        "a.yaml:5:42: variable R is not set",
    ]


def test_names_that_variables_make_the_same_are_a_problem(folder: Path) -> None:
    content = MINIMAL.replace("[{uses: wait}]", "[{uses: wait}, {uses: a, name: '${N}'}]")
    assert problem(content, N="wait") == 'a.yaml:3:39: duplicate step name "wait"; first at a.yaml:3:16'


def test_a_malformed_expression_is_found_even_where_it_is_read_late(folder: Path) -> None:
    content = MINIMAL + "fixtures: {t: {key: [a], rows: [{a: '${1}', b: {$literal: '${'}}]}}"
    assert problem(content).startswith("a.yaml:4:37: a ${ without a variable name after it")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nmae: x", '4:1: unknown key "nmae" at the top level; did you mean "name"?'),
        ("ledger: {shema: x}", '4:10: unknown key "shema" under ledger; did you mean "schema"?'),
        ("ledger: {zzz: x}", '4:10: unknown key "zzz" under ledger'),
        ("limits: {timeout: 5}", "4:19: limits.timeout: this is not a time; write it as 250ms, 5s, 5m, 1h or 7d"),
        ("limits: {timeout: 25d}", "4:19: limits.timeout: this is too long; the maximum is 24d"),
        ("ledger: {schema: 5}", "4:18: ledger.schema: expected text, found a number"),
        ("ledger: {schema: pg_x}", "4:18: ledger.schema: not a valid schema name"),
        ("ledger: [x]", "4:9: ledger: expected a mapping, found a list"),
        ("ledger: {grant_to: x}", "4:20: ledger.grant_to: expected a list, found text"),
        ("plugins: {a: b}", "4:10: plugins: expected a list, found a mapping"),
        ("plugins: [a, [b]]", "4:14: plugins[1]: expected text, found a list"),
        ("fixtures: []", "4:11: fixtures: expected a mapping, found a list"),
        ("fixtures: {t: }", "4:15: fixtures.t: expected a mapping, found nothing"),
        ("fixtures: {t: {rows: []}}", '4:15: "key" is missing under fixtures.t'),
        ("fixtures: {t: {key: [], rows: []}}", "4:21: fixtures.t.key: needs at least 1"),
        ("fixtures: {t: {key: [a]}}", "4:12: fixtures.t needs rows, or a file of rows"),
        ("fixtures: {t: {key: [a], rows: [], file: b}}", "4:36: fixtures.t has both rows and a file"),
        ("fixtures: {t: {key: [a], rows: 5}}", "4:32: fixtures.t.rows: expected rows, found a number"),
        ("fixtures: {t: {key: [a], rows: [5]}}", "4:33: fixtures.t.rows[0]: expected a row, found a number"),
        ("fixtures: {t: {key: [a], rows: {l: }}}", "4:36: fixtures.t.rows.l: expected a row, found nothing"),
        ("fixtures: {t: {key: [a], rows: [], mode: sync}}", "4:42: fixtures.t: mode sync needs where"),
        (
            "fixtures: {t: {key: [a], rows: [], where: all}}",
            "4:36: fixtures.t: where is for mode sync; mode create deletes no rows",
        ),
        (
            "fixtures: {t: {key: [a], rows: [], mode: update, where: a = 1}}",
            "4:50: fixtures.t: where is for mode sync; mode update deletes no rows",
        ),
        (
            "fixtures: {t: {key: [a], rows: [], mode: x}}",
            "4:42: fixtures.t.mode: must be 'create', 'update' or 'sync'",
        ),
        (
            "fixtures: {t: {key: [a], rows: [], modus: x}}",
            '4:36: unknown key "modus" under fixtures.t; did you mean "mode"?',
        ),
        (
            "fixtures: {t: {key: [a], file: b.csv, delimiter: ab}}",
            "4:50: fixtures.t.delimiter: takes at most 1 characters",
        ),
        ("name: '-x'", "4:7: name: not a valid name"),
    ],
)
def test_each_problem_is_a_sentence_with_its_place(folder: Path, content: str, message: str) -> None:
    assert problem(MINIMAL + content).startswith(f"a.yaml:{message}")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("[]", "3:8: steps: needs at least 1"),
        ("{uses: wait}", "3:8: steps: expected a list, found a mapping"),
        ("[wait]", "3:9: steps[0]: expected a mapping, found text"),
        ("[{name: x}]", '3:9: "uses" is missing under steps[0]'),
        ("[{uses: a, wth: {}}]", '3:19: unknown key "wth" under steps[0]; did you mean "with"?'),
        ("[{uses: a, with_: {}}]", '3:19: unknown key "with_" under steps[0]; did you mean "with"?'),
        ("[{uses: a, with: [b]}]", "3:25: steps[0].with: expected a mapping, found a list"),
        ("[{uses: a, when: 5}]", "3:25: steps[0].when: expected a check, or a list of checks"),
        ("[{uses: a, timeout: 5}]", "3:28: steps[0].timeout: this is not a time"),
        ("[{uses: a, timeout: soon}]", "3:28: steps[0].timeout: this is not a time"),
        ("[{uses: a}, {uses: a}]", '3:27: duplicate step name "a"; first at a.yaml:3:16'),
        ("[{uses: a, name: b}, {uses: b}]", '3:36: duplicate step name "b"; first at a.yaml:3:25'),
        ("[{uses: a, name: 'x y\\tz'}]", "3:25: steps[0].name: not a valid name"),
        ("", '3:1: "steps" is missing'),
    ],
)
def test_each_problem_of_a_step_is_a_sentence_with_its_place(folder: Path, steps: str, message: str) -> None:
    assert problem(f"version: 1\ndatabase: {{url: x}}\nsteps: {steps}\n").startswith(f"a.yaml:{message}")


@pytest.mark.parametrize(
    "database",
    [
        "{url: x}",
        "{host: h, port: 5432, dbname: d, user: u, password: {$file: p}, sslmode: verify-full, sslrootcert: c}",
        "{url: {$env: {name: X, secret: true}}, direct_url: y}",
        "{service: s}",
        "{url: null, host: '${HOST}'}",
        "{dbname: 2024}",
    ],
)
def test_the_database_is_a_url_or_its_parts(folder: Path, database: str) -> None:
    assert loaded(MINIMAL.replace("{url: x}", database)).config.database is not None


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("{url: x, host: h, port: 5}", "2:20: database has both url and host, port"),
        ("{user: x}", "2:1: database needs url, or host and dbname"),
        ("{}", "2:1: database needs url, or host and dbname"),
        ("", '2:1: "database" is missing'),
        ("x", "2:11: database: expected a mapping, found text"),
        ("{url: [x]}", "2:17: database.url: expected a single value, or one value function"),
        ("{url: {$a: 1, b: 2}}", "2:17: database.url: expected a single value, or one value function"),
        ("{url: {a: 1}}", "2:17: database.url: expected a single value, or one value function"),
        ("{url: x, drect_url: y}", '2:20: unknown key "drect_url" under database; did you mean "direct_url"?'),
    ],
)
def test_a_wrong_database_is_a_problem(folder: Path, database: str, message: str) -> None:
    assert problem(MINIMAL.replace("{url: x}", database)).startswith(f"a.yaml:{message}")


@pytest.mark.parametrize("text", ["postgresql://app:hunter2@db/app", "${DATABASE_URL:-embedded:here}"])
def test_an_address_in_place_of_the_section_comes_with_a_hint(folder: Path, text: str) -> None:
    (found,) = problems(MINIMAL.replace("{url: x}", text))
    assert (found.message, found.hint) == (
        "database: expected a mapping, found text",
        "Write `database: {url: ...}` around it.",
    )


@pytest.mark.parametrize("version", ["2", "'1'", "true", "1.0", "[1]"])
def test_another_version_is_refused(folder: Path, version: str) -> None:
    assert problem(MINIMAL.replace("1", version)) == "a.yaml:1:10: version: this release reads version 1"


def test_missing_keys_are_reported_at_their_mapping(folder: Path) -> None:
    assert {str(found) for found in problems("name: x")} == {
        'a.yaml:1:1: "database" is missing',
        'a.yaml:1:1: "steps" is missing',
        'a.yaml:1:1: "version" is missing',
    }


def test_all_problems_are_reported_together_in_the_order_of_the_file(folder: Path) -> None:
    content = (
        "version: 2\nnmae: x\ndatabase: {url: x, host: y}\nsteps:\n  - use: a\n  - {uses: b, timeout: 1}\n"
        "  - {uses: b, when: '${'}\nlimits: {timeout: '${X}'}\nfixtures: {t: {rows: 5}}\n"
    )
    lines = [found.source.line for found in problems(content) if found.source]
    assert lines == [1, 2, 3, 5, 5, 6, 7, 7, 8, 9, 9]


def test_no_problem_quotes_a_value(folder: Path) -> None:
    wrong = f"""\
version: {SECRET}
name: "{SECRET} ü"
database: {{url: [{SECRET}], password: {{a: {SECRET}}}}}
steps: [{SECRET}, {{uses: a, timeout: {SECRET}, with: {SECRET}, when: 5}}]
limits: {{timeout: "${{S}}"}}
fixtures: {{t: {{key: {SECRET}, mode: {SECRET}, rows: {SECRET}, delimiter: {SECRET}}}}}
ledger: {{grant_to: {SECRET}, schema: "pg_{SECRET}"}}
plugins: {SECRET}
"""
    found = problems(wrong, S=SECRET)
    assert len(found) > 12
    assert not [item for item in found if SECRET in f"{item} {item.hint}"]


def test_a_missing_file_comes_with_a_hint(folder: Path) -> None:
    with pytest.raises(InvalidFileError) as caught:
        load(Path("none.yaml"), None, {})
    (found,) = caught.value.problems
    assert (str(found), found.hint) == (
        "file none.yaml does not exist",
        "Run in the folder of the file, or name it with -f.",
    )


# Environments.

ENVIRONMENTS = MINIMAL + (
    "environments:\n  development: {file: config/development.yaml}\n"
    "  production: {file: config/production.yaml, protected: true}\n  bare:\n"
)


def test_the_overlay_of_the_named_environment_is_laid_over(folder: Path) -> None:
    write("config/development.yaml", "database: {url: y}\nsteps: [{uses: lock}]\n")
    found = loaded(ENVIRONMENTS, "development")
    assert [step.name for step in found.config.steps] == ["wait", "lock"]
    assert (found.config.database.url, found.environment, found.protected) == ("y", "development", False)
    assert found.files == (Path("a.yaml"), Path("config/development.yaml"))
    assert found.document.source(("steps", 1, "uses")) == Source("config/development.yaml", 2, 16)


def test_an_environment_may_be_declared_by_its_name_alone(folder: Path) -> None:
    assert loaded(ENVIRONMENTS, "bare").environment == "bare"


def test_with_environments_declared_one_must_be_chosen(folder: Path) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        loaded(ENVIRONMENTS)
    assert (caught.value.name, caught.value.known) == (None, ("development", "production", "bare"))


@pytest.mark.parametrize(("content", "known"), [(ENVIRONMENTS, 3), (MINIMAL, 0)])
def test_an_environment_that_is_not_declared_is_an_error(folder: Path, content: str, known: int) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        loaded(content, "test")
    assert (caught.value.name, len(caught.value.known)) == ("test", known)


def test_a_wrong_declaration_is_reported_with_everything_else(folder: Path) -> None:
    found = problems(MINIMAL + "environments: {e: {protect: true}, f: [x]}\nnmae: y", "e")
    assert list(map(str, found)) == [
        'a.yaml:4:20: unknown key "protect" under environments.e; did you mean "protected"?',
        "a.yaml:4:39: environments.f: expected a mapping, found a list",
        'a.yaml:5:1: unknown key "nmae" at the top level; did you mean "name"?',
    ]


def test_a_missing_overlay_is_a_problem_of_the_line_that_names_it(folder: Path) -> None:
    assert problem(ENVIRONMENTS, "production") == "a.yaml:6:22: file config/production.yaml does not exist"


def test_problems_of_both_files_are_reported_together(folder: Path) -> None:
    write("config/development.yaml", "version: 1\nledger: {shema: x}\nsteps: [{name: wiat, remove: true}]\n")
    assert list(map(str, problems(ENVIRONMENTS + "nmae: x", "development"))) == [
        'a.yaml:8:1: unknown key "nmae" at the top level; did you mean "name"?',
        "config/development.yaml:1:1: version is allowed only in the main file",
        'config/development.yaml:2:10: unknown key "shema" under ledger; did you mean "schema"?',
        'config/development.yaml:3:9: cannot remove step "wiat": it does not exist; did you mean "wait"?',
    ]


def test_paths_of_an_overlay_start_at_the_overlay(folder: Path) -> None:
    write("config/vars.env", "A=1\n")
    write(
        "config/development.yaml",
        "fixtures: {t: {key: [a], file: rows.csv}, u: {key: [a], file: /abs.csv}}\n"
        "plugins: [./more, named]\nenv_files: [vars.env]\n",
    )
    found = loaded(ENVIRONMENTS, "development")
    assert [fixture.file for fixture in found.config.fixtures.values()] == ["./config/rows.csv", "/abs.csv"]
    assert found.config.plugins == ["./config/more", "named"]
    assert found.variables == {"A": "1"}


def test_a_file_in_another_folder_is_shown_as_it_was_named(folder: Path) -> None:
    write("conf/b.yaml", ENVIRONMENTS)
    write("conf/config/development.yaml", "nmae: x")
    with pytest.raises(InvalidFileError) as caught:
        load(Path("conf/b.yaml"), "development", {})
    assert str(caught.value).startswith("conf/config/development.yaml:1:1: unknown key")


# Env files.


def test_the_process_wins_over_env_files_and_later_files_over_earlier_ones(folder: Path) -> None:
    write("one.env", "A=1\nB=1\nC=1\n")
    write("two.env", "B=2\nC=2\n")
    found = loaded(MINIMAL + "env_files: [one.env, two.env]\nlimits: {timeout: '${C}s'}", C="3")
    assert found.variables == {"A": "1", "B": "2", "C": "3"}
    assert found.config.limits.timeout == 3
    assert found.files == (Path("a.yaml"), Path("one.env"), Path("two.env"))


def test_env_files_are_ignored_where_the_environment_is_protected(folder: Path) -> None:
    write("config/production.yaml", "name: x")
    found = loaded(ENVIRONMENTS + "env_files: [none.env]", "production", A="1")
    assert (found.variables, found.config.env_files) == ({"A": "1"}, ["none.env"])


def test_an_env_file_that_is_missing_is_an_error_unless_it_may_be(folder: Path) -> None:
    write("there.env", "A=1\n")
    (found,) = problems(MINIMAL + "env_files: [there.env, mistyped.env]")
    assert str(found) == "a.yaml:4:24: file mistyped.env does not exist"
    assert found.hint == "Write the file, or mistyped.env? for one that may be missing."
    assert loaded(MINIMAL + "env_files: [there.env?, missing.env?]").variables == {"A": "1"}


def test_problems_of_env_files_are_reported_with_those_of_the_file(folder: Path) -> None:
    write("one.env", "A=1\nnonsense\n")
    found = problems(MINIMAL + "nmae: x\nenv_files: [one.env]")
    assert [str(item).split(":")[0:2] for item in found] == [["a.yaml", "4"], ["one.env", "2"]]


# For the models of steps, checks and plugins.


def test_problems_of_any_model_are_placed_and_worded(folder: Path) -> None:
    document = parse(b"steps:\n  - with: {timeout: 5x, nmae: 1}\n", "a.yaml")
    place = ("steps", 0, "with")
    with pytest.raises(ValidationError) as caught:
        StepConfig.model_validate({"uses": "a", **document.get(place)})
    found = validation.problems(caught.value, StepConfig, document, place)
    assert sorted(map(str, found)) == [
        "a.yaml:2:21: steps[0].with.timeout: this is not a time; write it as 250ms, 5s, 5m, 1h or 7d",
        'a.yaml:2:25: unknown key "nmae" under steps[0].with; did you mean "name"?',
    ]


def test_problems_of_a_bare_type_and_of_a_union_stand_at_the_value(folder: Path) -> None:
    document = parse(b"a: {b: x}", "a.yaml")
    models: list[Any] = [Seconds, int | list[str]]
    for model in models:
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(model).validate_python("x")
        for found in validation.problems(caught.value, model, document, ("a", "b")):
            assert str(found).startswith("a.yaml:1:8: a.b: ")


def test_the_schema_describes_every_key(folder: Path) -> None:
    schema = json_schema()
    models = [schema, *schema["$defs"].values()]
    assert json.loads(json.dumps(schema)) == schema
    assert {"with", "when", "check"} <= schema["$defs"]["StepConfig"]["properties"].keys()
    assert "schema" in schema["$defs"]["LedgerConfig"]["properties"]
    for model in models:
        assert model["additionalProperties"] is False
        for key, described in model["properties"].items():
            assert "description" in described or "$ref" in described, key
