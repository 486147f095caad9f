"""Runs what examples/deploy would run, on a real server: command lines, secrets as files, a read-only root."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.deploy.places import DEPLOY, Place, Unit, container, manifest
from tests.migrations.projects import write_revision

READER = "app_reader"


@pytest.fixture
def place(tmp_path: Path, database: str) -> Iterator[Place]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((DEPLOY / "roles.sql").read_bytes())
        password = sql.SQL("ALTER ROLE {} PASSWORD 'reader'").format(sql.Identifier(READER))
        connection.execute(password)
        yield Place.under(tmp_path / "place", database)
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(READER)))


@pytest.fixture
def reader_url(database: str) -> str:
    found = conninfo_to_dict(database)
    return f"postgresql://{READER}:reader@{found['host']}:{found['port']}/{found['dbname']}"


JOB, FOLLOW = container("kubernetes/job.yaml"), container("kubernetes/deployment.yaml", "initContainers")


def test_the_job_applies_as_an_ordinary_user_on_a_read_only_root(place: Place) -> None:
    before = place.files()
    done = place.run(*JOB["args"], BACKUPS=str(place.folder / "backups"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "run_finished"
    assert "correct horse" not in done.stdout + done.stderr
    assert place.files() == before


def test_pods_follow_without_the_seed_password_and_without_a_right_to_write(place: Place, reader_url: str) -> None:
    url = (place.folder / "secrets" / "database_url").read_text()
    place.mount(database_url=reader_url)
    waiting = place.run(*FOLLOW["args"], "--timeout", "2s")
    assert waiting.returncode == 4, waiting.stderr
    place.mount(database_url=url.strip(), admin_password="correct horse battery")
    assert place.run(*JOB["args"]).returncode == 0
    place.mount(database_url=reader_url)
    done = place.run(*FOLLOW["args"])
    assert done.returncode == 0, done.stderr
    with psycopg.connect(reader_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("INSERT INTO users VALUES ('eve@example.com', '')")


def test_an_old_pod_starts_again_with_follow_and_not_with_apply(place: Place, reader_url: str) -> None:
    new = write_revision(place.app, "002", "001", upgrade='op.execute("CREATE TABLE books (id int)")')
    assert place.run(*JOB["args"]).returncode == 0
    new.unlink()
    assert place.run("apply").returncode == 10
    place.mount(database_url=reader_url)
    done = place.run(*FOLLOW["args"])
    assert done.returncode == 0, done.stderr


@pytest.mark.programs
def test_the_units_of_systemd_apply_and_take_a_backup(place: Place, database: str) -> None:
    for name in ("app-database.service", "app-database-backup.service"):
        service = Unit(name)["Service"]
        program, *arguments = shlex.split(service["ExecStart"])
        variables = dict(pair.split("=", 1) for pair in shlex.split(service["Environment"]))
        state = variables["BACKUPS"].replace("%S/app-database", str(place.folder / "backups"))
        done = place.run(*arguments, **{**variables, "BACKUPS": state})
        assert (Path(program).name, done.returncode) == ("bootstrapper", 0), done.stderr
        place.mount(database_url=database)  # a backup needs no seed password
    assert len(list((place.folder / "backups").glob("*.dump"))) == 1


def test_the_containers_of_compose_apply(place: Place) -> None:
    service = manifest("compose.yaml")["services"]["database"]
    done = place.run(*service["command"], BACKUPS=str(place.folder / "backups"))
    assert done.returncode == 0, done.stderr
