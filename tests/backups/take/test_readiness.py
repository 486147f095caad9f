"""Tests that obstacles to a backup are found before anything is changed."""

import importlib.util
import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bootstrapper.backups.stores import location
from bootstrapper.postgres.server import clienttools
from tests.cli.project import Project
from tests.faults.pgbouncer import PgBouncer
from tests.servers import Server

STEPS = """\
version: 1
name: ready
database: {url: "${DATABASE_URL}"}
steps:
  - uses: lock
  - uses: sql
    name: before
    with: {statement: CREATE TABLE before (id int)}
    check: {table: before}
  - uses: backup
    with: {directory: backups, OPTIONS}
  - uses: sql
    name: after
    with: {statement: CREATE TABLE after (id int)}
    check: {table: after}
"""


@pytest.fixture
def asked(tmp_path: Path, database: str) -> Project:
    return Project(tmp_path, database)


def old_tools(folder: Path) -> Path:
    """Programs that say that they are older than the server."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 15.3'\n")
        (folder / name).chmod(0o755)
    return folder


def has_changed(project: Project) -> bool:
    with psycopg.connect(project.url) as connection:
        names = connection.execute("SELECT to_regclass('before') IS NULL AND to_regclass('after') IS NULL").fetchone()
    return names != (True,) or (project.folder / "backups").exists()


@pytest.mark.programs
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_server_newer_than_every_pg_dump_is_found_before_the_first_step(
    asked: Project, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder = old_tools(asked.folder / "bin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # as if the wheel were not installed
    monkeypatch.setattr(clienttools.find_tools, "__defaults__", ((str(asked.folder / "usual" / "*"),),))
    asked.write(STEPS.replace(", OPTIONS", ""))
    said = asked.run(command, PATH=f"{folder}:/nonexistent")
    assert said.returncode == 1
    assert f"bootstrap.yaml:10:5: no pg_dump of PostgreSQL 18 or newer: found 15.3 in {folder}" in said.stderr
    assert f"looked in {folder}" in said.stderr
    assert "Traceback" not in said.stderr
    assert not has_changed(asked)


@pytest.mark.programs
@pytest.mark.parametrize("command", ["plan", "apply"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("pg_dump: bin/pg_dump", "no pg_dump of PostgreSQL 18 or newer: found 15.3 in "),
        ("pg_dump: bin", "no pg_dump of PostgreSQL 18 or newer: found 15.3 in "),
        ("pg_dump: nowhere/pg_dump", "no pg_dump of PostgreSQL 18 or newer: found none; looked in "),
        ("extra_args: [--bogus]", "rejects the options: unrecognized option '--bogus'"),
        ("compress: 'gzip:77'", "rejects the options: invalid compression specification"),
        ("encrypt: {recipients_file: missing.txt}", "missing.txt: No such file or directory"),
        ("directory: 'nonsense://x'", "nonsense://x: "),
    ],
)
def test_settings_that_are_not_possible_here_are_found_before_the_first_step(
    asked: Project, command: str, options: str, message: str
) -> None:
    old_tools(asked.folder / "bin")
    text = STEPS.replace("directory: backups, OPTIONS", options if "directory" in options else f"{options}")
    asked.write(text)
    said = asked.run(command)
    assert said.returncode == 1
    assert "bootstrap.yaml:10:5: " in said.stderr
    assert message in said.stderr
    assert not has_changed(asked)


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ("extra_args: [--no-owner, --file=x]", "11:57", "--file is set by `directory` or `file`"),
        ("extra_args: [-W]", "11:45", "not a long option"),
        ("jobs: 4", "11:38", "needs `format: directory`"),
        ("encrypt: {recipients: [AGE-SECRET-KEY-1XYZ]}", "11:55", "not a public key of age"),
    ],
)
def test_errors_in_settings_have_their_place(asked: Project, options: str, place: str, message: str) -> None:
    asked.write(STEPS.replace("OPTIONS", options))
    said = asked.run("validate")
    assert said.returncode == 2
    assert f"bootstrap.yaml:{place}: " in said.stderr
    assert message in said.stderr
    assert "XYZ" not in said.stderr


def test_a_named_pg_dump_is_the_one_that_is_used(asked: Project) -> None:
    folder = asked.folder / "bin"
    folder.mkdir()
    real = clienttools.find_tools(("pg_dump",), 18, "").folder
    (folder / "pg_restore").symlink_to(real / "pg_restore")
    (folder / "my-dump").write_text(f'#!/bin/sh\necho "it is me" >&2\nexec "{real}/pg_dump" "$@"\n')
    (folder / "my-dump").chmod(0o755)
    asked.write(STEPS.replace("OPTIONS", "pg_dump: bin/my-dump"))
    said = asked.run("apply")
    assert said.returncode == 0, said.stderr
    assert "backup | it is me" in said.stderr


def aged(taken: Path, minutes: int) -> None:
    """Dates a backup back."""
    beside = taken.with_name(f"{taken.name}.json")
    manifest = json.loads(beside.read_text())
    moment = datetime.fromisoformat(manifest["created_at"]) - timedelta(minutes=minutes)
    beside.write_text(json.dumps({**manifest, "created_at": moment.isoformat()}))


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_the_plan_tells_why_and_how_much_and_from_earlier_ones_how_long(asked: Project) -> None:
    asked.write(STEPS.replace(", OPTIONS", ""))
    first = unwrapped(asked.run("plan").stdout)
    assert "no verified backup by this run yet; database size " in first
    assert "going by" not in first
    assert asked.run("apply").returncode == 0
    again = unwrapped(asked.run("plan").stdout)
    [taken] = (asked.folder / "backups").glob("*.dump")
    assert f"estimated from {taken.name}: about " in again


def test_the_plan_tells_why_no_backup_is_taken_again(asked: Project) -> None:
    text = STEPS.replace(", OPTIONS", "").replace("CREATE TABLE after (id int)", "SELECT 1 / 0")
    asked.write(text)
    assert asked.run("apply").returncode == 1
    [taken] = (asked.folder / "backups").glob("*.dump")
    said = unwrapped(asked.run("plan").stdout)
    assert re.search(rf"{taken} was taken [^;]*s ago by unfinished run ", said), said
    aged(taken, minutes=20)
    said = unwrapped(asked.run("plan").stdout)
    assert re.search(r"the backup of unfinished run \S+ is 20 min \d+ s old, reuse_for is 15 min 0 s; ", said), said


def test_an_explicit_file_keeps_the_settings_of_the_step(asked: Project) -> None:
    key = "age1rplg24yj34g9ret9j9jwdurdz9aa7vf0qukwyn4jauttu9dhruqq80y46e"
    asked.write(STEPS.replace("OPTIONS", f"encrypt: {{recipients: [{key}]}}, exclude: [before]"))
    said = asked.run("backup", "mine.dump")
    assert said.returncode == 0, said.stderr
    assert (asked.folder / "mine.dump").read_bytes().startswith(b"age-encryption.org/v1")
    assert '"exclude: before"' in (asked.folder / "mine.dump.json").read_text()


def test_plan_and_apply_warn_of_a_folder_that_ends_with_its_container(
    asked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = asked.folder / "mark"
    mark.touch()
    monkeypatch.setattr(location, "_MARKERS", (mark,))
    monkeypatch.setattr(location, "ROOT", asked.folder)
    asked.write(STEPS.replace(", OPTIONS", ""))
    assert "is lost with this container" in unwrapped(asked.run("plan").stdout)
    assert f"warning: {asked.folder / 'backups'} is inside this container" in asked.run("apply").stderr
    asked.write(STEPS.replace("directory: backups, OPTIONS", f"directory: {asked.folder / 'elsewhere'}"))
    assert "container" not in asked.run("plan").stdout


@pytest.mark.faults
@pytest.mark.parametrize("command", [["plan"], ["apply"], ["backup"], ["backup", "mine.dump"]])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_through_a_pooler_a_backup_is_refused_before_the_first_step(
    asked: Project, server: Server, command: list[str], mode: str
) -> None:
    asked.write(STEPS.replace(", OPTIONS", ""))
    with PgBouncer(server, mode) as pooler:
        said = asked.run(*command, DATABASE_URL=pooler.url(asked.url))
    assert said.returncode == 9, said.stderr
    assert "pg_dump needs a direct connection, and 127.0.0.1:" in said.stderr
    assert "direct_url" in said.stderr
    assert not has_changed(asked)
    assert not (asked.folder / "mine.dump").exists()


@pytest.mark.faults
def test_with_direct_url_beside_the_pooler_a_backup_is_taken(asked: Project, server: Server) -> None:
    asked.write(STEPS.replace(", OPTIONS", "").replace('}"}', '}", direct_url: "${DIRECT_URL}"}', 1))
    with PgBouncer(server, "transaction") as pooler:
        said = asked.run("apply", DATABASE_URL=pooler.url(asked.url), DIRECT_URL=asked.url)
    assert said.returncode == 0, said.stderr
    assert len(list((asked.folder / "backups").glob("*.dump"))) == 1
