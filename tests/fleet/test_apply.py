"""Tests of `fleet apply` on real servers: schemas of one database, and databases."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.fleet.tenants import Fleet

SHARD = ("--shard", "0/1")
REPORT = ("--report", "report.jsonl")

pytestmark = pytest.mark.usefixtures("in_process")


def test_a_failed_canary_stops_before_the_second_wave_and_the_next_run_goes_on(fleet: Fleet) -> None:
    fleet.declare("waves: [{name: canary, first: 2}]\nparallel: 1\nbudget: 10%")
    fleet.list_schemas(6)
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA t1; CREATE VIEW t1.notes AS SELECT 1 AS id")
    done = fleet.run("fleet", "apply", *SHARD, *REPORT)
    assert done.returncode == 1, done.stderr
    assert "tenant-1: failed (exit code 1): bootstrap.yaml:" in done.stderr
    assert "fleet: 1 changed, 1 failed, 4 not done: wave canary is over its budget in" in done.stderr
    assert [line["kind"] for line in fleet.report()] == ["run", "target", "target"]
    assert [fleet.notes(f"t{number}") for number in (0, 2)] == [[(1, "note of tenant-0")], None]
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        connection.execute("DROP VIEW t1.notes")
    done = fleet.run("fleet", "apply", *SHARD, "--resume", "report.jsonl")
    assert "fleet: 5 changed, 1 with nothing to do in" in done.stderr, done.stderr
    assert [line["wave"] for line in fleet.report() if line["kind"] == "wave"] == ["canary", "rest"]


def test_a_database_that_is_not_there_fails_alone_and_a_budget_tolerates_it(fleet: Fleet) -> None:
    fleet.declare("budget: 1\nretry: 0\nparallel: 2", url="${target.url}", wait="1s")
    nowhere = "postgresql://guest:hunter2hunter2@127.0.0.1:1/app"
    fleet.list([{"name": str(n), "schema": f"t{n}", "url": nowhere if n == 0 else fleet.url} for n in range(4)])
    done = fleet.run("fleet", "apply", *SHARD, *REPORT)
    assert done.returncode == 1, done.stderr
    assert "fleet: 3 changed, 1 failed in" in done.stderr
    assert {name: line["exit_code"] for name, line in fleet.results().items()} == {"0": 5, "1": 0, "2": 0, "3": 0}
    assert "hunter2" not in done.stderr + (fleet.folder / "report.jsonl").read_text()


def test_only_chosen_targets_and_waves_are_done(fleet: Fleet) -> None:
    fleet.declare("waves: [{name: canary, first: 2, confirm: true}]\nparallel: 1")
    fleet.list_schemas(4)
    done = fleet.run("fleet", "apply", *SHARD, "--target", "*-1", "--target", "*-3")
    assert done.returncode == 9, "nobody confirms the second wave"
    assert "fleet: 1 changed, 1 not done in" in done.stderr
    assert "error: wave 'canary' is done; the next one, 'rest', was not confirmed" in done.stderr
    assert "hint: Begin it with `bootstrapper fleet apply --wave rest`." in done.stderr
    assert [fleet.notes(f"t{n}") is not None for n in range(4)] == [False, True, False, False]
    done = fleet.run("fleet", "apply", *SHARD, "--wave", "rest", "--log-format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[0])["message"] == "wave rest: 2 targets"
    assert [fleet.notes(f"t{n}") is not None for n in range(4)] == [False, True, True, True]


def test_a_target_that_is_listed_during_the_run_is_done_as_well(fleet: Fleet) -> None:
    fleet.declare("parallel: 1")
    (fleet.folder / "bootstrap.yaml").write_text(
        (fleet.folder / "bootstrap.yaml").read_text().replace("{file: targets.csv}", "{command: [./list]}")
    )
    program = fleet.folder / "list"
    program.write_text(
        "#!/bin/sh\necho name,schema\necho a,a\n[ -e asked ] && echo b,b\ntouch asked\n", encoding="utf-8"
    )
    program.chmod(0o755)
    done = fleet.run("fleet", "apply", *SHARD)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:2] == ["wave rest: 1 target", "wave new: 1 target"]
    assert fleet.notes("b") == [(1, "note of b")]


def test_a_list_that_cannot_be_read_again_is_told_after_the_targets_that_failed(unconnected: Fleet) -> None:
    unconnected.declare("parallel: 1\nretry: 0\nbudget: 100%", wait="100ms")
    file = unconnected.folder / "bootstrap.yaml"
    program = "{command: [/bin/sh, -c, '[ ! -e asked ] || exit 3; touch asked; echo name,schema; echo a,a; echo b,']}"
    file.write_text(file.read_text().replace("{file: targets.csv}", program))
    done = unconnected.run("fleet", "apply", *SHARD, *REPORT)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    start = lines.index("target  exit code  message")
    assert [line.split()[:2] for line in lines[start + 1 : start + 3]] == [["a", "5"], ["b", "2"]]
    assert lines[start + 3].startswith("fleet: 2 failed in ")
    refused = "the list of targets cannot be read again: fleet.targets.command ended with exit code 3"
    assert lines[start + 4] == f"error: {refused} [BOOT-206]"
    message = unconnected.results()["b"]["message"]
    assert "variable target.schema is not set" in message


def test_only_the_report_of_the_same_run_is_resumed(fleet: Fleet) -> None:
    fleet.declare("waves: [{name: canary, first: 1, confirm: true}]\nparallel: 1")
    fleet.list_schemas(3)
    assert fleet.run("fleet", "apply", *SHARD, *REPORT, "--wave", "canary").returncode == 0
    before = fleet.report()
    done = fleet.run("fleet", "apply", *SHARD, "--resume", "report.jsonl")
    assert done.returncode == 2, "else the second wave begins without the question of the first"
    assert "report.jsonl is the report of another run: the wave is not the same" in done.stderr
    assert fleet.report() == before
    other = [{**before[0], "wave": None, "fleet": "other"}, *before[1:]]
    (fleet.folder / "report.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in other))
    done = fleet.run("fleet", "apply", *SHARD, "--resume", "report.jsonl")
    assert "report.jsonl is the report of another run: the fleet is not the same" in done.stderr
    (fleet.folder / "report.jsonl").write_text(
        f'{json.dumps({**before[0], "wave": None})}\n{{"kind": "wave"}}\n[1]\n\0'
    )
    done = fleet.run("fleet", "apply", *SHARD, "--resume", "report.jsonl")
    assert done.returncode == 9, "a wave without a name has not ended"
    assert [fleet.notes(f"t{n}") is not None for n in range(3)] == [True, False, False]


def test_a_refusal_leaves_the_place_of_the_report_to_the_next_run(fleet: Fleet) -> None:
    fleet.list_schemas(1)
    assert fleet.run("fleet", "apply", *SHARD, *REPORT, "--target", "x").returncode == 2
    assert fleet.run("fleet", "apply", *SHARD, *REPORT).returncode == 0
    assert list(fleet.results()) == ["tenant-0"]


def test_a_file_whose_targets_have_urls_is_valid(unconnected: Fleet) -> None:
    for url in ("${target.url}", "${target.url:-postgresql://app@h/app}", "postgresql://${target.host}/app"):
        unconnected.declare(url=url)
        done = unconnected.run("validate")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fleet", "apply", "--shard", "2/2"), "parts count from 0: the last one is 1/2"),
        (("fleet", "apply", "--shard", "x"), "expected I/N, such as 0/4"),
        (("fleet", "apply", "--shard", "0/1", "--dashboard"), "--shard cannot be combined with --dashboard"),
        (("fleet", "apply", "--shard", "0/1", "--wave", "x"), "unknown wave 'x'"),
        (("fleet", "apply", "--shard", "0/1", "--target", "x"), "no target matches x"),
        (("fleet", "plan", "--shard", "0/1", "--target", "x"), "no target matches x"),
        (("fleet", "status", "--shard", "0/1", "--target", "x", "--exit-code"), "no target matches x"),
        (("fleet", "apply", "--shard", "0/1", "--resume", "targets.csv"), "targets.csv is not a report"),
        (("fleet", "apply", "--shard", "0/1", "--report", "targets.csv"), "targets.csv already exists"),
        (("apply",), "target.schema is known only in a run of a fleet"),
    ],
)
def test_wrong_usage_is_refused(arguments: tuple[str, ...], said: str, unconnected: Fleet) -> None:
    unconnected.list_schemas(2)
    done = unconnected.run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_part_without_targets_has_nothing_to_do(unconnected: Fleet) -> None:
    (unconnected.folder / "targets.csv").write_text("name,schema\n")
    done = unconnected.run("fleet", "apply", *SHARD)
    assert (done.returncode, done.stderr.startswith("fleet: no targets in ")) == (0, True), done.stderr


def test_a_variable_that_every_target_lacks_is_asked_for_in_the_list(unconnected: Fleet) -> None:
    unconnected.list([{"name": "a", "schema": ""}, {"name": "b", "schema": ""}])
    done = unconnected.run("fleet", "apply", *SHARD)
    assert done.returncode == 2
    assert "variable target.schema is not set" in done.stderr
    assert "hint: Set it in the list of targets, or write a default: ${target.schema:-default}." in done.stderr


def test_a_file_without_a_fleet_is_refused(unconnected: Fleet) -> None:
    unconnected.write()
    assert "has no section `fleet`" in unconnected.run("fleet", "apply", *SHARD).stderr


def test_without_the_extra_the_error_names_it(unconnected: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    unconnected.list_schemas(1)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    done = unconnected.run("fleet", "apply")
    assert done.returncode == 2
    assert "error: the extra `fleet` is not installed" in done.stderr
    assert "pip install 'pg-bootstrapper[fleet]'" in done.stderr


def test_what_is_wrong_with_the_list_of_targets_shows_no_secret(unconnected: Fleet) -> None:
    file = unconnected.folder / "bootstrap.yaml"
    source = "{command: [/bin/sh, -c, 'echo no access with $API_TOKEN >&2; exit 1']}"
    file.write_text(file.read_text().replace("{file: targets.csv}", source))
    done = unconnected.run("fleet", "apply", *SHARD, API_TOKEN="hunter2hunter2")
    assert done.returncode == 2
    assert "no access with" in done.stderr
    assert "hunter2" not in done.stderr
