"""Whatever happens to the files, the database and the address: the quick look never disagrees with an ordinary run.

Set BOOTSTRAPPER_QUICK_EXAMPLES to a number for a longer campaign, with new examples each time.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.quick.conftest import BACKUP, BOOTSTRAP, write_project
from tests.quick.looks import ENVIRONMENT, READERS, Looks
from tests.servers import Server

pytestmark = pytest.mark.long

PLUGIN = """
from bootstrapper import Answer, Check, hookimpl

IS_SETTLED = True


class Settled(Check):
    key = "settled"
    pure = True

    def ask(self, context):
        return Answer.yes("it is") if IS_SETTLED else Answer.no("it is not")


@hookimpl
def bootstrapper_checks():
    return [Settled]
"""
SETTLED = """\
  - uses: sql
    name: settled
    with: {statement: "INSERT INTO notes VALUES ('settled')"}
    check: {any: [settled, {sql: "SELECT EXISTS (SELECT FROM notes WHERE body = 'settled')"}]}
fixtures:
"""
REVISION = '"""third"""\nrevision = "third"\ndown_revision = "second"\n\n\ndef upgrade():\n    pass\n'


@dataclass(frozen=True)
class Origin:
    """A project that was applied once, from which every example starts."""

    server: Server
    folder: Path
    database: str
    numbers: Iterator[int] = field(default_factory=count)


@dataclass
class World:
    """A copy of the project and of its database, as an example has changed them until now."""

    origin: Origin
    looks: Looks
    sessions: ExitStack
    names: list[str]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> str:
        return self.names[-1]

    def execute(self, statement: str) -> None:
        """Does it if that is possible in the state that things are in."""
        with psycopg.connect(self.origin.server.url(self.database), autocommit=True) as connection:
            connection.execute(
                "SELECT set_config('search_path', 'public', false), set_config('lock_timeout', '1s', false)"
            )
            with suppress(psycopg.Error):
                connection.execute(statement.encode())

    def move(self, statement: str) -> None:
        """Puts another database in place of the one there was."""
        self.sessions.close()
        name = f"{self.origin.database}_{next(self.origin.numbers)}"
        self.origin.server.execute(statement.format(old=self.database, origin=self.origin.database, new=name))
        self.names.append(name)
        self.looks = Looks(self.looks.folder, self.looks.url.rpartition("/")[0] + f"/{name}")

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.looks.folder / name
        if file.exists():
            file.write_text(file.read_text().replace(old, new))

    def apply(self, *options: str) -> None:
        self.sessions.close()
        self.looks.run("apply", *ENVIRONMENT, *options, **self.variables)

    def hold(self, statement: str) -> None:
        connection = self.sessions.enter_context(psycopg.connect(self.origin.server.url(self.database)))
        connection.execute("SET lock_timeout = '1s'")
        self.sessions.callback(connection.cancel)
        try:
            connection.execute(statement.encode())
        except psycopg.Error:
            connection.rollback()

    def log_in(self, role: str) -> None:
        address = self.looks.url.rpartition("@")[2]
        self.looks = Looks(self.looks.folder, f"postgresql://{role}:p@{address}")

    def log_in_as_before(self) -> None:
        self.looks = Looks(self.looks.folder, self.origin.server.url(self.database))

    def put_files_back(self) -> None:
        shutil.copytree(self.origin.folder, self.looks.folder, dirs_exist_ok=True)
        (self.looks.folder / "migrations/versions/third_.py").unlink(missing_ok=True)
        (self.looks.folder / "alembic.ini").unlink(missing_ok=True)
        (self.looks.folder / "own.env").unlink(missing_ok=True)


def run(statement: str) -> Callable[[World], object]:
    return lambda world: world.execute(statement)


def edit(name: str, old: str, new: str) -> Callable[[World], object]:
    return lambda world: world.edit(name, old, new)


def write(name: str, text: str) -> Callable[[World], object]:
    return lambda world: world.looks.write(text, name)


def set_variable(name: str, value: str) -> Callable[[World], object]:
    return lambda world: world.variables.__setitem__(name, value)


STEPS: dict[str, Callable[[World], object]] = {
    "apply": World.apply,
    "apply --record": lambda world: world.apply("--record"),
    "a drifted row": run("UPDATE tenants SET name = 'another'"),
    "the row as it was": run("UPDATE tenants SET name = 'Default of nowhere'"),
    "a row deleted": run("DELETE FROM prices WHERE code = 7"),
    "an undeclared row": run("INSERT INTO prices VALUES (500, 1)"),
    "a row that is not managed": run("INSERT INTO prices VALUES (5000, 1)"),
    "an unmanaged column": run("UPDATE prices SET kept = kept + 1"),
    "a table dropped": run("DROP TABLE notes"),
    "a table renamed": run("ALTER TABLE prices RENAME TO former"),
    "the table as it was": run("ALTER TABLE former RENAME TO prices"),
    "an index dropped": run("ALTER TABLE tenants DROP CONSTRAINT tenants_slug_key"),
    "a table in another schema": run("CREATE SCHEMA postgres; CREATE TABLE postgres.notes (body text)"),
    "another type": run("ALTER TABLE prices ALTER COLUMN price TYPE float8"),
    "the version behind": run("UPDATE alembic_version SET version_num = 'first'"),
    "the version ahead": run("UPDATE alembic_version SET version_num = 'third'"),
    "the version as it was": run("UPDATE alembic_version SET version_num = 'second'"),
    "no ledger": run("DROP SCHEMA bootstrapper CASCADE"),
    "no marks": run("DELETE FROM bootstrapper.digests; DELETE FROM bootstrapper.steps"),
    "rows that may not be seen": run("ALTER TABLE prices ENABLE ROW LEVEL SECURITY"),
    "another search_path": run(
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = postgres', current_database()); END$$"
    ),
    "a trigger on the ledger": run(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER t AFTER INSERT ON bootstrapper.meta FOR EACH ROW EXECUTE FUNCTION f()"
    ),
    "frozen": lambda world: world.looks.run("freeze", *ENVIRONMENT, "trial"),
    "an edited revision": edit("migrations/versions/second_.py", "later", "sooner"),
    "a renamed revision": edit("migrations/versions/second_.py", "revision = 'second'", "revision = 'zwei'"),
    "a new revision": write("migrations/versions/third_.py", REVISION),
    "alembic.ini": write("alembic.ini", "[alembic]\nversion_locations = migrations\n"),
    "an edited row": edit("prices.csv", "7,7.50", "7,8.50"),
    "a longer file": edit("prices.csv", "19,19.50\n", "19,19.50\n20,1\n"),
    "a missing file": lambda world: (world.looks.folder / "prices.csv").unlink(missing_ok=True),
    "an edited statement": edit("notes.sql", "('a')", "('b')"),
    "an edited default": edit("bootstrap.yaml", "Default of", "Standard of"),
    "a comment": edit("bootstrap.yaml", "fixtures:\n", "# ours\nfixtures:\n"),
    "a backup declared": edit("bootstrap.yaml", "  - uses: migrate\n", f"{BACKUP}  - uses: migrate\n"),
    "an edited overlay": write("here.yaml", "fixtures: {tenants: {rows: {default: {name: Overlaid}}}}\n"),
    "an edited plugin": edit("plugins/settled.py", "IS_SETTLED = True", "IS_SETTLED = False"),
    "a plugin removed": lambda world: (world.looks.folder / "plugins/settled.py").unlink(missing_ok=True),
    "the files as they were": World.put_files_back,
    "another greeting": set_variable("GREETING", "ahoy"),
    "another place": set_variable("PLACE", "somewhere"),
    "options of the session": set_variable("PGOPTIONS", "-c search_path=postgres"),
    "an env file": write("own.env", "GREETING=moin\n"),
    "no env file": lambda world: (world.looks.folder / "own.env").unlink(missing_ok=True),
    "no variables": lambda world: world.variables.clear(),
    "a role that reads": lambda world: world.log_in("agree_reader"),
    "a role that writes": lambda world: world.log_in("agree_writer"),
    "the role as it was": World.log_in_as_before,
    "a backup restored": lambda world: world.move('CREATE DATABASE "{new}" TEMPLATE "{origin}"'),
    "a copied database": lambda world: world.move('CREATE DATABASE "{new}" TEMPLATE "{old}"'),
    "a renamed database": lambda world: world.move('ALTER DATABASE "{old}" RENAME TO "{new}"'),
    "an empty database": lambda world: world.move('CREATE DATABASE "{new}"'),
    "the lock held": lambda world: world.hold("SELECT FROM bootstrapper.lock FOR UPDATE"),
    "a row locked": lambda world: world.hold("SELECT FROM tenants FOR UPDATE"),
}


@pytest.fixture(scope="module")
def origin(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    name = f"agree_{os.getpid()}"
    server.create_database(name)
    looks = Looks(tmp_path_factory.mktemp("origin"), server.url(name))
    text = BOOTSTRAP.replace("name: trial\n", "name: trial\nplugins: [./plugins]\nenv_files: [own.env?]\n").replace(
        "fixtures:\n  tenants", f"{SETTLED}  tenants"
    )
    text = text.replace(BACKUP, "").replace("  - uses: wait\n", "  - uses: wait\n    with: {timeout: 2s}\n")
    write_project(looks, text)
    looks.write(PLUGIN, "plugins/settled.py")
    looks.apply()
    for role, rights in (("agree_reader", "SELECT"), ("agree_writer", "ALL")):
        server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
        server.execute(f"GRANT USAGE ON SCHEMA bootstrapper, public TO {role}", name)
        server.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}", name)
        server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}", name)
    yield Origin(server, looks.folder, name)
    server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    for role in ("agree_reader", "agree_writer"):
        server.execute(f"DROP ROLE {role}")


def try_steps(origin: Origin, folder: Path, steps: Sequence[str]) -> Counter[str]:
    """Compares after each step; returns how often the quick look answered which command."""
    shutil.copytree(origin.folder, folder)
    answered = Counter[str]()
    with ExitStack() as sessions:
        world = World(origin, Looks(folder, ""), sessions, [origin.database])
        STEPS["a backup restored"](world)
        world.log_in_as_before()
        try:
            for step in ["a row deleted", "apply", *steps]:
                STEPS[step](world)
                quick = world.looks.quick(**world.variables)
                if quick is not None:
                    answered["apply"] += 1
                    assert world.looks.ordinary(**world.variables) == (0, quick), step
                for reader in READERS:
                    if world.looks.is_quick(reader, **world.variables):
                        answered[reader] += 1
                        assert world.looks.reads(reader, **world.variables) == (0, "", ""), (reader, step)
        finally:
            world.sessions.close()
            for name in world.names[1:]:
                origin.server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    return answered


OFTEN = [*STEPS, *(["apply", "apply --record", "the files as they were", "no variables", "the role as it was"] * 2)]
EXAMPLES = os.environ.get("BOOTSTRAPPER_QUICK_EXAMPLES")


@settings(
    max_examples=int(EXAMPLES or 25),
    deadline=None,
    derandomize=EXAMPLES is None,
    database=None,
    phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(st.sampled_from(OFTEN), min_size=3, max_size=8))
def test_the_quick_look_never_disagrees_with_an_ordinary_run(
    origin: Origin, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    try_steps(origin, tmp_path_factory.mktemp("copy") / "project", steps)


def test_it_answers_after_an_edit_that_was_recorded(origin: Origin, tmp_path: Path) -> None:
    """At the beginning, after each run that recorded, and where files are again as they were at an earlier record."""
    steps = ["a comment", "apply", "apply --record", "an env file", "a row deleted", "apply", "no env file"]
    assert try_steps(origin, tmp_path / "project", steps) == dict.fromkeys(("apply", *READERS), 4)


def test_it_answers_again_once_everything_is_as_it_was(origin: Origin, tmp_path: Path) -> None:
    """Else there would be nothing that the two could disagree about."""
    steps = ["a drifted row", "the row as it was", "an edited row", "the files as they were", "a renamed database"]
    assert try_steps(origin, tmp_path / "project", [*steps, "a row deleted", "apply"]) == dict.fromkeys(
        ("apply", *READERS), 5
    )
