"""Tests of revisions that open a second connection, which sees other data than with plain Alembic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from bootstrapper.events import Warned
from bootstrapper.migrations.history import connections
from bootstrapper.migrations.history.revisions import read_revision
from bootstrapper.plans import Finding
from bootstrapper.plugin.context import Context
from tests.migrations.contexts import Trial, trial
from tests.migrations.projects import ENV, create_table, write_env, write_revision
from tests.servers import Server

CONSTRAINED = "op.execute('CREATE TABLE a (id integer CONSTRAINT odd UNIQUE)')"
DROPS_WHAT_IT_SEES = """
found = sa.inspect(op.get_bind().engine)
for constraint in found.get_unique_constraints('a') if found.has_table('a') else []:
    op.drop_constraint(constraint['name'], 'a')
"""
CONSTRAINTS = "SELECT count(*) FROM pg_constraint WHERE conname = 'odd'"
ONE = {"script_location": "migrations", "transaction_per_migration": False}


def constraints(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(CONSTRAINTS).fetchone()
    assert row is not None
    return int(row[0])


def findings(migrate: Trial) -> list[Finding]:
    with migrate.context.session.read_only():
        return list(migrate.step.findings(Context(migrate.context), migrate.step.changes(Context(migrate.context))))


def test_a_revision_sees_only_committed_changes_as_under_plain_alembic(
    tmp_path: Path, server: Server, database: str
) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=CONSTRAINED)
    write_revision(tmp_path, "second", "first", upgrade=DROPS_WHAT_IT_SEES)
    url = database.replace("postgresql://", "postgresql+psycopg://").replace("%", "%%")
    (tmp_path / "alembic.ini").write_text(f"[alembic]\nscript_location = migrations\nsqlalchemy.url = {url}\n")
    alone = [sys.executable, "-m", "alembic", "upgrade", "head"]
    subprocess.run(alone, cwd=tmp_path, check=True, capture_output=True)
    assert constraints(database) == 1
    for options, expected in ((ONE, 1), ({"script_location": "migrations"}, 0)):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP TABLE a, alembic_version; DROP SCHEMA IF EXISTS bootstrapper CASCADE")
        with trial(tmp_path, database, **options) as migrate:
            migrate.apply()
        assert constraints(database) == expected


def test_a_second_connection_is_a_finding_unless_there_is_one_transaction(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=CONSTRAINED)
    file = write_revision(tmp_path, "second", "first", upgrade=DROPS_WHAT_IT_SEES)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if ".engine" in text)
    with trial(tmp_path, database, **ONE) as migrate:
        assert findings(migrate) == []
    with trial(tmp_path, database, script_location="migrations") as migrate:
        [found] = findings(migrate)
        assert found.target == "revision second"
        assert found.message.startswith("uses a second connection")
        assert found.message.endswith(f"(op.get_bind().engine, line {line})")
        assert "transaction_per_migration: false" in found.remedy
        migrate.apply()
        assert warned_of(migrate) == ["second"]
        assert findings(migrate) == []


def warned_of(migrate: Trial) -> list[str]:
    messages = [event.message for event in migrate.events if isinstance(event, Warned)]
    return [message.split()[1] for message in messages if "uses a second connection" in message]


HELPER = """
import os
import sqlalchemy as sa


def tables():
    engine = sa.create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))
    for _ in range(3):
        with engine.connect() as connection:
            print(sorted(sa.inspect(connection).get_table_names()))
    engine.dispose()
"""


def test_a_second_connection_opened_by_a_helper_is_a_warning_of_the_run(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    (tmp_path / "helper.py").write_text(HELPER)
    looks = "from helper import tables\ntables()"
    write_revision(tmp_path, "first", upgrade=f"{looks}\n{create_table('a')}")
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    write_revision(tmp_path, "third", "second", upgrade=looks)
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert findings(migrate) == []
        migrate.apply()
        assert warned_of(migrate) == ["third"], "before the first one nothing is uncommitted in either way"
        assert migrate.lines[-1] == "['a', 'alembic_version', 'b']"


def test_a_second_connection_is_not_warned_about_in_one_transaction(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    (tmp_path / "helper.py").write_text(HELPER)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade="from helper import tables\ntables()")
    with trial(tmp_path, database, **ONE) as migrate:
        migrate.apply()
        assert warned_of(migrate) == []
        assert migrate.lines[-1] == "[]"


def test_a_second_connection_of_env_py_is_not_warned_about(tmp_path: Path, database: str) -> None:
    opens = "    with engine.connect() as other:\n        other.exec_driver_sql('SELECT 1')\n    context.configure"
    write_env(tmp_path, ENV.replace("    context.configure", opens))
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    with trial(tmp_path, database, script_location="migrations") as migrate:
        migrate.apply()
        assert warned_of(migrate) == []


def test_a_second_connection_of_the_first_pending_revision_is_not_warned_about(tmp_path: Path, database: str) -> None:
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=DROPS_WHAT_IT_SEES)
    write_revision(tmp_path, "second", "first")
    with trial(tmp_path, database, script_location="migrations") as migrate:
        assert findings(migrate) == []


def found_in(folder: Path, text: str) -> list[Finding]:
    file = write_revision(folder, "second", "first")
    file.write_text(file.read_text() + text)
    return connections.findings([read_revision(write_revision(folder, "first")), read_revision(file)])


@pytest.mark.parametrize(
    "text",
    [
        "bind = op.get_bind()\nsa.inspect(bind.engine)\n",
        "engine = op.get_bind().engine\n",
        "Inspector.from_engine(connection.engine)\n",
        "with op.get_context().bind.engine.connect() as other:\n    pass\n",
        "engine = sa.create_engine(op.get_bind().url)\n",
        "engine = engine_from_config(section)\n",
        "from app.db import engine\n\n\ndef upgrade():\n    sa.inspect(engine)\n",
        "from app.db import SessionLocal\n\n\ndef upgrade():\n    with SessionLocal() as session:\n        pass\n",
        "from app import get_engine as connect\n\n\ndef upgrade():\n    connect()\n",
        "from shop import db\n\n\ndef upgrade():\n    find_constraint('a', ['b'], 'c', db)\n",
        "from shop import db\n\n\ndef upgrade():\n    find_constraint('a', database=db)\n",
        "from shop import db\n\n\ndef upgrade():\n    db.session.query(Item).all()\n",
        "from flask import current_app\ncurrent_app.extensions['migrate'].db.engine.connect()\n",
    ],
)
def test_an_engine_is_recognised(tmp_path: Path, text: str) -> None:
    [found] = found_in(tmp_path, text)
    assert found.target == "revision second"


@pytest.mark.parametrize(
    "text",
    [
        "engine = op.get_bind()\nsa.inspect(engine)\nsa.engine.reflection.Inspector.from_engine(engine)\n",
        "if op.get_bind().engine.name == 'postgresql':\n    pass\n",
        "dialect = op.get_bind().engine.dialect\n",
        "import sqlalchemy\nsqlalchemy.engine.url.make_url('x')\n",
        "from sqlalchemy import engine\nengine.make_url('x')\n",
        "op.add_column('cars', sa.Column('engine', sa.Text))\n",
        "from app.db import engine\n",
        "from shop import db\n\n\ndef upgrade():\n    session = db.Session(bind=op.get_bind())\n",
        "# bind.engine\n",
        "def broken(:\n    bind.engine\n",
    ],
)
def test_other_uses_of_the_word_are_not_an_engine(tmp_path: Path, text: str) -> None:
    first = read_revision(write_revision(tmp_path, "first"))
    file = write_revision(tmp_path, "second", "first")
    second = read_revision(file)
    file.write_text(file.read_text() + text)
    assert connections.findings([first, second]) == []
