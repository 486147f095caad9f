"""Tests of a backup whose pg_dump cannot connect for the moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.take import retry
from bootstrapper.deadline import Deadline
from bootstrapper.errors import BackupError, UnreachableError
from bootstrapper.events import Event, Warned
from bootstrapper.postgres.connection.target import Target
from tests.backups.contexts import Bench, make_bench, take
from tests.projects import TrialProject

KEY = "age1rplg24yj34g9ret9j9jwdurdz9aa7vf0qukwyn4jauttu9dhruqq80y46e"


@pytest.fixture
def crowded(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Run by a role that may have one connection, which the run itself has."""
    monkeypatch.setattr(retry, "PAUSES", (0.05, 0.05, 0.05))
    bench.execute("CREATE ROLE only_one LOGIN PASSWORD 'pw' CONNECTION LIMIT 1 IN ROLE pg_read_all_data")
    made = make_bench(bench.target.replacing(user="only_one", password="pw").url(), tmp_path)
    made.session.open()
    yield made
    made.session.close()
    bench.execute("DROP ROLE only_one")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("one.dump", {}),
        ("one.sql", {}),
        ("one.dump.age", {"encrypt": {"recipients": [KEY]}}),
    ],
)
def test_a_dump_is_retried_while_a_connection_may_become_free(
    bench: Bench, crowded: Bench, tmp_path: Path, name: str, settings: dict[str, object]
) -> None:
    told: list[Event] = []

    def make_room(event: Event) -> None:
        told.append(event)
        if isinstance(event, Warned):
            bench.execute("ALTER ROLE only_one CONNECTION LIMIT 2")

    context = replace(crowded.context("backup"), emit=make_room)
    taken = take(context, tmp_path / name, BackupSettings.model_validate(settings))
    assert taken.verified
    assert [event.message for event in told if isinstance(event, Warned)] == [
        "step 'backup': pg_dump could not connect: too many connections; retrying"
    ]
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.json"}


def test_without_a_free_connection_the_error_is_retryable_and_says_how_many_are_needed(
    crowded: Bench, tmp_path: Path
) -> None:
    with pytest.raises(UnreachableError, match="pg_dump could not connect: too many connections") as caught:
        take(crowded.context("backup"), tmp_path / "one.dump")
    assert (caught.value.exit_code, caught.value.sqlstate) == (5, "53300")
    assert caught.value.hint is not None
    assert "the backup needs one more" in caught.value.hint
    assert len([event for event in crowded.events if isinstance(event, Warned)]) == 3
    assert list(tmp_path.iterdir()) == []


def test_another_trouble_of_pg_dump_is_told_at_once(bench: Bench, crowded: Bench, tmp_path: Path) -> None:
    bench.execute(
        "ALTER ROLE only_one CONNECTION LIMIT 5; CREATE TABLE hidden (); REVOKE pg_read_all_data FROM only_one"
    )
    with pytest.raises(BackupError, match="permission denied"):
        take(crowded.context("backup"), tmp_path / "one.dump")
    assert not [event for event in crowded.events if isinstance(event, Warned)]


def test_no_pause_goes_beyond_the_deadline(crowded: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES", (3600.0,))
    with pytest.raises(UnreachableError):
        take(crowded.context("backup", deadline=Deadline.after(60)), tmp_path / "one.dump")


def test_a_run_does_not_come_back_for_it_since_its_own_connection_is_there(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "PAUSES", (0.05, 0.05))
    project.write("steps: [{uses: lock}, {uses: backup}]")
    owner = project.database
    target = Target.from_url(owner)
    project.rows("CREATE ROLE only_one_run LOGIN PASSWORD 'pw' CONNECTION LIMIT 1 IN ROLE pg_read_all_data")
    try:
        project.rows(f'GRANT CREATE ON DATABASE "{target.database}" TO only_one_run')
        project.database = target.replacing(user="only_one_run", password="pw").url()
        with pytest.raises(UnreachableError, match="pg_dump could not connect: too many connections") as caught:
            project.apply()
        assert caught.value.exit_code == 5
        told = [event.message for event in project.events if isinstance(event, Warned)]
        assert [message.rpartition("; ")[2] for message in told if "pg_dump" in message] == ["retrying"] * 2
        assert not [message for message in told if "looking again" in message]
    finally:
        project.database = owner
        project.rows("DROP OWNED BY only_one_run CASCADE")
        project.rows("DROP ROLE only_one_run")
