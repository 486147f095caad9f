"""What `validate` finds without a database, and that nothing hides anything else."""

from __future__ import annotations

import pytest

from bootstrapper.api.project import validate
from bootstrapper.engine.open import resolve
from bootstrapper.errors import InvalidFileError
from bootstrapper.fixtures.declare import datafiles
from tests.migrations.projects import write_env, write_revision
from tests.projects import TrialProject

STEPS = """
steps:
  - uses: lock
  - uses: seed
"""


def problems(project: TrialProject, **variables: str) -> list[tuple[int, str]]:
    project.variables = variables
    with pytest.raises(InvalidFileError) as caught:
        validate(project.request())
    return [(found.source.line if found.source else 0, found.message) for found in caught.value.problems]


def test_an_unknown_key_hides_nothing_in_the_steps(project: TrialProject) -> None:
    project.write("stepz: []\nsteps:\n  - uses: lock\n    with: {timout: 5s}\n  - uses: migrat\n    chekc: never\n")
    found = problems(project)
    assert [line for line, _ in found] == [5, 8, 9, 10], found


def test_all_unset_variables_of_the_address_are_named(project: TrialProject) -> None:
    project.write(
        "version: 1\ndatabase: {host: '${DB_HOST}', dbname: '${DB_NAME}', user: '${DB_USER}'}\nsteps: [{uses: lock}]\n"
    )
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    assert [found.message for found in caught.value.problems] == [
        f"variable {name} is not set" for name in ("DB_HOST", "DB_NAME", "DB_USER")
    ]
    assert caught.value.problems[0].hint == "Set DB_HOST, or write a default: ${DB_HOST:-default}."


def test_validate_needs_no_variable_of_the_address(project: TrialProject) -> None:
    project.write("version: 1\ndatabase: {url: '${NOT_SET_HERE}'}\nsteps: [{uses: lock}]\n")
    assert validate(project.request()).steps == ("lock (lock)",)


def test_validate_finds_an_address_that_is_none(project: TrialProject) -> None:
    project.write("version: 1\ndatabase: {url: 'mysql://x'}\nsteps: [{uses: lock}]\n")
    assert [line for line, _ in problems(project)] == [2]


def test_validate_looks_into_fixtures(project: TrialProject) -> None:
    project.write(STEPS + "fixtures:\n  words: {key: [word], rows: [{word: a}, {word: a}, {}]}\n")
    found = problems(project)
    assert [message for _, message in found] == [
        "the row has no word, which is part of the key",
    ]


def test_a_key_that_no_row_has_is_complained_of_once_at_the_key(project: TrialProject) -> None:
    project.write(STEPS + "fixtures:\n  users:\n    key: [mail]\n    rows: [{email: a}, {email: b}]\n")
    with pytest.raises(InvalidFileError) as caught:
        validate(project.request())
    (problem,) = caught.value.problems
    assert problem.message == "no row has mail, which is part of the key"
    assert problem.hint == "Did you mean email? Correct the key, or rename email in the rows."
    assert problem.source is not None
    text = (project.folder / "bootstrap.yaml").read_text().splitlines()
    assert text[problem.source.line - 1][problem.source.column - 1 :] == "[mail]"


def test_a_misspelt_step_is_complained_of_once(project: TrialProject) -> None:
    project.write(
        "steps:\n  - uses: lock\n"
        "  - {uses: sql, with: {statement: SELECT 1}, check: never, when: {pending: [migrate]}}\n"
        "  - uses: migrat\n"
    )
    assert [message for _, message in problems(project)] == ["unknown step 'migrat'"]


def test_an_env_file_that_a_fresh_clone_does_not_have_is_passed_over(project: TrialProject) -> None:
    project.write("env_files: [.env?]\nsteps: [{uses: lock}]\n")
    assert project.plan().pending == ()
    project.write("DATABASE_URL=postgresql://nowhere\n", ".env")
    assert project.plan().pending == ()  # the process wins


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{$ref: auther.one}", "fixture 'auther' does not exist"),
        ("{$ref: words.two}", "row 'two' of fixture words does not exist"),
        ("{$ref: 5}", "$ref takes fixture.label, fixture.label.column, or {fixture: {key: value}}"),
        ("{$ref: {wordz: {word: a}}}", "fixture 'wordz' does not exist"),
        ("{$ref: {words: {id: a}}}", "a reference to words needs its key: word"),
        (
            "{$pasword: x}",
            "unknown value function $pasword: did you mean $password? write {$literal: {$pasword: ...}} for plain data",
        ),
        ("{$password: x, rotate: true}", "$password cannot have another key beside it (rotate); write {$literal: "),
        ("[{a: {x: 1, $ref: words.one}}]", "$ref cannot have another key beside it (x); write {$literal: "),
        ("[{$password: {$fil: X}}]", "unknown value function $fil: did you mean $file?"),
    ],
)
def test_validate_finds_what_a_cell_names_and_the_project_lacks(
    project: TrialProject, value: str, message: str
) -> None:
    project.write(STEPS + f"fixtures:\n  words: {{key: [word], rows: {{one: {{word: a, other: {value}}}}}}}\n")
    ((line, found),) = problems(project)
    assert (line, found[: len(message)]) == (10, message)


@pytest.mark.parametrize(
    "value",
    [
        "{$ref: words.one}",
        "{$ref: words.one.word}",
        "{$ref: {cities: {name: b}}}",
        "{$ref: '${ROW}'}",
        "{$literal: {$x: 1}}",
        "{$literal: {$ref: '#/x', description: y}}",
        "{$schema: x, type: object}",
    ],
)
def test_validate_needs_no_variable_and_no_table_of_a_reference(project: TrialProject, value: str) -> None:
    project.write(STEPS + f"fixtures:\n  words: {{key: [word], rows: {{one: {{word: a, other: {value}}}}}}}\n")
    assert validate(project.request()).fixtures == {"words": 1}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{$password: ''}", "$password: the password is empty"),
        ("{$password: {value: '${PW}', scheme: rot13}}", "$password: unknown scheme 'rot13'; known are"),
        (f"{{$password: {{value: {'s3cr3t-' * 11}, scheme: bcrypt}}}}", "$password: bcrypt takes at most 72 bytes"),
        ("[{$password: 5}]", "$password takes a text, or"),
        ("{$sql: 'a) + (b'}", "$sql: the expression closes a bracket that was not opened"),
        ("{$now: 5}", "$now takes no argument"),
    ],
)
def test_validate_finds_arguments_that_no_variable_can_mend(project: TrialProject, value: str, message: str) -> None:
    project.write(STEPS + f"fixtures:\n  words:\n    key: [word]\n    rows:\n      - {{word: a, other: {value}}}\n")
    (found,) = problems(project)
    assert found[0] == 13
    assert found[1].startswith(message)
    assert "s3cr3t" not in found[1]


def test_validate_looks_for_files_of_sql(project: TrialProject) -> None:
    project.write(
        "steps:\n  - uses: lock\n  - {uses: sql, name: a, with: {file: nowhere.sql}, check: never}\n"
        "  - {uses: sql, name: b, with: {file: commit.sql}, check: never}\n"
    )
    project.write("COMMIT;", "commit.sql")
    assert [message for _, message in problems(project)] == [
        "nowhere.sql cannot be read: No such file or directory",
        "COMMIT is refused: the step has its own transaction",
    ]


def test_validate_finds_a_check_beside_a_batch(project: TrialProject) -> None:
    project.write(
        "steps:\n  - uses: lock\n  - {uses: seed, with: {batch: 5}, check: {table: words}}\n"
        "fixtures:\n  words: {key: [word], rows: [{word: a}]}\n"
    )
    assert [message for _, message in problems(project)] == [
        "`batch` commits in parts, so a `check` could pass before all of them are done"
    ]


@pytest.mark.parametrize("where", ["1=1) OR (1=1", "true); DELETE FROM words; --"])
def test_a_condition_that_leaves_its_brackets_is_told_with_its_place(project: TrialProject, where: str) -> None:
    project.write(
        STEPS.replace("uses: seed", f"uses: seed\n    check: {{rows: {{table: words, where: '{where}'}}}}")
        + f"fixtures:\n  words:\n    key: [word]\n    mode: sync\n    where: '{where}'\n    rows: [{{word: a}}]\n"
    )
    message = "closes a bracket that was not opened"
    assert [found for _, found in problems(project)] == [
        f"steps[1].check.rows.where: {message}; it must be one SQL condition",
        f"where {message}",
    ]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{uses: backup, with: {keep: true}}", "keep: expected a whole number, found true or false"),
        ("{uses: backup, with: {compress: true}}", "compress: expected a whole number, found true or false"),
        ("{uses: migrate, with: {repair: 0}}", "repair: expected true or false, found a number"),
    ],
)
def test_true_is_not_a_number_and_a_number_not_an_answer(project: TrialProject, step: str, message: str) -> None:
    project.write(f"steps:\n  - uses: lock\n  - {step}\n")
    assert [found for _, found in problems(project)] == [f"steps[1].with.{message}"]


WRONG_EVERYWHERE = """\
version: 2
database: {url: "mysql://h/d"}
limits: {timeout: soon}
steps:
  - {uses: lock, with: {timout: 5s}}
  - {uses: migrate, timeout: 5, check: {revision: nowhere}}
  - {uses: sql, name: a, with: [x], check: never}
  - {uses: sql, name: b, with: {statement: SELECT 1}, check: 5}
  - {uses: sql, name: c, with: {file: missing.sql}, check: never}
  - {uses: 7}
  - text
  - uses: seed
fixtures:
  words: {key: [], rows: []}
"""


def with_history(project: TrialProject) -> None:
    write_env(project.folder)
    write_revision(project.folder, "first", None)
    project.write("[alembic]\nscript_location = migrations\n", "alembic.ini")


def test_what_is_wrong_outside_hides_nothing_inside_and_brings_no_other_complaint(project: TrialProject) -> None:
    with_history(project)
    project.write(WRONG_EVERYWHERE)
    assert [line for line, _ in problems(project)] == [1, 2, 3, 5, 6, 6, 7, 8, 9, 10, 11, 14]


@pytest.mark.parametrize("plugins", ["[./nowhere]", "['']", "{}"])
def test_a_missing_plugin_hides_nothing_that_it_could_not_mend(project: TrialProject, plugins: str) -> None:
    project.write(
        f"plugins: {plugins}\nsteps:\n  - {{uses: lock, with: {{timout: 5s}}}}\n"
        "  - {uses: sql, name: a, with: {file: missing.sql}, check: never}\n"
    )
    assert [line for line, _ in problems(project)] == [5, 7, 8]


def test_what_a_missing_plugin_may_bring_is_not_a_problem(project: TrialProject) -> None:
    project.write(
        "plugins: [./nowhere]\nsteps:\n  - uses: lock\n  - uses: bucket\n"
        "  - {uses: sql, with: {statement: {$vault: [a]}}, check: {bucket_exists: a}}\n  - {uses: command, with: 5}\n"
    )
    assert [line for line, _ in problems(project)] == [5, 10]


@pytest.mark.parametrize(
    ("step", "line"),
    [
        ("{uses: migrate, check: {revision: nowhere}}", 7),
        ("{uses: migrate, check: {not: {any: [{revision: nowhere}]}}}", 7),
        ("{uses: migrate, when: {revision: nowhere}}", 7),
        ("{uses: migrate, with: {target: nowhere}}", 7),
        ("{uses: migrate, with: {target: [first, nowhere]}}", 7),
        ("{uses: migrate, with: {adopt: nowhere}}", 7),
        ("{uses: migrate}\n  - {uses: seed, when: {revision: nowhere}}\nfixtures: {a: {key: [b], rows: []}}", 8),
        ("{uses: migrate}\n  - uses: seed\nfixtures: {a: {key: [b], rows: [], when: {revision: nowhere}}}", 9),
    ],
)
def test_validate_looks_for_the_revisions_that_are_named(project: TrialProject, step: str, line: int) -> None:
    with_history(project)
    project.write(f"steps:\n  - uses: lock\n  - {step}\n")
    assert problems(project) == [(line, "revision or branch 'nowhere' does not exist")]


def test_validate_takes_the_start_of_a_revision_for_its_name(project: TrialProject) -> None:
    with_history(project)
    project.write("steps:\n  - uses: lock\n  - {uses: migrate, with: {target: firs}, check: {revision: head}}\n")
    assert len(validate(project.request()).steps) == 2


def test_a_step_that_may_be_meant_for_the_lock_is_complained_of_once(project: TrialProject) -> None:
    project.write("steps:\n  - uses: lcok\n  - {uses: sql, with: {statement: SELECT 1}, check: never}\n")
    assert problems(project) == [(6, "unknown step 'lcok'")]


@pytest.mark.parametrize("nothing", ["", "'${NOTHING:-}'", "{$env: {name: NOTHING}}"])
def test_what_has_no_value_counts_as_left_out(project: TrialProject, nothing: str) -> None:
    project.variables = {"NOTHING": ""}
    project.write(
        f"steps:\n  - uses: lock\n    with: {{timeout: {nothing}}}\n"
        f"  - {{uses: backup, with: {{keep: {nothing}, storage: {nothing}, directory: {nothing}}}}}\n"
        f"  - {{uses: command, with: {{run: 'true', cwd: {nothing}, env: {{A: 'b'}}}}, check: never}}\n"
        f"  - {{uses: sql, with: {{statement: SELECT 1, transaction: {nothing}}}, check: "
        f"{{rows: {{table: a, where: {nothing}, at_least: {nothing}}}}}}}\n"
    )
    assert len(validate(project.request()).steps) == 4


def test_an_empty_variable_is_a_text_where_the_file_names_the_keys(project: TrialProject) -> None:
    project.write("steps:\n  - uses: lock\n  - {uses: command, with: {run: x, env: {A: '${B:-}'}}, check: never}\n")
    (_, command) = resolve(project.request(), "validate").entries
    assert command.unit.options.env == {"A": ""}


@pytest.mark.parametrize(
    ("text", "place"),
    [("steps:\n  - {uses: lock, wehn: }\n", "6:18"), ("steps: [{uses: lock}]\nlimits:\n  timeot:\n", "7:3")],
)
def test_an_unknown_key_is_one_without_a_value_too(project: TrialProject, text: str, place: str) -> None:
    project.write(text)
    with pytest.raises(InvalidFileError, match="unknown key") as caught:
        validate(project.request())
    assert [str(found.source).partition(":")[2] for found in caught.value.problems] == [place]


def test_a_wrong_part_of_the_address_has_its_own_place(project: TrialProject) -> None:
    project.write("version: 1\ndatabase:\n  host: h\n  port: text\n  sslmode: 5\nsteps: [{uses: lock}]\n")
    assert problems(project) == [
        (4, "the port must be a number from 1 to 65535"),
        (5, "sslmode must be one of: disable, allow, prefer, require, verify-ca, verify-full"),
    ]


@pytest.mark.parametrize(
    "step", ["{uses: seed, with: {batch: '5'}}", "{uses: migrate, with: {repair: '${REPAIR:-no}'}}"]
)
def test_a_text_may_stand_for_a_number_or_an_answer(project: TrialProject, step: str) -> None:
    """As it comes out of a variable."""
    project.write(f"steps:\n  - uses: lock\n  - {step}\n")
    project.write("[alembic]\nscript_location = migrations\n", "alembic.ini")
    project.write("", "migrations/env.py")
    assert len(validate(project.request()).steps) == 2


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "{uses: backup, with: {compress: [5]}}",
            "compress: expected a whole number or text, found a list",
        ),
        ("{uses: backup, with: {compress: -1}}", "compress: must be at least 0"),
        ("{uses: migrate, with: {target: []}}", "target: needs at least 1"),
        ("{uses: migrate, with: {adopt: ''}}", "adopt: must not be empty"),
    ],
)
def test_what_a_choice_of_types_refuses_is_one_sentence(project: TrialProject, step: str, message: str) -> None:
    project.write(f"steps:\n  - uses: lock\n  - {step}\n")
    assert [found for _, found in problems(project)] == [f"steps[1].with.{message}"]


def test_a_variable_without_braces_is_told_from_a_wrong_address(project: TrialProject) -> None:
    project.write("version: 1\ndatabase: {url: $DATABASE_URL}\nsteps: [{uses: lock}]\n")
    assert problems(project) == [(2, "a variable is written with braces: ${NAME}")]


def test_an_option_is_either_a_call_or_plain_data(project: TrialProject) -> None:
    env = "env: {A: {$env: X, name: Y}}"
    project.write(STEPS + f"  - {{uses: command, with: {{run: [a], {env}}}, check: never}}\nfixtures: {{}}\n")
    assert [message for _, message in problems(project)] == [
        "$env cannot have another key beside it (name); write {$literal: {$env: ..., name: ...}} for plain data"
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("[{a: 1, b: x}, {a: '1', b: x}]", "duplicate key in fixture words; first at "),
        ("[{a: 1, b: {$ref: t.x}}, {a: 1, b: {$ref: t.x}}]", "duplicate key in fixture words; first at "),
        ("[{a: 1, b: {$ref: {t: {c: {$pasword: x}}}}}]", "unknown value function $pasword"),
        ("[{a: 1, b: {$ref: {t: {c: {$ref: t.z}}}}}]", "row 'z' of fixture t does not exist"),
        ("[{a: 1, b: {$ref: {t: {c: {$ref: 5}}}}}]", "$ref takes fixture.label"),
        ("[{a: 1, b: {$ref: {t: {c: null}}}}]", "c is part of the key and must be a single value"),
        ("[{a: 1, b: {c: d}}]", "b is part of the key and must be a single value"),
        ("[{a: 1, b: {$now: }}]", "b is part of the key, but its value is only made when a row is created"),
    ],
)
def test_validate_finds_keys_that_no_database_could_tell_apart(project: TrialProject, rows: str, message: str) -> None:
    words = f"words: {{key: [a, b], rows: {rows}}}"
    project.write(STEPS + f"fixtures:\n  t: {{key: [c], rows: {{x: {{c: 1}}}}}}\n  {words}\n")
    ((line, found),) = problems(project)
    assert (line, found[: len(message)]) == (11, message)


def test_validate_leaves_keys_alone_that_variables_may_tell_apart(project: TrialProject) -> None:
    rows = (
        '[{a: 1}, {a: "${A}"}, {a: "${A}"}, {a: {$env: B}}, {a: {$ref: {t: {c: {$ref: t.x}}}}}, {a: {$ref: "t.${C}"}}]'
    )
    words = f"words: {{key: [a], rows: {rows}}}"
    project.write(STEPS + f"fixtures:\n  t: {{key: [c], rows: {{x: {{c: 1}}}}}}\n  {words}\n")
    assert validate(project.request()).fixtures == {"t": 1, "words": 6}


@pytest.mark.parametrize("records", ["1,a\n2,b\n1,c", "1,a\n2\n3,c"])
def test_validate_reads_a_large_file_to_its_end(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch, records: str
) -> None:
    monkeypatch.setattr(datafiles, "LARGE_BYTES", -1)
    project.write(f"id,name\n{records}\n", "words.csv")
    project.write(STEPS + "fixtures:\n  words: {key: [id], file: words.csv}\n")
    ((line, message),) = problems(project)
    if records.endswith("1,c"):
        assert (line, message) == (4, "duplicate key in fixture words; first on line 2")
    else:
        assert (line, message) == (3, "1 field where the header has 2")
