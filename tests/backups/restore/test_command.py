"""Tests of the command `restore`: what it chooses, refuses and prints."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest

from bootstrapper.backups.restore import new_database
from bootstrapper.backups.restore.swap import kept_name
from bootstrapper.backups.stores.folder import backups, find
from tests.backups.restore.shops import FILE, Shop, opened_shop
from tests.cli.pseudoterminal import on_terminal
from tests.faults.pgbouncer import PgBouncer
from tests.servers import running_server, wheel_bin
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

NAMES = "SELECT name FROM artist ORDER BY 1"


def changed(shop: Shop) -> Path:
    """Backs it up, and changes it after."""
    taken = shop.back_up()
    shop.execute("INSERT INTO artist VALUES ('too much')")
    return taken


def test_what_is_replaced_by_what_is_shown_first(corner_shop: Shop) -> None:
    taken = changed(corner_shop)
    manifest = find(taken).manifest  # type: ignore[union-attr]
    shown = corner_shop.run("restore", "--latest", "--dry-run")
    assert shown.returncode == 0
    for text in (f"~ database {corner_shop.name}", str(taken), str(manifest.run_id), "revision", "size"):
        assert text in shown.stdout
    as_data = json.loads(corner_shop.run("restore", "--latest", "--dry-run", "--format", "json").stdout)
    assert as_data["steps"][0]["changes"][0]["after"]["run"] == str(manifest.run_id)
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]


def test_a_look_before_a_restore_says_for_whom_it_waits(corner_shop: Shop) -> None:
    changed(corner_shop)
    corner_shop.execute("CREATE TABLE alembic_version (version_num text)")
    with psycopg.connect(corner_shop.project.url) as other:
        other.execute("LOCK TABLE alembic_version")
        pid = other.info.backend_pid
        shown = corner_shop.run("restore", "--latest", "--dry-run", "--timeout", f"{at_most(8):.0f}s")
    assert shown.returncode == 7, shown.stderr
    assert f"restore: waiting for a lock held by process {pid} of role postgres" in shown.stderr
    assert "  blocked by process " in shown.stderr


def test_a_restore_says_once_what_it_is_about(corner_shop: Shop) -> None:
    changed(corner_shop)
    said = corner_shop.run("restore", "--latest", "--yes").stderr
    assert (said.count("restore · "), said.count("restored: ")) == (1, 1), said


def test_without_a_terminal_and_without_yes_nothing_is_done(corner_shop: Shop) -> None:
    changed(corner_shop)
    before = corner_shop.databases()
    refused = corner_shop.run("restore", "--latest")
    assert (refused.returncode, "not confirmed: nothing was restored" in refused.stderr) == (9, True)
    assert corner_shop.databases() == before
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]


def test_in_a_protected_environment_the_name_has_to_be_given(corner_shop: Shop) -> None:
    changed(corner_shop)
    refused = corner_shop.run("restore", "--latest", "--yes", environment="live")
    assert (refused.returncode, f"--confirm {corner_shop.name}" in refused.stderr) == (9, True)
    assert corner_shop.run("restore", "--latest", "--confirm", "another", environment="live").returncode == 9
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]
    done = corner_shop.run("restore", "--latest", "--confirm", corner_shop.name, environment="live")
    assert done.returncode == 0, done.stderr
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_one_backup_has_to_be_named(corner_shop: Shop) -> None:
    for arguments in ([], ["--latest", "--run", "deadbeef"], ["a.dump", "--latest"], ["a.dump", "--drop-old"]):
        refused = corner_shop.run("restore", *arguments, "--yes")
        assert (refused.returncode, "requires exactly one of FILE" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("typed", "without_effect"),
    [
        ("--latest --in-place --jobs 2", "--in-place cannot be combined with --jobs"),
        ("--latest --no-manifest", "--latest cannot be combined with --no-manifest"),
        *(
            (f"--drop-old {option}", f"--drop-old cannot be combined with {option.split()[0]}")
            for option in ("--in-place", "--terminate", "--jobs 2", "--no-manifest", "--partial", "--format json")
        ),
    ],
)
def test_options_of_which_one_has_no_effect_are_refused(corner_shop: Shop, typed: str, without_effect: str) -> None:
    corner_shop.back_up()
    before = corner_shop.databases()
    refused = corner_shop.run("restore", *typed.split(), "--yes")
    assert (refused.returncode, without_effect in refused.stderr) == (2, True), refused.stderr
    assert corner_shop.databases() == before


def test_plain_sql_is_read_by_one_connection_only(corner_shop: Shop) -> None:
    assert corner_shop.run("backup", "one.sql").returncode == 0
    refused = corner_shop.run("restore", "one.sql", "--jobs", "2", "--yes")
    assert (refused.returncode, "--jobs needs a dump in custom" in refused.stderr) == (2, True), refused.stderr


def test_the_backup_that_a_run_took_is_found_by_the_run(corner_shop: Shop) -> None:
    first = find(changed(corner_shop)).manifest  # type: ignore[union-attr]
    corner_shop.back_up()
    assert first.run_id is not None
    for text in (str(first.run_id), first.run_id.hex[-8:]):
        shown = corner_shop.run("restore", "--run", text, "--dry-run")
        assert (shown.returncode, first.file in shown.stdout) == (0, True)
    unknown = corner_shop.run("restore", "--run", "00000000", "--yes")
    assert (unknown.returncode, "no verified backup" in unknown.stderr) == (2, True)


def test_an_end_that_two_runs_share_is_refused(corner_shop: Shop) -> None:
    taken = [corner_shop.back_up(), corner_shop.back_up()]
    for number, path in enumerate(taken):
        beside = path.with_name(path.name + ".json")
        manifest = json.loads(beside.read_text())
        beside.write_text(json.dumps({**manifest, "run_id": f"01a207ee-ff5c-7924-ae7{number}-7ac79098c8f2"}))
    refused = corner_shop.run("restore", "--run", "9098c8f2", "--dry-run")
    assert (refused.returncode, "2 runs have an id that ends in 9098c8f2" in refused.stderr) == (2, True)
    assert corner_shop.run("restore", "--run", "ae70-7ac79098c8f2", "--dry-run").returncode == 0


@pytest.mark.parametrize("damage", ["flipped", "short"])
def test_a_dump_that_is_not_what_it_was_is_refused(corner_shop: Shop, damage: str) -> None:
    taken = changed(corner_shop)
    content = bytearray(taken.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    taken.write_bytes(content if damage == "flipped" else content[:-1])
    refused = corner_shop.run("restore", str(taken), "--yes")
    assert (refused.returncode, "does not match its manifest" in refused.stderr) == (1, True)
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]


def test_a_dump_without_manifest_needs_a_word_and_draws_a_warning(corner_shop: Shop) -> None:
    taken = changed(corner_shop)
    taken.with_name(f"{taken.name}.json").unlink()
    refused = corner_shop.run("restore", str(taken), "--yes")
    assert (refused.returncode, "--no-manifest" in refused.stderr) == (2, True)
    done = corner_shop.run("restore", str(taken), "--yes", "--no-manifest")
    assert (done.returncode, "warning:" in done.stderr) == (0, True)
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_a_dump_without_manifest_that_is_cut_off_is_refused(corner_shop: Shop) -> None:
    taken = changed(corner_shop)
    broken = taken.with_name("broken.dump")
    broken.write_bytes(taken.read_bytes()[: taken.stat().st_size // 4])
    assert corner_shop.run("restore", str(broken), "--yes", "--no-manifest").returncode == 1
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]


def test_any_error_of_pg_restore_is_a_failure_and_leaves_nothing(corner_shop: Shop) -> None:
    corner_shop.execute("CREATE ROLE leaving; ALTER TABLE artist OWNER TO leaving")
    taken = changed(corner_shop)
    corner_shop.execute("ALTER TABLE artist OWNER TO shop_owner; DROP ROLE leaving")
    failed = corner_shop.run("restore", str(taken), "--yes")
    assert (failed.returncode, 'role "leaving" does not exist' in failed.stderr) == (1, True)
    assert (corner_shop.half_made, corner_shop.kept) == ([], [])
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]
    query = "SELECT command, outcome FROM bootstrapper.runs ORDER BY serial DESC LIMIT 1"
    assert corner_shop.execute(query) == [("restore", "failed")]


def test_the_old_database_is_kept_until_it_is_dropped(corner_shop: Shop) -> None:
    changed(corner_shop)
    done = corner_shop.run("restore", "--latest", "--yes")
    (kept,) = corner_shop.kept
    assert (done.returncode, f"kept as {kept}" in done.stderr) == (0, True)
    assert corner_shop.execute(NAMES, kept) == [("AC/DC",), ("too much",)]
    assert corner_shop.execute("SELECT outcome FROM bootstrapper.runs ORDER BY serial", kept) == [("done",), ("done",)]
    refused = corner_shop.run("restore", "--drop-old")
    assert (refused.returncode, kept in refused.stdout, corner_shop.kept) == (9, True, [kept])
    assert corner_shop.run("restore", "--drop-old", "--dry-run", "--yes").returncode == 0
    assert corner_shop.kept == [kept]
    wrong = corner_shop.run("restore", "--drop-old", "--confirm", kept.partition("_before_")[0])
    assert (wrong.returncode, f"hint: Pass --confirm {kept}." in wrong.stderr, corner_shop.kept) == (9, True, [kept])
    assert corner_shop.run("restore", "--drop-old", "--confirm", kept).returncode == 0
    assert corner_shop.kept == []
    again = corner_shop.run("restore", "--drop-old", "--yes")
    assert (again.returncode, "nothing to drop" in again.stderr) == (0, True)


def test_a_kept_database_in_use_is_not_dropped(corner_shop: Shop) -> None:
    changed(corner_shop)
    assert corner_shop.run("restore", "--latest", "--yes").returncode == 0
    (kept,) = corner_shop.kept
    with psycopg.connect(corner_shop.server.url(quote(kept))):
        refused = corner_shop.run("restore", "--drop-old", "--yes")
    assert (refused.returncode, "is in use" in refused.stderr, corner_shop.kept) == (9, True, [kept])


def test_a_kept_database_has_a_name_of_at_most_63_bytes() -> None:
    run_id = UUID("01900000-0000-7000-8000-0000deadbeef")
    assert kept_name("app", run_id) == "app_before_deadbeef"
    assert kept_name("ü" * 40, run_id) == "ü" * 23 + "_before_deadbeef"


def test_who_is_connected_is_named_and_in_the_way(corner_shop: Shop) -> None:
    changed(corner_shop)
    with psycopg.connect(corner_shop.project.url, application_name="till 7") as connection:
        connection.execute("SELECT 1")
        shown = corner_shop.run("restore", "--latest", "--dry-run")
        assert "till 7" in shown.stdout
        refused = corner_shop.run("restore", "--latest", "--yes")
        assert (refused.returncode, "till 7" in refused.stderr, "--terminate" in refused.stderr) == (9, True, True)
        connection.execute("SELECT 1")
    assert corner_shop.half_made == []


def test_terminate_ends_their_sessions(corner_shop: Shop) -> None:
    changed(corner_shop)
    with psycopg.connect(corner_shop.project.url) as connection:
        connection.execute("SELECT 1")
        done = corner_shop.run("restore", "--latest", "--yes", "--terminate")
        assert done.returncode == 0, done.stderr
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_prepared_transactions_are_in_the_way_permanently(tmp_path: Path) -> None:
    with (
        running_server(wheel_bin(), max_prepared_transactions="2") as server,
        opened_shop(server, tmp_path, content="CREATE TABLE artist (name text)") as shop,
    ):
        shop.back_up()
        with psycopg.connect(shop.project.url, autocommit=True) as connection:
            connection.execute("BEGIN; INSERT INTO artist VALUES ('pending'); PREPARE TRANSACTION 'half a sale'")
        refused = shop.run("restore", "--latest", "--yes", "--terminate")
        shop.execute("ROLLBACK PREPARED 'half a sale'")
        assert (refused.returncode, "half a sale" in refused.stderr) == (9, True)


def test_the_ledger_that_was_restored_tells_of_the_restore(corner_shop: Shop) -> None:
    changed(corner_shop)
    corner_shop.run("backup")
    corner_shop.run("restore", "--latest", "--yes")
    runs = corner_shop.execute("SELECT command, outcome FROM bootstrapper.runs ORDER BY serial")
    assert runs == [("backup", "done"), ("backup", "done"), ("restore", "done")]
    assert corner_shop.execute("SELECT uses, kind FROM bootstrapper.steps ORDER BY id")[-1] == ("restore", "result")


def test_history_names_what_a_restore_put_back_and_ends_the_run_that_took_the_backup(corner_shop: Shop) -> None:
    corner_shop.execute("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('r1')")
    later = "  - uses: sql\n    with: {statement: UPDATE alembic_version SET version_num = 'r2'}\n    check: never\n"
    corner_shop.project.write(FILE + later)
    assert corner_shop.run("apply").returncode == 0
    (taken,) = backups(corner_shop.project.folder / "backups")
    done = corner_shop.run("restore", "--latest", "--yes")
    assert done.returncode == 0, done.stderr
    (restored, applied) = json.loads(corner_shop.run("history", "--format", "json").stdout)
    assert (applied["command"], applied["outcome"]) == ("apply", "interrupted")
    assert applied["finished_at"] >= applied["started_at"]
    assert f"its backup was restored by run {restored['run_id']}" in applied["error"]
    assert (restored["project"], restored["file"], restored["environment"]) == ("shop", "bootstrap.yaml", "here")
    origin = restored["restored"]
    assert (origin["backup"], origin["from"], origin["to"]) == (str(taken.path), "r2", "r1")
    assert (origin["taken_by"], origin["taken_at"]) == (applied["run_id"], taken.manifest.created_at.isoformat())
    text = " ".join(corner_shop.run("history").stdout.split())
    assert "not finished" not in text
    assert "restore · shop · bootstrap.yaml · here done in " in text
    assert f"< {taken.path}, taken {taken.manifest.created_at:%Y-%m-%d %H:%M:%S}" in text
    assert f"by run {applied['run_id']}: revision r2 replaced by r1" in text


@pytest.mark.parametrize("options", [(), ("--in-place",)])
def test_a_restore_warns_before_and_after_that_later_revisions_will_be_run_again(
    corner_shop: Shop, options: tuple[str, ...]
) -> None:
    corner_shop.execute("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('r1')")
    corner_shop.back_up()
    calm = corner_shop.run("restore", "--latest", "--dry-run", *options)
    assert "applies the revisions between" not in calm.stdout
    corner_shop.execute("UPDATE alembic_version SET version_num = 'r3'")
    corner_shop.execute(
        "INSERT INTO bootstrapper.revisions (run_id, step, revision, action)"
        " SELECT gen_random_uuid(), 'migrate', revision, 'upgrade' FROM unnest(ARRAY['r2', 'r3']) AS revision"
    )
    done = corner_shop.run("restore", "--latest", "--yes", *options)
    assert done.returncode == 0, done.stderr
    warned = "the backup is at revision r1, the replaced database at r3: the next `apply` or replica that starts"
    again = "applies the revisions between (r2, r3) again"
    for told in (done.stdout, done.stderr):
        words = " ".join(told.split())
        assert (warned in words, again in words) == (True, True), told
    assert "warning: the backup is at revision r1" in " ".join(done.stderr.split())


def test_a_restore_in_place_and_one_that_fails_name_their_backup_in_history(corner_shop: Shop) -> None:
    taken = changed(corner_shop)
    assert corner_shop.run("restore", "--latest", "--in-place", "--yes").returncode == 0
    with psycopg.connect(corner_shop.project.url):
        assert corner_shop.run("restore", str(taken), "--yes").returncode == 9
    found = json.loads(corner_shop.run("history", "--format", "json").stdout)[:2]
    assert [(each["outcome"], each["restored"]["backup"]) for each in found] == [
        ("failed", str(taken)),
        ("done", str(taken)),
    ]


def test_restoring_needs_the_lock_of_the_file(corner_shop: Shop) -> None:
    taken = changed(corner_shop)
    corner_shop.project.write(FILE[: FILE.index("steps:")] + "steps: [{uses: wait}]\n")
    refused = corner_shop.run("restore", str(taken), "--yes")
    assert (refused.returncode, "the file has no lock" in refused.stderr) == (2, True)


def test_a_run_that_holds_the_lock_keeps_a_restore_out(corner_shop: Shop) -> None:
    changed(corner_shop)
    corner_shop.project.write(FILE.replace("timeout: 5s", "timeout: 300ms"))
    key = corner_shop.execute("SELECT run_id FROM bootstrapper.lock")
    assert key == [(None,)]
    corner_shop.execute(
        "UPDATE bootstrapper.lock SET run_id = gen_random_uuid(), mode = 'pooled', host = 'elsewhere', pid = 1,"
        " expires_at = now() + interval '1 minute'"
    )
    busy = corner_shop.run("restore", "--latest", "--yes")
    assert (busy.returncode, "elsewhere" in busy.stderr) == (7, True)
    assert corner_shop.execute(NAMES) == [("AC/DC",), ("too much",)]


@pytest.mark.faults
def test_through_a_pooler_it_is_refused_and_direct_url_is_named(corner_shop: Shop) -> None:
    taken = changed(corner_shop)
    with PgBouncer(corner_shop.server, "transaction") as pooler:
        url = corner_shop.project.url.replace(str(corner_shop.server.port), str(pooler.port))
        refused = corner_shop.run("restore", str(taken), "--yes", DATABASE_URL=url)
        assert (refused.returncode, "direct_url" in refused.stderr) == (9, True)


def test_an_application_that_connects_again_and_again_is_kept_out_and_finds_the_restored_database(
    corner_shop: Shop,
) -> None:
    """Its pool is back a moment after it was cut off."""
    changed(corner_shop)
    ended = threading.Event()
    seen: list[int] = []

    def work() -> None:
        while not ended.is_set():
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(corner_shop.project.url, autocommit=True) as connection,
            ):
                while not ended.is_set():
                    seen.append(connection.execute("SELECT count(*) FROM artist").fetchone()[0])  # type: ignore[index]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        done = corner_shop.run("restore", "--latest", "--yes", "--terminate")
        assert done.returncode == 0, done.stderr
        assert eventually(lambda: seen[-1] == 1)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert seen[-1] == 1
    assert set(seen) == {1, 2}


def test_who_comes_while_the_dump_is_read_is_in_the_way_of_the_swap_only(
    corner_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(corner_shop)
    original = new_database.swap.swap
    with ExitStack() as stack:

        def swap(*arguments: object, **options: object) -> None:
            stack.enter_context(psycopg.connect(corner_shop.project.url, application_name="came late"))
            original(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(new_database.swap, "swap", swap)
        refused = corner_shop.run("restore", "--latest", "--yes")
    assert (refused.returncode, "came late" in refused.stderr) == (9, True)
    assert (corner_shop.half_made, corner_shop.kept) == ([], [])
    query = "SELECT command, outcome FROM bootstrapper.runs ORDER BY serial DESC LIMIT 1"
    assert corner_shop.execute(query) == [("restore", "failed")]
    assert corner_shop.run("backup").returncode == 0


def test_the_name_may_be_typed_at_a_terminal(corner_shop: Shop) -> None:
    changed(corner_shop)
    for typed, expected in (("no", 9), (corner_shop.name, 0)):
        shown, code = on_terminal(corner_shop.project, ["restore", "--latest", "-e", "live"], f"{typed}\n".encode())
        assert (code, f"Type {corner_shop.name} to confirm" in shown) == (expected, True), shown
    assert corner_shop.execute(NAMES) == [("AC/DC",)]


def test_a_member_of_the_owner_with_createdb_needs_no_more_rights(corner_shop: Shop) -> None:
    corner_shop.execute("ALTER TABLE artist OWNER TO shop_owner")
    corner_shop.execute("CREATE ROLE builder LOGIN PASSWORD 'builds' CREATEDB IN ROLE shop_owner")
    try:
        url = corner_shop.project.url.replace("postgres:correct%20horse", "builder:builds")
        shop = replace(corner_shop, project=replace(corner_shop.project, url=url))
        before = shop.whole()
        taken = shop.back_up()
        shop.execute("DROP TABLE artist")
        done = shop.run("restore", str(taken), "--yes")
        assert done.returncode == 0, done.stderr
        assert corner_shop.whole() == before
    finally:
        corner_shop.server.execute("REASSIGN OWNED BY builder TO postgres")
        for name in (corner_shop.name, *corner_shop.kept):
            corner_shop.execute("REASSIGN OWNED BY builder TO postgres; DROP OWNED BY builder", name)
        corner_shop.execute("DROP ROLE builder")


@pytest.mark.faults
def test_a_pooler_that_is_paused_keeps_no_connection_that_blocks_a_restore(corner_shop: Shop) -> None:
    """As docs/how-to/roll-back.md says."""
    taken = changed(corner_shop)
    with PgBouncer(corner_shop.server, "transaction") as pooler:
        url = corner_shop.project.url.replace(str(corner_shop.server.port), str(pooler.port))
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1")
        busy = corner_shop.run("restore", str(taken), "--yes")
        name = url.rpartition("/")[2]
        console = psycopg.connect(url.replace(f"/{name}", "/pgbouncer"), autocommit=True)
        with console:
            psycopg.ClientCursor(console).execute(b"PAUSE")
            restored = corner_shop.run("restore", str(taken), "--yes")
            psycopg.ClientCursor(console).execute(b"RESUME")
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1")
    assert (busy.returncode, restored.returncode) == (9, 0), busy.stderr + restored.stderr
