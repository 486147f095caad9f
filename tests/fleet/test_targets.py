"""Tests of the list of targets: where it may be, and what is refused in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bootstrapper.config import load
from bootstrapper.errors import BootstrapperError, InvalidFileError
from bootstrapper.fleet.places import placed
from bootstrapper.fleet.targets import Target, read_targets
from tests.servers import Server

HEAD = """\
version: 1
name: trial
database: {url: "postgresql://u@${target.host:-h}/${target.name}"}
steps: [{uses: wait}]
"""
TWO = [Target("a", {"name": "a", "tier": "gold"}), Target("b", {"name": "b"})]


def listed(folder: Path, fleet: str, **variables: str) -> list[Target]:
    file = folder / "bootstrap.yaml"
    file.write_text(f"{HEAD}fleet:\n  targets: {fleet}\n")
    return read_targets(load.read_all(file, None, variables))


def refused(folder: Path, fleet: str) -> str:
    with pytest.raises(BootstrapperError) as caught:
        listed(folder, fleet)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_targets_are_a_list_of_mappings(tmp_path: Path) -> None:
    found = listed(tmp_path, "[{name: 1, size: 2.50, eu: true, none: null, host: '${HOST}'}]", HOST="db1")
    assert found == [Target("1", {"name": "1", "size": "2.50", "eu": "true", "host": "db1"})]


@pytest.mark.parametrize(
    "content",
    [
        "name,tier\na,gold\nb,\n",
        "\ufeffname,tier\r\na,gold\r\nb,\r\n",
        json.dumps([{"name": "a", "tier": "gold"}, {"name": "b", "tier": None}]),
    ],
)
def test_targets_are_in_a_file_or_printed_by_a_program(content: str, tmp_path: Path) -> None:
    (tmp_path / "targets").write_text(content)
    assert listed(tmp_path, "{file: targets}") == TWO
    assert listed(tmp_path, "{command: [cat, targets]}", PATH="/usr/bin:/bin") == TWO


def test_targets_are_rows_of_a_query_as_the_server_writes_them(tmp_path: Path, server: Server, database: str) -> None:
    server.execute(
        "CREATE TABLE tenants AS SELECT * FROM (VALUES ('a', true), ('b', NULL)) t", database.rpartition("/")[2]
    )
    query = "SELECT column1 AS name, column2 AS live FROM tenants ORDER BY 1"
    found = listed(tmp_path, f"{{sql: {query!r}, url: '${{CONTROL}}'}}", CONTROL=database)
    assert found == [Target("a", {"name": "a", "live": "t"}), Target("b", {"name": "b"})]


def test_a_query_that_fails_or_writes_is_refused(tmp_path: Path, database: str) -> None:
    for query in ("SELECT nonsense", "CREATE TABLE oops ()", "COMMIT; CREATE TABLE public.oops (); SELECT 1 AS name"):
        said = refused(tmp_path, f"{{sql: {query!r}, url: '{database}'}}")
        assert "bootstrap.yaml:6:12: the targets cannot be read" in said


def test_a_query_without_the_columns_of_targets_is_refused(tmp_path: Path, database: str) -> None:
    for query, fault in (
        ("SET work_mem = 64", "targets need a column `name`"),
        ("SELECT 1 AS id WHERE false", "targets need a column `name`"),
        ("SELECT 1 AS name, 2 AS name", "two columns have the name name"),
    ):
        said = refused(tmp_path, f"{{sql: {query!r}, url: '{database}'}}")
        assert f"bootstrap.yaml:6:12: fleet.targets.sql: {fault}" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name\na\na\n", "two targets have the name a"),
        ("tier\ngold\n", "targets need a column `name`"),
        ("", "targets need a column `name`"),
        ("null", "targets need a column `name`"),
        ("name,tier,tier\na,b,c\n", "two columns have the name tier"),
        ("name,a-b\nx,1\n", '"a-b" is not a valid name of a variable'),
        ("name,tier\na,b,c\n", "a line has more fields than the header"),
        ('[{"name": "a", "deep": {}}]', "expected a list of objects with plain values"),
        ('[{"name": "a"', "neither CSV with a header nor JSON"),
    ],
)
def test_anything_but_a_list_of_targets_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "targets").write_text(content)
    assert said in refused(tmp_path, "{file: targets}")


def test_a_program_that_fails_is_refused(tmp_path: Path) -> None:
    assert "ended with exit code 1" in refused(tmp_path, "{command: [/bin/sh, -c, 'exit 1']}")
    assert "program nonsense not found" in refused(tmp_path, "{command: [nonsense]}")


def test_two_targets_that_are_the_same_database_and_ledger_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.yaml"
    file.write_text(f"{HEAD}fleet:\n  targets: [{{name: a}}, {{name: b}}, {{name: c, host: other}}]\n")
    loaded = load.read_all(file, None, {})
    assert [each.server for each in placed(loaded, read_targets(loaded))] == ["h:5432", "h:5432", "other:5432"]
    same = file.read_text().replace("/${target.name}", "/app")
    file.write_text(same)
    loaded = load.read_all(file, None, {})
    with pytest.raises(InvalidFileError, match="3:11: targets a and b are the same database with the same ledger"):
        list(placed(loaded, read_targets(loaded)))


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        ("{targets: [{name: a}, {name: a}]}", 'duplicate target "a"; first at'),
        ("{targets: [{tier: a}]}", "a target needs a name"),
        ("{targets: {}}", "fleet.targets needs sql, command or file; it has none of them"),
        ("{targets: {file: x, command: [y]}}", "it has command and file"),
        ("{targets: {sql: SELECT}}", "sql needs url"),
        ("{targets: {file: x, url: y}}", "url is for sql alone"),
        ("{targets: [], waves: [{name: a, first: 1, share: 1%}]}", "has first and share"),
        ("{targets: [], waves: [{name: a}, {name: b, first: 1}]}", 'would be empty: wave "a" takes all that are left'),
        ("{targets: [], waves: [{name: a, first: 1}, {name: a}]}", 'duplicate wave "a"'),
        ("{targets: [], waves: [{name: rest, first: 1}]}", "wave rest is that of all targets that are left"),
        (
            "{targets: [], waves: [{name: new, first: 1}]}",
            "1:37: wave new is that of targets that are listed during a run",
        ),
        ("{targets: [], waves: [{name: a, share: 5}]}", "expected a share, such as 10%"),
        ("{targets: [], budget: 200%}", "is not a limit"),
        ("{targets: [], paralel: 2}", 'did you mean "parallel"?'),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(fleet: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.yaml"
    file.write_text(f"fleet: {fleet}\nversion: 1\ndatabase: {{url: 'postgresql://h/d'}}\nsteps: [{{uses: wait}}]\n")
    with pytest.raises(InvalidFileError) as caught:
        load.load(file, None, {})
    assert said in str(caught.value), str(caught.value)
