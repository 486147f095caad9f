"""The address of the database, and passwords that change while a run needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bootstrapper import cli
from bootstrapper.api import project as api
from bootstrapper.api import run as runs
from bootstrapper.errors import ExitCode, InvalidFileError, RefusedError, UnreachableError
from bootstrapper.events import AttemptFailed, LockAwaited, StepReported, Warned
from bootstrapper.quick import declared
from tests import peers
from tests.engine.notes import locked
from tests.migrations.projects import create_table, write_env, write_revision
from tests.projects import TrialProject
from tests.servers import Server, free_port
from tests.waiting import at_most, eventually

ONE = """
  - uses: sql
    name: one
    with: {statement: "CREATE TABLE one (id int)"}
    check: {table: one}
"""


class Rotating:
    """A project that logs in as a role of its own, whose password `rotate` changes on the server and in a file."""

    def __init__(self, project: TrialProject, server: Server, role: str) -> None:
        self.project, self.server, self.role = project, server, role
        self.owner = project.database
        self.number = 0
        (project.folder / "asked").touch()
        self.write_password("first")

    def write_password(self, text: str) -> None:
        new = self.project.folder / "secret.new"
        new.write_text(f"{text}\n")
        new.rename(self.project.folder / "secret")

    def rotate(self) -> None:
        self.number += 1
        self.change_on_server(f"rotated-{self.number}-secret")
        self.write_password(f"rotated-{self.number}-secret")

    def change_on_server(self, password: str) -> None:
        self.server.execute(f"ALTER ROLE \"{self.role}\" PASSWORD '{password}'")

    def url(self, password: str) -> str:
        name = self.owner.rpartition("/")[2]
        return f"postgresql://{self.role}:{password}@127.0.0.1:{self.server.port}/{name}"

    def write(self, steps: str, source: str = "{$command: [sh, -c, 'echo >> asked; cat secret']}") -> None:
        name = self.owner.rpartition("/")[2]
        address = (
            f"{{host: 127.0.0.1, port: {self.server.port}, dbname: {name}, user: {self.role}, password: {source}}}"
        )
        self.project.write(f"version: 1\nname: trial\ndatabase: {address}\nsteps:\n{steps}")

    def write_url(self, steps: str, source: str) -> None:
        self.project.write(f"version: 1\nname: trial\ndatabase: {{url: {source}}}\nsteps:\n{steps}")

    @property
    def times_asked(self) -> int:
        return len((self.project.folder / "asked").read_text().splitlines())


@pytest.fixture
def rotating(project: TrialProject, server: Server, tmp_path: Path) -> Iterator[Rotating]:
    role = f"rotating_{Path(project.database).name}"
    database = project.database.rpartition("/")[2]
    server.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'first'")
    server.execute(f'ALTER DATABASE "{database}" OWNER TO "{role}"')
    yield Rotating(project, server, role)
    server.execute(f'ALTER DATABASE "{database}" OWNER TO postgres')
    with psycopg.connect(project.database, autocommit=True) as connection:
        connection.execute(f'REASSIGN OWNED BY "{role}" TO postgres'.encode())
        connection.execute(f'DROP OWNED BY "{role}"'.encode())
    server.execute(f'DROP ROLE "{role}"')


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failures


def test_a_run_with_one_login_asks_once(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n{ONE}")
    rotating.project.apply()
    assert rotating.times_asked == 1
    assert rotating.project.has("one")


def test_a_password_that_changes_while_the_run_waits_for_the_lock_is_asked_again(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n    with: {{timeout: 30s}}\n{ONE}")
    with locked(rotating.owner):
        waiter, failures = in_background(rotating.project.apply)
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in rotating.project.events))
        rotating.rotate()
        asked = rotating.times_asked
        assert eventually(lambda: failures or rotating.times_asked > asked)
    waiter.join(at_most(30))
    assert failures == []
    assert rotating.project.has("one")


def test_a_password_that_changes_before_a_lost_connection_comes_back_is_asked_again(rotating: Rotating) -> None:
    rotating.write("""
  - uses: lock
  - uses: sql
    with: {statement: "SELECT pg_sleep(CASE WHEN to_regclass('again') IS NULL THEN 60 ELSE 0 END); CREATE TABLE one ()"}
    check: {table: one}
""")
    sleeping = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(CASE%' AND pid <> pg_backend_pid()"
    run, failures = in_background(rotating.project.apply)
    assert eventually(lambda: failures or rotating.project.rows(f"SELECT 1 {sleeping} AND state = 'active'"))
    rotating.rotate()
    rotating.project.rows("CREATE TABLE again ()")
    rotating.project.rows(f"SELECT pg_terminate_backend(pid) {sleeping}")
    run.join(at_most(30))
    assert failures == []
    assert rotating.project.has("one")
    assert [event for event in rotating.project.events if isinstance(event, Warned)]


def test_a_follower_asks_again_at_each_look(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n{ONE}")
    follower, failures = in_background(lambda: runs.follow(rotating.project.request()))
    assert eventually(lambda: rotating.times_asked > 1)
    rotating.rotate()
    asked = rotating.times_asked
    assert eventually(lambda: failures or rotating.times_asked > asked)
    rotating.project.apply()
    follower.join(at_most(30))
    assert failures == []


@pytest.mark.programs
def test_programs_and_further_connections_get_the_password_as_it_is_then(rotating: Rotating) -> None:
    folder = rotating.project.folder
    rotate = f"printf 'second-secret\\n' > secret; psql -qc \"ALTER ROLE {rotating.role} PASSWORD 'second-secret'\""
    (folder / "rotate").write_text(f"set -e\n{rotate}\ntouch rotated\n")
    (folder / "look").write_text('set -e\nprintf %s "$DATABASE_URL" > url; printf %s "$PGPASSWORD" > password\n')
    write_env(folder)
    write_revision(folder, "r1", upgrade=create_table("migrated"))
    rotating.project.variables["PATH"] = f"{rotating.server.programs}:/usr/bin:/bin"
    rotating.write("""
  - uses: lock
  - {uses: command, name: rotate, with: {run: [sh, rotate]}, check: {once: rotate}}
  - {uses: command, name: look, with: {run: [sh, look]}, check: {once: look}}
  - {uses: backup, with: {directory: backups}}
  - {uses: migrate, with: {script_location: migrations}}
  - {uses: sql, with: {statement: "CREATE TABLE beside ()", transaction: false}, check: {table: beside}}
""")
    rotating.project.apply()
    assert conninfo_to_dict((folder / "url").read_text())["password"] == "second-secret"
    assert (folder / "password").read_text() == "second-secret"
    assert len(list((folder / "backups").glob("*.dump"))) == 1
    assert rotating.project.has("migrated")
    assert rotating.project.has("beside")


def test_a_worker_that_is_started_again_gets_the_password_as_it_is_then(rotating: Rotating) -> None:
    write_env(rotating.project.folder)
    write_revision(rotating.project.folder, "r1", upgrade=create_table("busy"))
    rotating.write("""
  - uses: lock
  - {uses: migrate, with: {script_location: migrations, lock_timeout: 200ms, ddl_retries: 40}}
""")
    rotating.project.apply()
    write_revision(rotating.project.folder, "r2", "r1", upgrade='op.execute("ALTER TABLE busy ADD COLUMN more int")')

    def retries() -> int:
        lines = [event.line for event in rotating.project.events if isinstance(event, StepReported)]
        return sum("retrying in" in line for line in lines)

    with psycopg.connect(rotating.owner) as other:
        other.execute("LOCK TABLE busy")
        run, failures = in_background(rotating.project.apply)
        assert eventually(lambda: failures or retries(), 20)
        rotating.rotate()
        before = retries()
        assert eventually(lambda: failures or retries() > before, 20)
    run.join(at_most(60))
    assert failures == []
    assert rotating.project.rows("SELECT version_num FROM alembic_version") == [("r2",)]


@pytest.mark.parametrize("kind", ["$command", "$file"])
def test_a_whole_url_is_asked_again_until_it_leads_somewhere(rotating: Rotating, kind: str) -> None:
    url = rotating.project.folder / "url"
    url.write_text(rotating.url("first").replace(f":{rotating.server.port}/", f":{free_port()}/") + "\n")
    source = "{$file: url}" if kind == "$file" else "{$command: [cat, url]}"
    rotating.write_url(f"  - uses: wait\n    with: {{timeout: 30s}}\n  - uses: lock\n{ONE}", source)
    run, failures = in_background(rotating.project.apply)
    assert eventually(lambda: failures or any(isinstance(event, AttemptFailed) for event in rotating.project.events))
    url.write_text(rotating.url("first") + "\n")
    run.join(at_most(30))
    assert failures == []
    assert rotating.project.has("one")


def test_a_refused_password_is_asked_again_once(rotating: Rotating) -> None:
    (rotating.project.folder / "passwords").write_text("outdated\nfirst\n")
    rotating.write(
        f"  - uses: lock\n{ONE}", "{$command: [sh, -c, 'echo >> asked; sed -n $(wc -l < asked)p passwords']}"
    )
    rotating.project.apply()
    assert rotating.times_asked == 2
    assert rotating.project.has("one")


def test_the_same_password_is_never_given_twice(rotating: Rotating) -> None:
    rotating.write_password("wrong-everywhere")
    rotating.write(f"  - uses: wait\n  - uses: lock\n{ONE}")
    with pytest.raises(RefusedError) as caught:
        rotating.project.apply()
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "wrong-everywhere" not in str(caught.value)
    failed = f'password authentication failed for user "{rotating.role}"'
    assert eventually(lambda: failed in peers.log(rotating.server))
    assert peers.log(rotating.server).count(failed) == 1
    assert rotating.times_asked == 2


def test_of_two_wrong_passwords_each_is_given_once(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n{ONE}", "{$command: [sh, -c, 'echo >> asked; echo wrong-$(wc -l < asked)']}")
    with pytest.raises(RefusedError):
        rotating.project.apply()
    failed = f'password authentication failed for user "{rotating.role}"'
    assert eventually(lambda: peers.log(rotating.server).count(failed) >= 2)
    assert peers.log(rotating.server).count(failed) == 2


def test_each_new_value_is_masked(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n    with: {{timeout: 30s}}\n{ONE}")
    request = rotating.project.request()
    with locked(rotating.owner):
        waiter, failures = in_background(lambda: runs.apply(request))
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in rotating.project.events))
        rotating.rotate()
        asked = rotating.times_asked
        assert eventually(lambda: failures or rotating.times_asked > asked)
    waiter.join(at_most(30))
    assert failures == []
    assert request.masker.quote("rotated-1-secret") == "***"


def test_a_source_that_fails_later_is_asked_again_as_long_as_the_run_waits(rotating: Rotating) -> None:
    program = "if test -e sealed; then echo the vault is sealed >&2; exit 2; fi; cat secret"
    rotating.write(f"  - uses: lock\n    with: {{timeout: 60s}}\n{ONE}", f"{{$command: [sh, -c, '{program}']}}")
    sealed = rotating.project.folder / "sealed"
    reason = "$command: sh ended with exit code 2: the vault is sealed"

    def told() -> list[str]:
        return [event.holder for event in rotating.project.events if isinstance(event, LockAwaited)]

    with locked(rotating.owner):
        waiter, failures = in_background(rotating.project.apply)
        assert eventually(told)
        sealed.touch()
        assert eventually(lambda: failures or any(reason in holder for holder in told()))
        sealed.unlink()
    waiter.join(at_most(30))
    assert failures == []
    assert rotating.project.has("one")
    (said,) = {holder for holder in told() if reason in holder}
    assert said.startswith(f"127.0.0.1:{rotating.server.port}/")
    assert "bootstrap.yaml:3:" in said


def test_a_source_that_fails_when_a_lost_connection_comes_back_ends_the_run_as_retryable(rotating: Rotating) -> None:
    program = "if test -e sealed; then exit 2; fi; cat secret"
    rotating.write(
        """
  - uses: lock
  - uses: sql
    with: {statement: "SELECT pg_sleep(60); CREATE TABLE one ()"}
    check: {table: one}
""",
        f"{{$command: [sh, -c, '{program}']}}",
    )
    sleeping = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    run, failures = in_background(rotating.project.apply)
    assert eventually(lambda: failures or rotating.project.rows(f"SELECT 1 {sleeping} AND state = 'active'"))
    (rotating.project.folder / "sealed").touch()
    rotating.project.rows(f"SELECT pg_terminate_backend(pid) {sleeping}")
    run.join(at_most(30))
    (failure,) = failures
    assert isinstance(failure, UnreachableError)
    assert failure.retryable
    assert "$command: sh ended with exit code 2" in str(failure)


def test_a_source_that_fails_at_first_is_an_error_of_the_file_with_its_place(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n{ONE}", "{$command: [sh, -c, 'echo no such secret >&2; exit 4']}")
    with pytest.raises(InvalidFileError) as caught:
        rotating.project.apply()
    (problem,) = caught.value.problems
    assert problem.source is not None
    assert problem.source.line == 3
    assert problem.message == "$command: sh ended with exit code 4: no such secret"


def test_the_url_for_other_programs_has_the_password_as_it_is_now(rotating: Rotating) -> None:
    rotating.write(f"  - uses: lock\n{ONE}")
    rotating.rotate()
    assert conninfo_to_dict(api.url(rotating.project.request()))["password"] == "rotated-1-secret"


@pytest.mark.parametrize(
    ("direct", "used"),
    [("", "postgresql://pool.example.com/app"), ("postgresql://db.example.com/app", "postgresql://db.example.com/app")],
)
def test_an_empty_direct_url_counts_as_absent(
    direct: str, used: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bootstrap.yaml"
    address = '{url: "postgresql://pool.example.com/app", direct_url: "${DIRECT_URL:-}"}'
    file.write_text(f"version: 1\ndatabase: {address}\nsteps: [{{uses: wait}}]\n")
    monkeypatch.setenv("DIRECT_URL", direct)
    assert cli.main(["url", "-f", str(file)]) == 0
    assert capsys.readouterr().out.strip() == used
    assert declared.read(str(file), None, {"DIRECT_URL": direct}, "1").url == used
