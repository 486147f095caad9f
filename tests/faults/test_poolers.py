"""Runs through PgBouncer, in every mode of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bootstrapper.api import run
from bootstrapper.engine.request import Request
from bootstrapper.errors import RefusedError
from tests.cli.project import Project
from tests.faults.crowds import crowd, crowd_faults
from tests.faults.pgbouncer import PgBouncer
from tests.faults.scenarios import in_time, pooler_restarts
from tests.faults.trials import Site
from tests.migrations.project.test_drivers import ASYNC, ENGINES
from tests.migrations.projects import create_table, write_env, write_revision
from tests.migrations.worker.test_offline_sql import OFFLINE
from tests.round_trips import CountingProxy
from tests.samples import apply_again, copy_sample, request_of
from tests.servers import Server, free_port

REVISIONS = """
version: 1
name: revisions
database: {url: "${DATABASE_URL}"}
steps: [{uses: lock}, {uses: migrate, with: {script_location: migrations, repair: true}}]
"""
MOST_ROUND_TRIPS = 4


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_runs_through_a_pooler_do_the_work_once(site: Site, mode: str) -> None:
    trial = site.trial("pooled")
    with PgBouncer(site.server, mode) as pooler:
        seen = crowd(trial, [pooler.url(trial.url)] * 6, site.server.url())
    assert crowd_faults(trial, seen) == [], seen
    assert trial.verdict() == []


def test_direct_and_pooled_runs_exclude_each_other(site: Site) -> None:
    trial = site.trial("pooled")
    with PgBouncer(site.server, "transaction") as pooler:
        seen = crowd(trial, [pooler.url(trial.url), trial.url] * 5, site.server.url())
    assert crowd_faults(trial, seen) == [], seen
    assert trial.verdict() == []


def test_statement_pooling_is_refused_and_says_why(site: Site) -> None:
    trial = site.trial("quick")
    with PgBouncer(site.server, "statement") as pooler:
        replica = trial.run(url=pooler.url(trial.url), timeout_seconds=10)
    assert replica.exit_code == 6, replica.error
    assert "statement" in replica.error
    assert trial.verdict() == []


@pytest.mark.parametrize("command", [run.wait, run.plan, run.follow])
def test_every_command_refuses_statement_pooling(
    site: Site, tmp_path: Path, command: Callable[[Request], object]
) -> None:
    with PgBouncer(site.server, "statement") as pooler:
        request = request_of(copy_sample(tmp_path), pooler.url(site.server.url()))
        with pytest.raises(RefusedError, match="statement mode"):
            command(request)


def test_a_start_with_nothing_to_do_takes_four_round_trips_and_leaves_no_transaction_open(
    site: Site, tmp_path: Path
) -> None:
    folder, name = copy_sample(tmp_path), "sample"
    site.server.create_database(name)
    run.apply(request_of(folder, site.server.url(name)))  # a backup does not go through a pooler
    with PgBouncer(site.server, "transaction") as pooler, CountingProxy(pooler.port) as proxy:
        apply_again(folder, proxy, pooler.url(site.server.url(name)))
        assert proxy.logins == 1
        assert proxy.round_trips <= MOST_ROUND_TRIPS, proxy.statements
        assert proxy.statements[-1] == "ROLLBACK"
        assert "was not ready" not in pooler.log  # its connection to the server goes on to serve others


@pytest.mark.parametrize("after_seconds", [0.1, 0.5, 0.9])
def test_a_pooler_that_restarts_in_the_middle_leaves_nothing_half(site: Site, after_seconds: float) -> None:
    trial = site.trial("pooled")
    with PgBouncer(site.server, "transaction") as pooler:
        assert pooler_restarts(trial, pooler, 3, after_seconds) == []


def test_the_deadline_holds_behind_a_pooler_whose_server_is_down(site: Site) -> None:
    trial = site.trial("quick", timeout="3s")
    absent = Server(site.server.bin, site.server.data, free_port(), site.server.user, site.server.password)
    with PgBouncer(absent, "transaction") as pooler:
        replica = trial.start(url=pooler.url(absent.url(trial.name)), timeout_seconds=3)
        assert in_time(replica, 3) == []
    assert replica.exit_code == 5, replica.error


def test_the_commands_about_revisions_work_through_a_pooler(site: Site, tmp_path: Path) -> None:
    site.server.execute("CREATE DATABASE revisions")
    project = Project(tmp_path, site.server.url("revisions"))
    project.write(REVISIONS)
    write_env(tmp_path, OFFLINE)
    block = "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY a_id ON a (id)')"
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=block)
    with PgBouncer(site.server, "transaction") as pooler:
        pooled = Project(tmp_path, pooler.url(project.url))
        for arguments in (["upgrade"], ["downgrade", "first", "--yes"], ["stamp", "second"], ["plan", "--sql"]):
            done = pooled.run(*arguments)
            assert done.returncode == 0, done.stderr
        history = json.loads(pooled.run("history", "--format", "json").stdout)
        with psycopg.connect(pooler.url(project.url), autocommit=True, prepare_threshold=None) as application:
            settings = application.execute("SELECT current_setting('lock_timeout')").fetchall()
    noted = [(each["action"], each["revision"]) for run in reversed(history) for each in run["revisions"]]
    assert noted == [("upgrade", "first"), ("upgrade", "second"), ("downgrade", "second"), ("stamp", "second")]
    assert settings == [("0",)], "what a run sets is left to nobody behind the pooler"


@pytest.mark.parametrize("env", [OFFLINE, ASYNC.format(engine=ENGINES["create_async_engine"])], ids=["sync", "async"])
def test_a_migration_through_a_pooler_leaves_no_prepared_statement_to_others(
    site: Site, tmp_path: Path, env: str
) -> None:
    name = f"prepared_{tmp_path.name}"
    site.server.execute(f'CREATE DATABASE "{name}"')
    with PgBouncer(site.server, "transaction", pool_size=2) as pooler:
        project = Project(tmp_path, pooler.url(site.server.url(name)))
        project.write(REVISIONS)
        write_env(tmp_path, env)
        for number in range(8):
            write_revision(
                tmp_path, f"r{number}", f"r{number - 1}" if number else None, upgrade="op.execute('SELECT 1')"
            )
        done = project.run("upgrade")
        assert done.returncode == 0, done.stderr
        with (
            psycopg.connect(project.url, prepare_threshold=None) as one,
            psycopg.connect(project.url, prepare_threshold=None) as other,  # both servers of the pool
        ):
            for application in (one, other):
                assert application.execute("SELECT name, statement FROM pg_prepared_statements").fetchall() == []
