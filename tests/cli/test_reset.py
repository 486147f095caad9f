"""Tests of `reset`, which drops what migrations and ledger own, all of it or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bootstrapper.api import reset as resetting
from bootstrapper.engine.request import Request
from bootstrapper.errors import GuardError
from bootstrapper.migrations.schema.comparison import describe
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock.acquire import advisory_key
from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal
from tests.cli.revisions import BOOTSTRAP, rows, three_revisions, versions
from tests.migrations.projects import write_revision
from tests.servers import Server
from tests.waiting import at_most, eventually

pytestmark = pytest.mark.long

SEEDS = """\
  - uses: seed
fixtures:
  a: {key: [id], rows: [{id: 1}, {id: 2}]}
"""
LEFT = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace::regnamespace::text !~ '^pg_|^info'"


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    """A project whose three revisions are applied, with two rows in table a."""
    made = three_revisions(tmp_path, database)
    made.write(BOOTSTRAP + SEEDS)
    done = made.run("apply", "-e", "here")
    assert done.returncode == 0, done.stderr
    return made


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def name_of(project: Project) -> str:
    return project.url.rpartition("/")[2]


def left(project: Project) -> set[object]:
    return {row[0] for row in rows(project, LEFT)}


def is_whole(project: Project) -> bool:
    """Whether nothing was dropped, and the next run finds nothing to do."""
    assert {"a", "b", "c", "alembic_version", "runs", "meta"} <= left(project)
    assert (versions(project), rows(project, "SELECT id FROM a ORDER BY id")) == (["third"], [(1,), (2,)])
    return "nothing to do" in project.run("apply", "-e", "here").stderr


def state(project: Project) -> tuple[Mapping[str, str], Mapping[str, object]]:
    """The schema besides the ledger and the version table, and all rows."""
    with psycopg.connect(project.url, autocommit=True) as connection:
        schema = describe(connection, LedgerNames(), (None, "alembic_version"))
        tables = [name.removeprefix("table ") for name in schema if name.startswith("table ")]
        found = {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1".encode()).fetchall()
            for name in (*tables, "alembic_version")
        }
        return schema, found


def test_a_dry_run_shows_what_would_be_dropped_with_its_rows_and_writes_nothing(project: Project) -> None:
    before = rows(project, "SELECT count(*) FROM bootstrapper.runs")
    ((marks,),) = rows(project, "SELECT count(*) FROM bootstrapper.meta")
    done = project.run("reset", "--dry-run", "-e", "here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[3:-5] == [
        "> reset  11 to drop",
        "    what revision third builds, and the ledger",
        "    table: 4 to drop",
        "    - table public.a: 2 rows",
        "    - table public.alembic_version: 1 row",
        "    - table public.b: 0 rows",
        "    - table public.c: 0 rows",
        "    ledger: 7 to drop",
        "    - schema bootstrapper",
        "    - table bootstrapper.digests: 0 rows",
        "    - table bootstrapper.lock: 1 row",
        f"    - table bootstrapper.meta: {marks} rows",
        "    - table bootstrapper.revisions: 3 rows",
        "    - table bootstrapper.runs: 1 row",
    ]
    assert "! database" in done.stdout
    assert "Take one: `bootstrapper backup`." in done.stdout
    assert rows(project, "SELECT count(*) FROM bootstrapper.runs") == before
    assert rows(project, "SELECT datname FROM pg_database WHERE starts_with(datname, 'bootstrapper_scratch_')") == []
    assert is_whole(project)


def test_every_object_is_shown_however_many_there_are(project: Project) -> None:
    many = "for n in range(40): op.execute(f'CREATE TABLE many_{n} (id int)')"
    write_revision(project.folder, "many", "third", upgrade=many)
    assert project.run("apply", "-e", "here").returncode == 0
    shown = project.run("reset", "--dry-run", "-e", "here").stdout
    assert all(f"- table public.many_{number}: 0 rows" in shown for number in range(40))


def test_as_json_it_has_every_object(project: Project) -> None:
    plan = json.loads(project.run("reset", "--dry-run", "--format", "json", "-e", "here").stdout)
    (step,) = plan["steps"]
    found = {(each["action"], each["origin"], each["target"], each["reason"]) for each in step["changes"]}
    assert ("delete", "table", "table public.a", "2 rows") in found
    assert ("delete", "ledger", "schema bootstrapper", "") in found
    assert len(found) == 11


def test_a_reset_drops_all_of_it_and_a_second_one_finds_nothing(project: Project) -> None:
    done = project.run("reset", "--yes", "-e", "here")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        0,
        f"reset: dropped 11 objects of database {name_of(project)}",
    )
    assert "reset: dropped 11 in " in done.stderr
    assert left(project) == set()
    again = project.run("reset", "--yes", "-e", "here")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "Nothing to do.")
    assert left(project) == set()


def test_apply_after_a_reset_is_a_first_apply(project: Project, new_database: Callable[[], str]) -> None:
    undisturbed = Project(project.folder, new_database())
    assert undisturbed.run("apply", "-e", "here").returncode == 0
    execute(project, "INSERT INTO a VALUES (3)", "INSERT INTO b VALUES (1)", "ALTER TABLE c ADD COLUMN by_hand int")
    assert project.run("reset", "--yes", "-e", "here").returncode == 0
    assert project.run("apply", "-e", "here").returncode == 0
    assert state(project) == state(undisturbed)
    assert rows(project, "SELECT command, outcome FROM bootstrapper.runs") == [("apply", "done")]
    verified = project.run("history", "--verify", "-e", "here")
    assert verified.returncode == 0, verified.stderr


def test_everything_else_stays(project: Project) -> None:
    execute(
        project,
        "CREATE TABLE mine AS SELECT 1 AS id",
        "CREATE SCHEMA other CREATE TABLE a (id int)",
        "CREATE EXTENSION citext",
        "CREATE VIEW bootstrapper.mine AS SELECT 1 AS x",
    )
    done = project.run("reset", "--yes", "-e", "here")
    assert done.returncode == 0, done.stderr
    assert "! schema bootstrapper: stays, since other objects are in it" in done.stdout
    assert "- schema bootstrapper\n" not in done.stdout
    assert left(project) == {"mine", "a"}
    assert rows(project, "SELECT id FROM mine") == [(1,)]
    assert rows(project, "SELECT to_regclass('other.a')::text, to_regclass('bootstrapper.mine')::text") == [
        ("other.a", "bootstrapper.mine")
    ]
    assert rows(project, "SELECT extname FROM pg_extension WHERE extname = 'citext'") == [("citext",)]


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_an_object_by_hand_that_depends_on_one_is_named_and_nothing_is_dropped(project: Project, option: str) -> None:
    execute(project, "CREATE VIEW mine AS SELECT * FROM a", "CREATE TABLE its (id int)")
    refused = project.run("reset", option, "-e", "here")
    assert refused.returncode == 9
    assert "view public.mine depends on table public.a" in refused.stderr
    assert "nothing was dropped" in refused.stderr
    assert is_whole(project)


def test_without_confirmation_nothing_is_dropped(project: Project) -> None:
    refused = project.run("reset", "-e", "here")
    assert (refused.returncode, "not confirmed: nothing was dropped" in refused.stderr) == (9, True)
    assert is_whole(project)


def test_a_protected_environment_requires_the_name_of_the_database(project: Project) -> None:
    assert project.run("environment", "set", "live").returncode == 0
    assert project.run("reset", "--yes", "-e", "live").returncode == 9
    assert project.run("reset", "--confirm", "postgres", "-e", "live").returncode == 9
    assert {"a", "runs"} <= left(project)
    done = project.run("reset", "--confirm", name_of(project), "-e", "live")
    assert (done.returncode, left(project)) == (0, set()), done.stderr


def test_the_question_says_how_many_objects_go_and_takes_the_name_where_it_is_protected(project: Project) -> None:
    assert project.run("environment", "set", "live").returncode == 0
    said, code = on_terminal(project, ["reset", "-e", "live"], b"yes\n")
    assert code == 9, said
    assert f"Drop 11 objects of database {name_of(project)} permanently? Type {name_of(project)} to confirm:" in said
    assert {"a", "runs"} <= left(project)
    said, code = on_terminal(project, ["reset", "-e", "live"], f"{name_of(project)}\n".encode())
    assert (code, left(project)) == (0, set()), said


def test_a_database_that_is_marked_as_that_of_a_protected_environment_requires_its_name(project: Project) -> None:
    assert project.run("environment", "set", "live").returncode == 0
    refused = project.run("reset", "--yes", "-e", "here")
    assert (refused.returncode, "is marked as that of environment 'live'" in refused.stderr) == (9, True)
    assert {"a", "runs"} <= left(project)
    assert project.run("reset", "--confirm", name_of(project), "-e", "here").returncode == 0
    assert left(project) == set()


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_a_frozen_database_is_refused(project: Project, option: str) -> None:
    assert project.run("freeze", "incident 4711", "-e", "here").returncode == 0
    refused = project.run("reset", option, "-e", "here")
    assert (refused.returncode, "is frozen: incident 4711" in refused.stderr) == (9, True)
    assert project.run("unfreeze", "-e", "here").returncode == 0
    assert is_whole(project)


def test_a_database_frozen_after_the_preview_is_refused(project: Project) -> None:
    asked = asked_of(project)
    shown = resetting.preview(asked)
    assert project.run("freeze", "incident 4711", "-e", "here").returncode == 0
    with pytest.raises(Exception, match="is frozen: incident 4711"):
        resetting.reset(asked, shown)
    assert project.run("unfreeze", "-e", "here").returncode == 0
    assert is_whole(project)


def test_a_run_that_has_the_lock_is_waited_for(project: Project) -> None:
    short = (BOOTSTRAP + SEEDS).replace("  - uses: lock\n", "  - uses: lock\n    with: {timeout: 300ms}\n")
    project.write(short)
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (advisory_key(LedgerNames()),))
        refused = project.run("reset", "--yes", "-e", "here")
    assert (refused.returncode, "lock not acquired" in refused.stderr) == (7, True)
    assert is_whole(project)


def asked_of(project: Project, **options: str) -> Request:
    return Request(
        file=project.folder / "bootstrap.yaml",
        environment="here",
        variables={"DATABASE_URL": project.url},
        timeout_seconds=at_most(60),
    )


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        ("DROP TABLE c", "not as it was shown: table public.c; nothing was dropped"),
        ("UPDATE alembic_version SET version_num = 'second'", "not at the revision any more"),
        ("CREATE VIEW mine AS SELECT * FROM b", "depend on those to drop"),
    ],
)
def test_what_moved_since_the_preview_refuses_it(project: Project, meanwhile: str, said: str) -> None:
    asked = asked_of(project)
    shown = resetting.preview(asked)
    execute(project, meanwhile)
    with pytest.raises(GuardError, match=said):
        resetting.reset(asked, shown)
    assert {"a", "b", "runs"} <= left(project)


def test_a_table_that_another_session_uses_ends_it_with_the_name_of_that_session(project: Project) -> None:
    with psycopg.connect(project.url) as other:
        other.execute("SELECT * FROM b")
        refused = project.run("reset", "--yes", "-e", "here")
        assert refused.returncode == 7, refused.stderr
        assert f"blocked by process {other.info.backend_pid}" in refused.stderr
    assert is_whole(project)


@contextmanager
def stopped_in_the_middle(project: Project) -> Iterator[tuple[subprocess.Popen[str], psycopg.Connection]]:
    """Yields a reset that has dropped some objects and waits for advisory lock 4711, and the connection that has it."""
    execute(
        project,
        "CREATE SCHEMA apart",
        "CREATE FUNCTION apart.pause() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF to_regclass('public.b') IS NULL THEN PERFORM pg_advisory_xact_lock(4711); END IF; END$$",
        "CREATE EVENT TRIGGER pause ON sql_drop EXECUTE FUNCTION apart.pause()",
    )
    with psycopg.connect(project.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(4711)")
        process = subprocess.Popen(
            project.command("reset", "--yes", "-e", "here"),
            cwd=project.folder,
            env=project.variables(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
            assert eventually(lambda: other.execute(waits).rowcount == 1, 30)
            yield process, other
        finally:
            process.kill()
            process.wait(at_most(30))
    assert eventually(lambda: rows(project, "SELECT FROM pg_locks WHERE objid = 4711") == [], 30)
    execute(project, "DROP EVENT TRIGGER pause", "DROP SCHEMA apart CASCADE")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_reset_that_is_ended_in_the_middle_has_dropped_nothing(project: Project, number: signal.Signals) -> None:
    with stopped_in_the_middle(project) as (process, _):
        os.kill(process.pid, number)
        process.wait(at_most(30))
        if number is not signal.SIGKILL:
            assert process.returncode == 128 + number
    assert is_whole(project)
    assert project.run("reset", "--yes", "-e", "here").returncode == 0
    assert left(project) == set()


def test_an_apply_that_begins_in_the_middle_builds_all_of_it_again(project: Project) -> None:
    with (
        stopped_in_the_middle(project) as (process, other),
        subprocess.Popen(
            project.command("apply", "-e", "here"),
            cwd=project.folder,
            env=project.variables(),
            stderr=subprocess.PIPE,
            text=True,
        ) as applying,
    ):
        blocked = "SELECT FROM pg_locks WHERE locktype = 'relation' AND NOT granted"
        assert eventually(lambda: other.execute(blocked).rowcount > 0, 30)
        other.execute("SELECT pg_advisory_unlock(4711)")
        assert process.wait(at_most(30)) == 0
        _, said = applying.communicate(timeout=at_most(60))
        assert applying.returncode == 0, said
    assert is_whole(project)
    assert rows(project, "SELECT command, outcome FROM bootstrapper.runs") == [("apply", "done")]


def test_a_database_without_revisions_loses_its_ledger_only(project: Project) -> None:
    project.write("version: 1\ndatabase: {url: '${DATABASE_URL}'}\nsteps: [{uses: lock}]\n")
    done = project.run("reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert "no revision is applied, and the ledger" in done.stdout
    assert left(project) == {"a", "b", "c", "alembic_version"}


def test_a_database_at_base_loses_its_version_table_and_ledger(project: Project) -> None:
    assert project.run("downgrade", "base", "--yes", "-e", "here").returncode == 0
    execute(project, "CREATE TABLE mine (id int)")
    assert project.run("reset", "--yes", "-e", "here").returncode == 0
    assert left(project) == {"mine"}


def test_revisions_that_are_pending_own_nothing(project: Project) -> None:
    write_revision(project.folder, "fourth", "third", upgrade="op.execute('CREATE TABLE d (id int)')")
    execute(project, "CREATE TABLE d (id int)")
    assert project.run("reset", "--yes", "-e", "here").returncode == 0
    assert left(project) == {"d"}


def test_a_ledger_in_a_schema_of_others_leaves_the_schema(project: Project) -> None:
    execute(project, "CREATE SCHEMA ops")
    project.write(BOOTSTRAP + SEEDS + "ledger: {schema: ops}\n")
    execute(project, "DROP SCHEMA bootstrapper CASCADE", "DROP TABLE a, b, c, alembic_version")
    assert project.run("apply", "-e", "here").returncode == 0
    assert {"bootstrapper_runs", "a"} <= left(project)
    done = project.run("reset", "--yes", "-e", "here")
    assert (done.returncode, left(project)) == (0, set()), done.stderr
    assert rows(project, "SELECT nspname FROM pg_namespace WHERE nspname = 'ops'") == [("ops",)]


def test_extensions_and_schemas_that_revisions_insist_on_creating_go_with_them(project: Project) -> None:
    create = "op.execute('CREATE SCHEMA own'); op.execute('CREATE EXTENSION citext SCHEMA own')"
    write_revision(project.folder, "own", "third", upgrade=f"{create}; op.execute('CREATE TABLE d (t own.citext)')")
    assert project.run("apply", "-e", "here").returncode == 0
    done = project.run("reset", "--yes", "-e", "here")
    assert done.returncode == 0, done.stderr
    assert rows(project, "SELECT extname FROM pg_extension WHERE extname = 'citext'") == []
    assert rows(project, "SELECT nspname FROM pg_namespace WHERE nspname = 'own'") == []
    assert project.run("apply", "-e", "here").returncode == 0


def test_extensions_that_revisions_take_as_they_find_them_stay(project: Project) -> None:
    create = "op.execute('CREATE EXTENSION IF NOT EXISTS citext'); op.execute('CREATE TABLE d (t citext)')"
    write_revision(project.folder, "taken", "third", upgrade=create)
    assert project.run("apply", "-e", "here").returncode == 0
    assert project.run("reset", "--yes", "-e", "here").returncode == 0
    assert rows(project, "SELECT extname FROM pg_extension WHERE extname = 'citext'") == [("citext",)]
    assert project.run("apply", "-e", "here").returncode == 0


def test_a_revision_that_the_project_does_not_have_is_refused(project: Project) -> None:
    execute(project, "UPDATE alembic_version SET version_num = 'strange'")
    assert project.run("reset", "--yes", "-e", "here").returncode == 10
    assert {"a", "runs"} <= left(project)


def test_a_role_that_may_not_create_databases_or_owns_nothing_is_told_so(project: Project) -> None:
    role = f"resetter_{os.getpid()}"
    execute(
        project,
        f"CREATE ROLE {role} LOGIN PASSWORD 'p'",
        f"GRANT USAGE ON SCHEMA bootstrapper TO {role}",
        f"GRANT SELECT, UPDATE, INSERT, DELETE ON ALL TABLES IN SCHEMA public, bootstrapper TO {role}",
    )
    try:
        scheme, _, rest = project.url.partition("://")
        other = Project(project.folder, f"{scheme}://{role}:p@{rest.partition('@')[2]}")
        refused = other.run("reset", "--yes", "-e", "here")
        assert (refused.returncode, "CREATEDB" in refused.stderr) == (1, True)
        execute(project, f"ALTER ROLE {role} CREATEDB")
        refused = other.run("reset", "--yes", "-e", "here")
        assert refused.returncode == 6, refused.stderr
        assert "nothing was dropped" in refused.stderr
        assert is_whole(project)
    finally:
        execute(project, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_another_project_whose_runs_go_with_the_ledger_is_named(project: Project) -> None:
    project.write(f"version: 1\nname: billing\n{BOOTSTRAP.partition('sample')[2]}", "other.yaml")
    assert "also records runs" not in project.run("reset", "--dry-run", "-e", "here").stdout
    assert project.run("downgrade", "second", "--yes", "-f", "other.yaml", "-e", "here").returncode == 0
    shown = project.run("reset", "--dry-run", "-e", "here").stdout
    assert "! ledger: also records runs of billing, which are dropped with it" in shown


def test_event_triggers_of_the_project_run_with_its_search_path(project: Project) -> None:
    execute(
        project,
        "CREATE TABLE log (tag text)",
        "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO log VALUES (tg_tag); END$$",
        "CREATE EVENT TRIGGER note ON sql_drop EXECUTE FUNCTION note()",
    )
    done = project.run("reset", "--yes", "-e", "here")
    assert done.returncode == 0, done.stderr
    assert ("DROP TABLE",) in rows(project, "SELECT DISTINCT tag FROM log")


def test_a_role_that_owns_what_it_migrated_needs_no_more_than_createdb(project: Project, server: Server) -> None:
    role = f"owner_{os.getpid()}"
    server.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'p'")
    server.execute(f"CREATE DATABASE {role} OWNER {role}")
    try:
        owned = Project(project.folder, f"postgresql://{role}:p@127.0.0.1:{server.port}/{role}")
        assert owned.run("apply", "-e", "here").returncode == 0
        done = owned.run("reset", "--yes", "-e", "here")
        assert (done.returncode, left(owned)) == (0, set()), done.stderr
    finally:
        server.execute(f"DROP DATABASE {role} WITH (FORCE)")
        server.execute(f"DROP ROLE {role}")


def test_a_saved_plan_is_stale_after_a_reset(project: Project) -> None:
    write_revision(project.folder, "fourth", "third", upgrade="op.execute('CREATE TABLE d (id int)')")
    assert project.run("plan", "--out", "saved.json", "-e", "here").returncode == 0
    assert project.run("reset", "--yes", "-e", "here").returncode == 0
    assert project.run("apply", "saved.json").returncode == 8
    assert left(project) == set()
