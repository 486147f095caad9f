"""Starts of an older release, after a newer one seeded or changed the database at the same revision."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrapper.api import run
from bootstrapper.errors import RefusedError
from bootstrapper.events import Event, LockAwaited, ScopeEntered
from tests.cli.project import Project
from tests.engine.releases import (
    RUNS,
    SEED,
    STEPS,
    TABLE,
    USERS,
    Releases,
    folders,
    leaves_alone,
    migrate_and_seed,
    seed,
    seed_file,
    warnings,
)
from tests.projects import TrialProject
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long


@pytest.fixture
def releases(tmp_path: Path, database: str) -> Releases:
    return folders(tmp_path, database)


def test_a_value_that_a_newer_release_changed_is_not_reverted(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    assert leaves_alone(old)
    assert old.rows(USERS) == [("ada", "admin")]
    (told,) = warnings(old)
    assert "fixture users is as an earlier run declared it, but run number 2 (apply, bootstrapper" in told
    assert told.endswith("declared it differently; continuing, nothing is written")


@pytest.mark.parametrize("mode", ["create", "update", "sync"])
def test_a_row_that_a_newer_release_removed_is_not_created_again(releases: Releases, mode: str) -> None:
    old, new = seed(releases("old"), mode, ada="user", bob="user"), seed(releases("new"), "sync", ada="user")
    old.apply(startup=True)
    new.apply(startup=True)
    assert leaves_alone(old)
    assert old.rows(USERS) == [("ada", "user")]


def test_a_row_that_a_newer_release_added_is_not_deleted(releases: Releases) -> None:
    old, new = seed(releases("old"), "sync", ada="user"), seed(releases("new"), "sync", ada="user", bob="user")
    old.apply(startup=True)
    new.apply(startup=True)
    assert leaves_alone(old)
    assert old.rows(USERS) == [("ada", "user"), ("bob", "user")]


def test_rows_of_a_fixture_that_a_newer_release_no_longer_declares_are_not_created_again(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), releases("new")
    new.write(STEPS + "  - {uses: sql, with: {statement: DELETE FROM users}, check: {not: {rows: {table: users}}}}\n")
    old.apply(startup=True)
    new.apply(startup=True)
    assert leaves_alone(old)
    assert "run number 2" in warnings(old)[0]
    assert "no longer declared it" in warnings(old)[0]


def test_all_steps_of_an_older_release_are_left_undone(releases: Releases) -> None:
    more = "  - {name: late, uses: sql, with: {statement: CREATE TABLE late ()}, check: {table: late}}\n"
    old, new = seed(releases("old"), steps=more, ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    old.rows("DROP TABLE late")
    assert leaves_alone(old)
    assert not old.has("late")


def test_a_rollback_by_the_operator_wins_and_makes_the_release_the_latest(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    assert [step.name for step in old.apply().applied] == ["seed"]
    old.rows("UPDATE users SET role = 'drifted'")
    outcome = old.apply(startup=True)
    assert ([step.name for step in outcome.applied], outcome.ahead) == (["seed"], False)
    assert old.rows(USERS) == [("ada", "user")]
    assert leaves_alone(new)


def test_each_of_several_older_releases_leaves_the_latest_alone(releases: Releases) -> None:
    first, second, third = (seed(releases(f"release{role}"), ada=role) for role in ("a", "b", "c"))
    for release in (first, second, third):
        release.apply(startup=True)
    assert leaves_alone(first)
    assert leaves_alone(second)
    assert not leaves_alone(third)
    third.rows("DELETE FROM users")
    assert leaves_alone(first)
    assert [step.name for step in third.apply(startup=True).applied] == ["seed"]


def test_a_release_that_changed_nothing_of_the_rows_is_as_old_as_the_one_before(releases: Releases) -> None:
    first, third = seed(releases("first"), ada="user"), seed(releases("third"), ada="admin")
    second = seed(releases("second"), ada="user")
    second.write((second.folder / "bootstrap.yaml").read_text() + "limits: {timeout: 1h}\n")
    for release in (first, second, third):
        release.apply(startup=True)
    assert len(first.rows(RUNS)) == 2
    assert leaves_alone(second)


def test_a_newer_release_counts_even_if_it_failed_after_it_had_seeded(releases: Releases) -> None:
    failing = "  - {uses: sql, with: {statement: SELECT 1/0}, check: never}\n"
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), steps=failing, ada="admin")
    old.apply(startup=True)
    with pytest.raises(Exception, match="division by zero"):
        new.apply(startup=True)
    assert leaves_alone(old)


def test_a_newer_release_that_failed_before_it_wrote_anything_does_not_count(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), releases("new")
    failing = "  - {uses: sql, with: {statement: SELECT 1/0}, check: never}\n"
    seed(new, ada="admin")
    new.write((new.folder / "bootstrap.yaml").read_text().replace(SEED, failing + SEED))
    old.apply(startup=True)
    with pytest.raises(Exception, match="division by zero"):
        new.apply(startup=True)
    old.rows("DELETE FROM users")
    assert [step.name for step in old.apply(startup=True).applied] == ["seed"]


def test_a_release_whose_first_start_was_cut_off_is_still_the_newer_one(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    with pytest.raises(KeyboardInterrupt):
        run.apply(replace(new.request(startup=True), emit=_interrupt))
    old.rows("DELETE FROM users")
    assert [step.name for step in old.apply(startup=True).applied] == ["seed"]
    assert [step.name for step in new.apply(startup=True).applied] == ["seed"]
    assert leaves_alone(old)


def test_a_fixture_that_came_and_went_is_that_of_an_older_release(releases: Releases) -> None:
    first, third = releases("first"), releases("third")
    for release in (first, third):
        seed(release, eve="user")
        release.write(
            (release.folder / "bootstrap.yaml").read_text().replace("  users:", "  others:\n    table: users")
        )
    second = seed(releases("second"), "create", ada="user", eve="user")
    first.apply(startup=True)
    second.apply(startup=True)
    third.rows("DELETE FROM users")
    third.apply()
    assert leaves_alone(second)
    assert third.rows(USERS) == [("eve", "user")]


def test_a_release_that_was_killed_is_known_as_the_older_one(releases: Releases) -> None:
    slow = "  - {uses: sql, with: {statement: SELECT pg_sleep(600)}, check: never}\n"
    old, new = seed(releases("old"), steps=slow, ada="user"), seed(releases("new"), ada="admin")
    killed = Project(old.folder, old.database)
    process = subprocess.Popen(killed.command("apply"), cwd=old.folder, env=killed.variables(), stderr=subprocess.PIPE)
    try:
        assert eventually(lambda: old.rows(USERS), 30)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    new.apply(startup=True)
    assert leaves_alone(old)
    assert old.rows("SELECT outcome FROM bootstrapper.runs ORDER BY serial") == [(None,), ("done",)]


def test_the_attempt_of_an_older_release_that_was_cut_off_does_not_make_it_the_latest(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    with pytest.raises(KeyboardInterrupt):
        run.apply(replace(old.request(), emit=_interrupt))
    assert len(old.rows(RUNS)) == 3
    assert leaves_alone(old)


def _interrupt(event: Event) -> None:
    if isinstance(event, ScopeEntered):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("users.csv", "name,role\nada,user\n", "name,role\nada,admin\n"),
        ("users.jsonl", '{"name": "ada", "role": "user"}\n', '{"name": "ada", "role": "admin"}\n'),
        ("users.csv", "name,role\n" + "".join(f"u{n},user\n" for n in range(30_000)), "name,role\nu1,admin\n"),
    ],
    ids=["csv", "json lines", "large csv"],
)
def test_rows_of_a_newer_data_file_are_not_reverted(releases: Releases, name: str, before: str, after: str) -> None:
    old, new = seed_file(releases("old"), name, before), seed_file(releases("new"), name, after)
    old.apply(startup=True)
    new.apply(startup=True)
    assert ("admin",) in new.rows("SELECT role FROM users")
    assert leaves_alone(old)


def test_a_value_that_a_newer_release_reads_from_a_file_is_not_reverted(releases: Releases) -> None:
    old, new = releases("old"), releases("new")
    for release, role in ((old, "user"), (new, "admin")):
        seed(release, ada="{$file: role.txt}")
        (release.folder / "role.txt").write_text(role)
        release.apply(startup=True)
    assert leaves_alone(old)


def test_a_statement_that_a_newer_release_replaced_is_not_run_again(releases: Releases) -> None:
    old, new = releases("old"), releases("new")
    for release, role in ((old, "user"), (new, "admin")):
        statement = f"INSERT INTO users VALUES ('ada', '{role}') ON CONFLICT (name) DO UPDATE SET role = '{role}'"
        release.rows(TABLE)
        check = f"{{rows: {{table: users, where: role = '{role}'}}}}"
        release.write(STEPS + f'  - {{uses: sql, with: {{statement: "{statement}"}}, check: {check}}}\n')
        release.apply(startup=True)
    assert leaves_alone(old)
    assert "step sql is as an earlier run declared it" in warnings(old)[0]
    assert old.rows(USERS) == [("ada", "admin")]


def test_a_step_that_always_runs_may_have_other_variables_in_each_replica(releases: Releases) -> None:
    project = releases("only")
    project.rows(TABLE)
    statement = "INSERT INTO users SELECT '${POD}' || count(*) FROM users"
    project.write(STEPS + f'  - {{uses: sql, with: {{statement: "{statement}"}}, check: never}}\n')
    for pod in ("a", "b", "a"):
        project.variables["POD"] = pod
        assert not project.apply(startup=True).ahead
    assert project.rows("SELECT name FROM users ORDER BY name") == [("a0",), ("a2",), ("b1",)]


def test_a_release_that_restores_a_fixture_is_taken_for_an_older_one(releases: Releases) -> None:
    for name, role in (("first", "user"), ("second", "admin")):
        seed(releases(name), ada=role).apply(startup=True)
    assert leaves_alone(seed(releases("third"), ada="user"))


def test_a_release_that_restores_a_fixture_and_brings_a_revision_is_the_newest(releases: Releases) -> None:
    migrate_and_seed(releases("first"), "a", ada="user").apply(startup=True)
    second = migrate_and_seed(releases("second"), "a", ada="admin")
    second.apply(startup=True)
    third = migrate_and_seed(releases("third"), "a", "b", ada="user")
    assert [step.name for step in third.apply(startup=True).applied] == ["migrate", "seed"]
    assert third.rows(USERS) == [("ada", "user")]
    assert leaves_alone(second)


def test_a_revision_that_the_operator_took_back_does_not_make_a_release_the_newer_one(releases: Releases) -> None:
    old = migrate_and_seed(releases("old"), "a", ada="user")
    new = migrate_and_seed(releases("new"), "a", "b", ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    downgraded = Project(new.folder, new.database).run("downgrade", "-1", "--yes")
    assert downgraded.returncode == 0, downgraded.stderr
    old.apply()
    assert leaves_alone(new)
    assert old.rows("SELECT version_num FROM alembic_version") == [("a",)]


def test_a_run_of_single_steps_does_not_make_all_of_its_release_the_latest(releases: Releases) -> None:
    other = "  - {name: other, uses: sql, with: {statement: SELECT 1}, check: never}\n"
    old, new = seed(releases("old"), steps=other, ada="user"), seed(releases("new"), steps=other, ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    old.apply(steps=("other",))
    assert leaves_alone(old)
    new.rows("DELETE FROM users")
    assert [step.name for step in new.apply(startup=True).applied] == ["seed", "other"]


def unnamed(project: TrialProject, **roles: str) -> TrialProject:
    seed(project, **roles)
    file = project.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("name: trial\n", "", 1))
    return project


def test_without_a_name_a_release_is_known_in_a_folder_of_any_name(releases: Releases) -> None:
    old, new = unnamed(releases("old"), ada="reader"), unnamed(releases("new"), ada="admin")
    old.apply()
    new.apply()
    assert leaves_alone(old)
    assert old.rows(USERS) == [("ada", "admin")]


@pytest.mark.parametrize(
    "change", [("fixtures:\n  users:\n", "fixtures:\n  users:\n    table: others\n"), ("", "name: b\n")]
)
def test_another_table_or_a_name_tells_projects_apart(releases: Releases, change: tuple[str, str]) -> None:
    one, other = unnamed(releases("one"), ada="reader"), unnamed(releases("other"), ada="admin")
    one.rows("CREATE TABLE others (name text PRIMARY KEY, role text)")
    file = other.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace(*change, 1))
    one.apply()
    other.apply()
    one.rows("DELETE FROM users")
    assert not leaves_alone(one)
    assert one.rows(USERS) == [("ada", "reader")]


def test_other_projects_and_environments_do_not_count(releases: Releases) -> None:
    first, second = seed(releases("first"), ada="user"), seed(releases("second"), ada="admin")
    first.apply(startup=True)
    text = (second.folder / "bootstrap.yaml").read_text()
    second.write("version: 1\nname: another\ndatabase: {url: '${DATABASE_URL}'}\n" + text[text.index("steps:") :])
    second.apply(startup=True)
    assert [step.name for step in first.apply(startup=True).applied] == ["seed"]


def test_what_a_restore_took_back_does_not_count(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    mark = old.rows("SELECT 'restored-as-of:' || clock_timestamp()")[0][0]
    new.apply(startup=True)
    old.rows("DELETE FROM users")
    assert leaves_alone(old)
    old.rows(
        "INSERT INTO bootstrapper.steps (run_id, step, uses, kind, changes, marks, recorded_at, hash)"
        f" SELECT run_id, 'restore', 'restore', 'result', '{{}}', ARRAY['{mark}'], clock_timestamp(), ''"
        " FROM bootstrapper.runs ORDER BY serial LIMIT 1"
    )
    assert [step.name for step in old.apply(startup=True).applied] == ["seed"]


def test_a_role_that_may_only_read_the_ledger_leaves_a_newer_release_alone(
    project: TrialProject, releases: Releases, role: Callable[..., None]
) -> None:
    old, new = seed(project, ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    owner = project.database
    role(
        "GRANT SELECT ON users TO {role}",
        "GRANT USAGE ON SCHEMA bootstrapper TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}",
    )
    assert old.database != owner
    assert leaves_alone(old)


def test_a_role_without_rights_on_the_ledger_is_refused_as_before(
    project: TrialProject, releases: Releases, role: Callable[..., None]
) -> None:
    old, new = seed(project, ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    role("GRANT ALL ON users TO {role}")
    with pytest.raises(RefusedError):
        old.apply(startup=True)
    assert new.rows(USERS) == [("ada", "admin")]


def test_a_ledger_of_an_earlier_version_is_completed_and_tells_from_then_on(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    old.rows("ALTER TABLE bootstrapper.runs DROP COLUMN declared")
    old.rows("UPDATE bootstrapper.meta SET value = '4' WHERE key = 'ledger_version'")
    old.rows("DELETE FROM users")
    assert [step.name for step in old.apply(startup=True).applied] == ["seed"]
    new.apply(startup=True)
    assert leaves_alone(old)


def test_a_start_with_nothing_to_do_writes_nothing_whatever_is_newer(releases: Releases) -> None:
    old, new = seed(releases("old"), "create", ada="user"), seed(releases("new"), "create", ada="user", bob="user")
    old.apply(startup=True)
    new.apply(startup=True)
    before = old.rows(RUNS)
    outcome = old.apply(startup=True)
    assert (outcome.ahead, outcome.applied, warnings(old)) == (False, (), [])
    assert old.rows(RUNS) == before


def test_a_follower_that_starts_an_older_release_does_not_wait_for_its_rows(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    new.apply(startup=True)
    assert not run.follow(old.request(startup=True)).is_reached
    assert len(warnings(old)) == 1


def test_an_older_release_that_waited_for_a_newer_one_leaves_its_rows_alone(releases: Releases) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada="admin")
    old.apply(startup=True)
    old.rows("DELETE FROM users")
    waits, results = threading.Event(), []

    def of_old(event: Event) -> None:
        old.events.append(event)
        if isinstance(event, LockAwaited):
            waits.set()

    def start_old() -> None:
        results.append(run.apply(replace(old.request(startup=True), emit=of_old)))

    replica = threading.Thread(target=start_old)

    def of_new(event: Event) -> None:
        if isinstance(event, ScopeEntered):
            replica.start()
            assert waits.wait(at_most(30))

    run.apply(replace(new.request(startup=True), emit=of_new))
    replica.join(at_most(60))
    assert [(outcome.ahead, outcome.applied, outcome.run_id) for outcome in results] == [(True, (), None)]
    assert old.rows(USERS) == [("ada", "admin")]
    assert len(old.rows(RUNS)) == 2
    assert len(warnings(old)) == 1


def test_a_newer_release_that_waited_for_an_older_one_has_the_last_word(releases: Releases) -> None:
    old, new = seed(releases("old"), "sync", ada="user", bob="user"), seed(releases("new"), "sync", ada="admin")
    old.apply(startup=True)
    old.rows("DELETE FROM users")  # so that the newer one does not see before it waits what it is to delete
    waits, results = threading.Event(), []

    def of_new(event: Event) -> None:
        if isinstance(event, LockAwaited):
            waits.set()

    replica = threading.Thread(
        target=lambda: results.append(run.apply(replace(new.request(startup=True), emit=of_new)))
    )

    def of_old(event: Event) -> None:
        if isinstance(event, ScopeEntered):
            replica.start()
            assert waits.wait(at_most(30))

    assert len(run.apply(replace(old.request(startup=True), emit=of_old)).applied) == 1
    replica.join(at_most(60))
    assert [outcome.ahead for outcome in results] == [False]
    assert old.rows(USERS) == [("ada", "admin")]
    assert leaves_alone(old)


@pytest.mark.parametrize("attempt", range(5))
def test_replicas_of_both_releases_that_start_at_once_end_with_the_newer_rows(releases: Releases, attempt: int) -> None:
    old, new = seed(releases("old"), ada="user"), seed(releases("new"), ada=f"admin{attempt}")
    old.apply(startup=True)
    old.rows("DELETE FROM users")
    projects = [old, new, old, new] if attempt % 2 else [new, old, new, old]
    outcomes: list[run.Outcome] = []

    def start(project: TrialProject) -> None:
        outcomes.append(project.apply(startup=True))

    replicas = [threading.Thread(target=start, args=(project,)) for project in projects]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join(at_most(60))
    assert len(outcomes) == 4
    assert old.rows(USERS) == [("ada", f"admin{attempt}")]


@pytest.mark.parametrize("seed_of_chance", [1, 2])
def test_replicas_that_are_killed_at_any_moment_leave_the_newer_rows(releases: Releases, seed_of_chance: int) -> None:
    chance = random.Random(seed_of_chance)
    old, new = seed(releases("old"), "sync", ada="user", bob="user"), seed(releases("new"), "sync", ada="admin")
    old.apply(startup=True)
    old.rows("DELETE FROM users")
    started = [start_process(release) for release in chance.sample([old, old, new, new], 4)]
    for process in started:
        if chance.random() < 0.5:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, 1))
            process.kill()
    codes = {process.wait(at_most(60)) for process in started}
    assert codes <= {0, -signal.SIGKILL}
    assert not new.apply(startup=True).ahead
    assert new.rows(USERS) == [("ada", "admin")]
    new.rows("DELETE FROM users")
    assert leaves_alone(old)


def start_process(release: TrialProject) -> subprocess.Popen[bytes]:
    project = Project(release.folder, release.database)
    command = project.command("run", "--", "true")
    return subprocess.Popen(command, cwd=release.folder, env=project.variables(), stderr=subprocess.DEVNULL)
