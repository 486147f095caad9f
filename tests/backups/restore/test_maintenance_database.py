"""Tests of unfinished databases: those of dead restores are dropped, those of running ones stay."""

from __future__ import annotations

from psycopg import sql

from bootstrapper.backups.restore import maintenance_database
from bootstrapper.deadline import Deadline
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.server import scratch
from tests.backups.restore.shops import Shop
from tests.servers import Server
from tests.waiting import at_most

EXISTS = "SELECT count(*) FROM pg_database WHERE datname = %s"


def test_the_database_of_a_living_restore_is_left_alone_and_that_of_a_dead_one_dropped(server: Server) -> None:
    target, deadline = Target.from_url(server.url()), Deadline.after(at_most(60))
    with maintenance_database.outside(target, "", deadline) as looking:
        at_work = maintenance_database.enter(target, deadline)
        with scratch.reserved_name(at_work, maintenance_database.PREFIX) as name:
            at_work.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            assert scratch.drop_abandoned(looking, maintenance_database.PREFIX) == []
            pid = at_work.info.backend_pid
            looking.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
            assert scratch.drop_abandoned(looking, maintenance_database.PREFIX) == [name]
            at_work.close()
        assert looking.execute(EXISTS, (name,)).fetchone() == (0,)


def test_a_half_made_template_is_dropped_too(server: Server) -> None:
    name = f"{maintenance_database.PREFIX}{7:016x}"
    server.execute(f"CREATE DATABASE {name} IS_TEMPLATE true")
    with maintenance_database.outside(Target.from_url(server.url()), "", Deadline.after(at_most(60))) as looking:
        assert scratch.drop_abandoned(looking, maintenance_database.PREFIX) == [name]


def test_a_kept_template_is_dropped_too(corner_shop: Shop) -> None:
    taken = corner_shop.back_up()
    corner_shop.server.execute(f'ALTER DATABASE "{corner_shop.name}" IS_TEMPLATE true')
    try:
        assert corner_shop.run("restore", str(taken), "--yes").returncode == 0
        assert len(corner_shop.kept) == 1
        dropped = corner_shop.run("restore", "--drop-old", "--yes")
        assert (dropped.returncode, corner_shop.kept) == (0, []), dropped.stderr
    finally:
        for name in (corner_shop.name, *corner_shop.kept):
            corner_shop.server.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false')


def test_databases_of_other_programs_whose_names_begin_alike_are_left_alone(server: Server) -> None:
    name = f"{maintenance_database.PREFIX}by_hand"
    server.execute(f"CREATE DATABASE {name}")
    try:
        with maintenance_database.outside(Target.from_url(server.url()), "", Deadline.after(at_most(60))) as looking:
            assert scratch.drop_abandoned(looking, maintenance_database.PREFIX) == []
    finally:
        server.execute(f"DROP DATABASE {name}")


def test_the_maintenance_database_itself_is_left_from_another_one(server: Server) -> None:
    with maintenance_database.outside(
        Target.from_url(server.url()), "postgres", Deadline.after(at_most(60))
    ) as connection:
        assert connection.info.dbname == "template1"
