from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from bootstrapper.backups.settings import BackupSettings
from bootstrapper.backups.stores.folder import backups
from bootstrapper.backups.stores.manifest import manifest_path
from bootstrapper.builtin.steps.backup import Backup
from bootstrapper.errors import BackupError, GuardError
from bootstrapper.plans import Action
from bootstrapper.plugin.context import Context
from tests.backups.contexts import Bench, apply, apply_in, make_bench, plan, shared_database
from tests.servers import Server


@pytest.fixture(scope="module")
def module_database(server: Server) -> Iterator[str]:
    with shared_database(server, "backup_steps") as url:
        yield url


@pytest.fixture
def bench(module_database: str, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(module_database, tmp_path)
    made.execute("CREATE TABLE users (id int PRIMARY KEY)")
    yield made
    made.clean()


def make_step(name: str = "backup", **options: object) -> Backup:
    return Backup(name, BackupSettings.model_validate(options))


def test_a_plan_shows_what_is_backed_up_where_and_how_much(bench: Bench) -> None:
    [change] = plan(make_step(), bench)
    assert (change.action, change.target) == (Action.RUN, f"backup of {bench.target.dbname} to backups/")
    assert "database size" in change.reason
    assert " MB" in change.reason


def test_a_plan_creates_no_folder(bench: Bench, tmp_path: Path) -> None:
    plan(make_step(), bench)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_this_run_is_enough_for_it(bench: Bench, tmp_path: Path) -> None:
    step = make_step()
    with bench.run() as hold:
        apply_in(hold, step, bench)
        assert plan(step, bench, hold) == []
    [taken] = backups(tmp_path / "backups")
    assert bench.lines[-1].startswith(f"{taken.path}: ")
    assert f"{taken.path.name}".startswith(f"{bench.target.dbname}-2")


def test_each_backup_step_takes_its_own(bench: Bench) -> None:
    with bench.run() as hold:
        apply_in(hold, make_step("before"), bench)
        assert plan(make_step("after"), bench, hold) != []


def test_the_run_after_a_finished_one_takes_a_new_one(bench: Bench) -> None:
    apply(make_step(), bench)
    assert plan(make_step(), bench) != []


@pytest.mark.parametrize("outcome", [None, "failed", "interrupted"])
def test_one_of_an_unfinished_run_of_the_same_configuration_is_enough(bench: Bench, outcome: str | None) -> None:
    with bench.run(outcome) as hold:
        apply_in(hold, make_step(), bench)
    with bench.run() as next_hold:
        assert plan(make_step(), bench, next_hold) == []


@pytest.mark.parametrize(
    ("reuse_for", "minutes", "is_enough"),
    [(None, 14, True), (None, 16, False), ("1h", 59, True), ("1h", 61, False), (0, 0, False), (None, -60, False)],
)
def test_one_of_an_unfinished_run_is_enough_for_as_long_as_reuse_for_says(
    bench: Bench, tmp_path: Path, reuse_for: object, minutes: int, is_enough: bool
) -> None:
    step = make_step(**({} if reuse_for is None else {"reuse_for": reuse_for}))
    with bench.run("failed") as hold:
        apply_in(hold, step, bench)
        assert plan(step, bench, hold) == [], "of this run it is enough whatever reuse_for says"
    [taken] = backups(tmp_path / "backups")
    dated = replace(taken.manifest, created_at=datetime.now(UTC) - timedelta(minutes=minutes))
    manifest_path(taken.path).write_text(dated.to_json())
    assert (plan(step, bench) == []) == is_enough


def test_one_of_an_unfinished_run_of_another_configuration_is_not_enough(bench: Bench, tmp_path: Path) -> None:
    with bench.run("failed") as hold:
        apply_in(hold, make_step(), bench)
    changed = make_bench(bench.target.url(), tmp_path, inputs="another digest")
    try:
        assert plan(make_step(), changed) != []
    finally:
        changed.session.close()


def test_one_taken_at_another_revision_is_not_enough(bench: Bench) -> None:
    with bench.run("failed") as hold:
        apply_in(hold, make_step(), bench)
    bench.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    bench.execute("INSERT INTO alembic_version VALUES ('002')")
    assert plan(make_step(), bench) != []


def test_one_from_before_a_finished_run_is_not_enough(bench: Bench) -> None:
    with bench.run("failed") as hold:
        apply_in(hold, make_step(), bench)
    with bench.run("done"):
        pass
    assert plan(make_step(), bench) != []


def test_one_that_lost_bytes_is_not_enough(bench: Bench, tmp_path: Path) -> None:
    with bench.run("failed") as hold:
        apply_in(hold, make_step(), bench)
    [taken] = backups(tmp_path / "backups")
    taken.path.write_bytes(b"")
    assert plan(make_step(), bench) != []


def test_where_the_ledger_may_not_be_read_a_new_one_is_planned(bench: Bench, tmp_path: Path) -> None:
    with bench.run("failed") as hold:
        apply_in(hold, make_step(), bench)
    bench.execute("CREATE ROLE reader_of_backups LOGIN PASSWORD 'pw'")
    reader = make_bench(bench.target.replacing(user="reader_of_backups", password="pw").url(), tmp_path)
    try:
        assert plan(make_step(), reader) != []
    finally:
        reader.session.close()
        bench.execute("DROP ROLE reader_of_backups")


def test_where_the_file_declares_a_check_that_alone_decides(bench: Bench) -> None:
    step = make_step()
    with bench.run() as hold:
        apply_in(hold, step, bench)
        assert plan(step, bench, hold, has_check=True) != []


def test_old_ones_go_after_the_new_one_is_there(bench: Bench, tmp_path: Path) -> None:
    for _ in range(3):
        apply(make_step(keep=2), bench)
    assert len(backups(tmp_path / "backups")) == 2
    assert bench.lines[-1].endswith("removed (expired)")


def test_a_crash_loop_does_not_evict_the_good_one(bench: Bench, tmp_path: Path) -> None:
    with bench.run("failed") as hold:
        apply_in(hold, make_step(keep=1, reuse_for=0), bench)
    [good] = backups(tmp_path / "backups")
    with bench.run("failed") as hold:
        apply_in(hold, make_step(keep=1, reuse_for=0), bench)
    assert good.path.exists()


def test_a_crash_loop_does_not_fill_the_disk(bench: Bench, tmp_path: Path) -> None:
    for _ in range(4):
        with bench.run("failed") as hold:
            apply_in(hold, make_step(keep=1, reuse_for=0), bench)
    last = hold.fence.run_id
    kept = [backup.manifest.run_id for backup in backups(tmp_path / "backups")]
    assert (len(kept), kept[0]) == (2, last), "the first one, from before anything was changed, and the latest"


def test_a_fixed_file_is_taken_again_by_each_run(bench: Bench, tmp_path: Path) -> None:
    step = make_step(file="before.dump")
    for _ in range(2):
        with bench.run("failed") as hold:
            assert [change.target for change in plan(step, bench, hold)] == [
                f"backup of {bench.target.dbname} to before.dump"
            ]
            apply_in(hold, step, bench)
            assert plan(step, bench, hold) == []
    assert {path.name for path in tmp_path.iterdir()} == {"before.dump", "before.dump.json"}


def test_leftovers_of_a_killed_run_are_removed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / ".old.dump.bootstrapper-partial").write_bytes(b"half")
    (tmp_path / "backups" / "of another tool.partial").write_bytes(b"")
    apply(make_step(), bench)
    assert [path.name for path in (tmp_path / "backups").glob("*partial")] == ["of another tool.partial"]


def test_a_folder_that_cannot_be_created_is_a_backup_error(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file")
    with bench.run() as hold, pytest.raises(BackupError, match=r"cannot use .*backups"):
        apply_in(hold, make_step(), bench)


@pytest.mark.parametrize(
    "options",
    [{"keep": 0}, {"keep": "many"}, {"retain": 3}, {"reuse_for": "soon"}, {"reuse_for": 15}, {"reuse_for": False}],
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BackupSettings.model_validate(options)


def test_the_plan_refuses_a_backup_behind_a_pooler(bench: Bench, tmp_path: Path) -> None:
    with bench.run() as hold:
        bench.session._server = replace(bench.session.server, pooled=True)
        with pytest.raises(GuardError, match="pg_dump needs a direct connection"):
            plan(make_step(), bench, hold)
    assert backups(tmp_path / "backups") == []


def test_apply_takes_the_planned_backup(bench: Bench, tmp_path: Path) -> None:
    with bench.run() as hold:
        changes = plan(make_step(directory="planned", compress=0), bench, hold)
        make_step(directory="other").apply(Context(bench.context("backup", hold)), changes)
    [taken] = backups(tmp_path / "planned")
    assert taken.verified
    assert not (tmp_path / "other").exists()
