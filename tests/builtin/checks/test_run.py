"""The checks about the run and its history: once, never, environment, pending, backup."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.builtin.checks.backup import BackupCheck
from bootstrapper.builtin.checks.environment import EnvironmentCheck
from bootstrapper.builtin.checks.never import NeverCheck
from bootstrapper.builtin.checks.once import OnceCheck
from bootstrapper.builtin.checks.pending import PendingCheck
from bootstrapper.builtin.steps.backup import Backup
from bootstrapper.engine.probes import ask_probes, with_probes
from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context
from bootstrapper.postgres.ledger.chain import record_step
from tests.backups.contexts import Bench, ask, make_bench, shared_database, take
from tests.servers import Server


@pytest.fixture(scope="module")
def module_database(server: Server) -> Iterator[str]:
    with shared_database(server, "checks_of_runs") as url:
        yield url


@pytest.fixture
def bench(module_database: str, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(module_database, tmp_path, environment="staging")
    yield made
    made.clean()


def make(kind: type[Check], bench: Bench, raw: object = None) -> Check:
    argument = TypeAdapter(kind.argument_type).validate_python(raw)
    return kind(argument, bench.project, "step")


def record(bench: Bench, kind: str, *marks: str) -> None:
    with bench.run() as hold, hold.transaction() as connection:
        names = bench.project.ledger
        record_step(
            connection,
            names,
            run_id=hold.fence.run_id,
            step="step",
            uses="sql",
            kind=kind,
            changes=(),
            marks=marks,
        )


def test_once_answers_no_before_there_is_a_ledger(bench: Bench) -> None:
    assert ask(make(OnceCheck, bench, "a"), bench) == Answer.no("the ledger does not exist yet")


def test_once_is_yes_after_a_success_that_carries_its_id(bench: Bench) -> None:
    check = make(OnceCheck, bench, "2026-01 backfill")
    record(bench, "result", "something else")
    assert ask(check, bench) == Answer.no("2026-01 backfill was never done")
    record(bench, "result", *check.marks())
    assert ask(check, bench).reason.startswith("2026-01 backfill was done on 2")


def test_once_does_not_believe_an_intent(bench: Bench) -> None:
    record(bench, "intent", "a")
    assert ask(make(OnceCheck, bench, "a"), bench).is_no


def test_once_is_answered_inside_the_transaction_that_wrote_the_row(bench: Bench) -> None:
    check = make(OnceCheck, bench, "a")
    with bench.run() as hold, hold.transaction() as connection:
        record_step(
            connection,
            bench.project.ledger,
            run_id=hold.fence.run_id,
            step="step",
            uses="sql",
            kind="result",
            changes=(),
            marks=check.marks(),
        )
        assert ask_probes(connection, with_probes([check]))[id(check)]().is_yes


def test_once_is_unknown_to_a_role_that_may_not_read_the_ledger(bench: Bench, tmp_path: Path) -> None:
    record(bench, "result", "a")
    bench.execute("CREATE ROLE onlooker LOGIN PASSWORD 'pw'")
    onlooker = make_bench(bench.target.replacing(user="onlooker", password="pw").url(), tmp_path)
    try:
        assert ask(make(OnceCheck, bench, "a"), onlooker).is_unknown
    finally:
        onlooker.session.close()
        bench.execute("DROP ROLE onlooker")


def test_never_always_runs_and_is_not_asked_afterwards(bench: Bench) -> None:
    check = make(NeverCheck, bench)
    assert check.ask(Context(bench.context())) == Answer.no("always runs")
    assert not check.asked_after


def test_never_takes_no_argument() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[object](NeverCheck.argument_type).validate_python("again")


def test_the_environment_is_one_of_those_listed(bench: Bench) -> None:
    check = make(EnvironmentCheck, bench, ["development", "staging"])
    assert check.ask(Context(bench.context())) == Answer.yes("the environment is staging")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ("staging", "the environment is staging, not development or production"),
        (None, "no environment is named, not development or production"),
    ],
)
def test_another_environment_or_none_is_no(bench: Bench, environment: str | None, reason: str) -> None:
    project = replace(bench.project, environment=environment)
    check = EnvironmentCheck(["development", "production"], project, "step")
    assert check.ask(Context(bench.context())) == Answer.no(reason)


def test_pending_passes_on_what_the_planner_says_of_the_named_steps(bench: Bench) -> None:
    check = make(PendingCheck, bench, ["migrate", "seed"])
    context = replace(bench.context(), pending=lambda names: Answer.yes(" ".join(names)))
    assert check.ask(Context(context)) == Answer.yes("migrate seed")
    assert check.about() == ("migrate", "seed")


@pytest.mark.parametrize("kind", [EnvironmentCheck, PendingCheck])
def test_questions_about_the_run_belong_under_when_and_name_something(kind: type[Check]) -> None:
    assert kind.only_in_when
    with pytest.raises(ValidationError):
        TypeAdapter(kind.argument_type).validate_python([])


def test_without_a_backup_there_is_none_young_enough(bench: Bench) -> None:
    check = make(BackupCheck, bench, {"newer_than": "1h"})
    assert ask(check, bench) == Answer.no("no verified backup of this database")


def test_a_backup_is_young_enough_until_its_age(bench: Bench, tmp_path: Path) -> None:
    step = Backup("save", BackupSettings(directory="saved"))
    project = replace(bench.project, steps={"save": step})
    (tmp_path / "saved").mkdir()
    taken = take(bench.context("save"), tmp_path / "saved" / "one.dump")
    check = BackupCheck(BackupCheck.argument_type.model_validate({"newer_than": "1h"}), project, "save")
    assert ask(check, bench).is_yes
    make_older(taken.path, timedelta(hours=2))
    assert ask(check, bench) == Answer.no("the newest verified backup, one.dump, is 2 h 0 min old")


def test_a_damaged_backup_and_one_of_another_database_do_not_count(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    taken = take(bench.context(), tmp_path / "backups" / "one.dump")
    check = make(BackupCheck, bench, {"newer_than": "1h"})
    assert ask(check, bench).is_yes
    change_manifest(taken.path, database="another")
    assert ask(check, bench).is_no
    change_manifest(taken.path, database=taken.manifest.database)
    taken.path.write_bytes(b"")
    assert ask(check, bench).is_no


def make_older(dump: Path, by: timedelta) -> None:
    change_manifest(dump, created_at=str(datetime.now(UTC) - by))


def change_manifest(dump: Path, **changes: str) -> None:
    path = dump.with_name(dump.name + ".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
