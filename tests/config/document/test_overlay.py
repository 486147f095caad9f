"""Laying one document over another."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrapper.config.document import Document, parse
from bootstrapper.config.document.overlay import lay_over
from bootstrapper.errors import InvalidFileError, Source

BASE = """\
version: 1
name: app
database: {url: here, direct_url: there}
plugins: [a, b]
steps:
  - uses: wait
    with: {timeout: 60s, retries: 3}
  - uses: lock
  - name: rows
    uses: seed
    with: {fixtures: [tenants], env: {A: 1}}
    when: {all: [a, b]}
    check: {rows: {table: users, at_least: 1}}
fixtures:
  tenants:
    key: [slug]
    defaults: {active: true, plan: free}
    rows:
      default: {name: Default, slug: default}
      other: {name: Other, slug: other}
  users:
    key: [email]
    rows: [{email: a}]
"""


def merge(base: Document, overlay: Document) -> Document:
    merged, problems = lay_over(base, overlay)
    if problems:
        raise InvalidFileError(problems)
    return merged


def laid(overlay: str) -> Document:
    return merge(parse(BASE.encode(), "main.yaml"), parse(overlay.encode(), "over.yaml"))


def steps(overlay: str) -> list[str]:
    return [step.get("name", step["uses"]) for step in laid(overlay).data["steps"]]


def complaints(overlay: str) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        laid(overlay)
    return [str(problem) for problem in caught.value.problems]


def test_sections_merge_and_lists_are_replaced() -> None:
    document = laid("name: other\ndatabase: {url: elsewhere}\nplugins: [c]\nledger: {schema: x}")
    assert document.data["name"] == "other"
    assert document.data["database"] == {"url": "elsewhere", "direct_url": "there"}
    assert document.data["plugins"] == ["c"]
    assert document.data["ledger"] == {"schema": "x"}
    assert document.data["version"] == 1


def test_a_value_function_replaces_another_one_whole() -> None:
    base = parse(b"database: {password: {$file: a}}", "main.yaml")
    document = merge(base, parse(b"database: {password: {$env: B}}", "over.yaml"))
    assert document.data["database"] == {"password": {"$env": "B"}}


@pytest.mark.parametrize(
    ("overlay", "place", "expected"),
    [
        ("{uses: wait, with: {timeout: 5s}}", (0, "with"), {"timeout": "5s", "retries": 3}),
        ("{name: rows, with: {env: {B: 2}}}", (2, "with", "env"), {"B": 2}),
        ("{name: rows, with: {fixtures: [users]}}", (2, "with", "fixtures"), ["users"]),
        ("{name: rows, when: {any: [c]}}", (2, "when"), {"any": ["c"]}),
        ("{name: rows, check: {never: true}}", (2, "check"), {"never": True}),
        ("{name: rows, when: null}", (2, "when"), None),
        ("{name: rows, uses: sql, with: {file: x}}", (2, "with"), {"file": "x"}),
        ("{name: lock, with: {timeout: 1m}}", (1, "with"), {"timeout": "1m"}),
        ("{uses: wait, remove: false}", (0,), {"uses": "wait", "with": {"timeout": "60s", "retries": 3}}),
    ],
)
def test_a_step_merges_by_its_name(overlay: str, place: tuple[Any, ...], expected: object) -> None:
    assert laid(f"steps: [{overlay}]").get(("steps", *place)) == expected


@pytest.mark.parametrize(
    ("overlay", "names"),
    [
        ("[{uses: sql}]", ["wait", "lock", "rows", "sql"]),
        ("[{uses: sql, before: lock}]", ["wait", "sql", "lock", "rows"]),
        ("[{uses: sql, after: lock}]", ["wait", "lock", "sql", "rows"]),
        ("[{uses: sql, name: x, after: rows}, {uses: sql, name: y, before: x}]", ["wait", "lock", "rows", "y", "x"]),
        ("[{name: lock, remove: true}]", ["wait", "rows"]),
        ("[{uses: lock, remove: true}, {uses: sql, after: lock}]", ["wait", "sql", "rows"]),
        ("[]", ["wait", "lock", "rows"]),
    ],
)
def test_steps_are_placed_and_removed_by_name(overlay: str, names: list[str]) -> None:
    assert steps(f"steps: {overlay}") == names


def test_directives_do_not_stay_in_a_placed_step() -> None:
    assert laid("steps: [{uses: sql, before: lock}]").data["steps"][1] == {"uses": "sql"}


def test_labelled_rows_and_defaults_merge_by_column() -> None:
    document = laid("fixtures: {tenants: {defaults: {plan: paid}, rows: {default: {name: New}, third: {slug: t}}}}")
    assert document.data["fixtures"]["tenants"] == {
        "key": ["slug"],
        "defaults": {"active": True, "plan": "paid"},
        "rows": {
            "default": {"name": "New", "slug": "default"},
            "other": {"name": "Other", "slug": "other"},
            "third": {"slug": "t"},
        },
    }


def test_a_column_value_is_replaced_whole() -> None:
    base = parse(b"fixtures: {t: {rows: {a: {v: {$password: x}, w: {k: 1}}}}}", "main.yaml")
    document = merge(base, parse(b"fixtures: {t: {rows: {a: {v: {$file: y}, w: {j: 2}}}}}", "over.yaml"))
    assert document.data["fixtures"]["t"]["rows"]["a"] == {"v": {"$file": "y"}, "w": {"j": 2}}


@pytest.mark.parametrize(
    ("fixture", "overlay", "expected"),
    [
        ("users", "{x: {email: b}}", {"x": {"email": "b"}}),
        ("users", "[{email: b}]", [{"email": "b"}]),
        ("tenants", "[{slug: b}]", [{"slug": "b"}]),
    ],
)
def test_lists_of_rows_are_replaced(fixture: str, overlay: str, expected: object) -> None:
    assert laid(f"fixtures: {{{fixture}: {{rows: {overlay}}}}}").data["fixtures"][fixture]["rows"] == expected


def test_null_removes_a_row_and_a_fixture() -> None:
    fixtures = laid("fixtures: {tenants: {rows: {other: null}}, users: null}").data["fixtures"]
    assert list(fixtures) == ["tenants"]
    assert list(fixtures["tenants"]["rows"]) == ["default"]


def test_every_value_keeps_the_place_of_the_file_it_comes_from() -> None:
    document = laid(
        "steps:\n  - uses: wait\n    with: {timeout: 5s}\n  - {uses: sql, before: rows}\nfixtures:\n  new: {}\n"
    )
    assert document.source(("steps", 0, "with", "timeout")) == Source("over.yaml", 3, 21)
    assert document.key_source(("steps", 0, "with", "timeout")) == Source("over.yaml", 3, 12)
    assert document.source(("steps", 0, "with", "retries")) == Source("main.yaml", 7, 35)
    assert document.source(("steps", 2, "uses")) == Source("over.yaml", 4, 12)
    assert document.source(("steps", 3, "with", "fixtures", 0)) == Source("main.yaml", 11, 23)
    assert document.key_source(("fixtures", "new")) == Source("over.yaml", 6, 3)
    assert document.key_source(("fixtures", "tenants")) == Source("main.yaml", 15, 3)
    assert document.files == ("main.yaml", "over.yaml")


def test_a_third_document_can_be_laid_over_two() -> None:
    document = merge(laid("name: second"), parse(b"\nplugins: [z]", "third.yaml"))
    assert document.source(("name",)) == Source("over.yaml", 1, 7)
    assert document.source(("plugins", 0)) == Source("third.yaml", 2, 11)
    assert document.source(("version",)) == Source("main.yaml", 1, 10)


def test_an_overlay_changes_neither_of_its_documents() -> None:
    base, overlay = parse(BASE.encode(), "main.yaml"), parse(b"steps: [{uses: sql, before: lock}]", "over.yaml")
    merge(base, overlay)
    assert base.data == parse(BASE.encode(), "main.yaml").data
    assert overlay.data == {"steps": [{"uses": "sql", "before": "lock"}]}


def test_a_value_of_another_type_is_replaced_and_left_to_validation() -> None:
    assert laid("steps: 5").data["steps"] == 5
    assert laid("database: x").source(("database",)) == Source("over.yaml", 1, 11)


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("version: 1", "over.yaml:1:1: version is allowed only in the main file"),
        ("environments: {}", "over.yaml:1:1: environments is allowed only in the main file"),
        ("steps: [{name: wiat}]", '1:9: step "wiat" does not exist; a new one needs uses; did you mean "wait"?'),
        (
            "steps: [{name: wiat, remove: true}]",
            '1:9: cannot remove step "wiat": it does not exist; did you mean "wait"?',
        ),
        ("steps: [{uses: sql, before: lok}]", '1:29: before: step "lok" does not exist; did you mean "lock"?'),
        ("steps: [{uses: sql, after: [lock]}]", "1:28: after: the step does not exist"),
        ("steps: [{uses: sql, after: }]", "1:28: after: the step does not exist"),
        ("steps: [{uses: sql, after: lock, before: lock}]", "before and after cannot be combined"),
        ("steps: [{uses: wait, after: lock}]", '1:29: after places a new step, but "wait" exists'),
        ("steps: [{uses: wait, remove: 'yes'}]", "1:30: remove must be true"),
        ("steps: [{uses: a}, {uses: a}]", '1:20: duplicate step "a"; first at over.yaml:1:9'),
        ("steps: [wait]", "1:9: an entry of steps must be a mapping with uses or name"),
        ("steps: [{with: {}}]", "1:9: an entry of steps must be a mapping with uses or name"),
        ("fixtures: {user: null}", '1:12: cannot remove fixture "user": it does not exist; did you mean "users"?'),
        ("fixtures: {tenants: {rows: {x: null}}}", '1:29: cannot remove row "x": it does not exist'),
    ],
)
def test_unknown_names_are_problems_with_their_place(overlay: str, message: str) -> None:
    (found,) = complaints(overlay)
    assert found.startswith("over.yaml:")
    assert message in found


def test_all_problems_of_an_overlay_are_reported_together() -> None:
    found = complaints("steps: [{name: x}, {name: y, remove: true}]\nfixtures: {z: null}\nversion: 2")
    assert [item.split(":")[1] for item in found] == ["1", "1", "2", "3"]
