"""Runs each example of docs/how-to/custom-migration-commands.md on a project that needs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.cli.project import Project
from tests.migrations.projects import ENV, create_table, write_env, write_revision

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "custom-migration-commands.md"
HEAD = 'version: 1\nname: shop\ndatabase: {url: "${DATABASE_URL}"}\nsteps:\n'

FLASK = """
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
    db.init_app(app)
    Migrate(app, db)
    return app
"""
ANYIO = """
import anyio
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine


def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    url = context.config.get_main_option("sqlalchemy.url").replace("+psycopg:", "+psycopg_async:")
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)


anyio.from_thread.run(main)
"""
CONFIGURED = ENV.replace('context.config.get_main_option("sqlalchemy.url")', "context.config.shop_config.url")
CONFIG = """
import os


class CONF:
    url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
"""
FROM_THE_ENVIRONMENT = "from shop.config import CONF\n" + CONFIGURED.replace("context.config.shop_config", "CONF")
MODELS = """
from sqlalchemy import Column, Integer
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class B(Base):
    __tablename__ = "b"
    id = Column(Integer, primary_key=True)
"""
HANDED_OVER = """
from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("no connection")
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def block(kind: str, having: str) -> str:
    [found] = [text for text in blocks(kind) if having in text]
    return found


@pytest.fixture
def shop(tmp_path: Path, database: str) -> Project:
    """A project with the wrapper's bootstrap.yaml and two revisions."""
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade=create_table("a"))
    write_revision(tmp_path, "second", "first", upgrade=create_table("b"))
    project = Project(tmp_path, database)
    project.write(HEAD + block("yaml", "script_location: bootstrap"))
    return project


def wrap(shop: Project, having: str) -> None:
    (shop.folder / "bootstrap").mkdir()
    (shop.folder / "bootstrap" / "env.py").write_text(block("python", having))


def write_module(shop: Project, name: str, text: str) -> None:
    (shop.folder / "shop").mkdir()
    (shop.folder / "shop" / "__init__.py").touch()
    (shop.folder / "shop" / f"{name}.py").write_text(text)


def require_migrated(shop: Project) -> None:
    planned = shop.run("plan")
    assert planned.returncode == 0, planned.stderr
    assert "revision second" in planned.stdout
    assert "Alembic reads the revisions" not in planned.stderr
    applied = shop.run("apply")
    assert applied.returncode == 0, applied.stderr
    again = shop.run("apply")
    assert "nothing to do" in again.stdout + again.stderr
    assert versions(shop) == ["second"]


def versions(shop: Project) -> list[str]:
    with psycopg.connect(shop.url) as connection:
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]


def test_a_flask_application(shop: Project) -> None:
    shutil.rmtree(shop.folder / "migrations")
    (shop.folder / "shop.py").write_text(FLASK)
    init = [sys.executable, "-m", "flask", "--app", "shop", "db", "init"]
    subprocess.run(init, cwd=shop.folder, env=shop.variables(), check=True, capture_output=True)
    write_revision(
        shop.folder, "first", upgrade="op.create_table('item', sa.Column('id', sa.Integer, primary_key=True))"
    )
    write_revision(shop.folder, "second", "first", upgrade=create_table("b"))
    wrap(shop, "app_context")
    text = (shop.folder / "bootstrap.yaml").read_text()
    shop.write(text.replace("script_location", "config: migrations/alembic.ini\n    script_location"))
    require_migrated(shop)
    shown = shop.run("plan", "--sql")
    assert shown.returncode == 0
    (shop.folder / "bootstrap" / "script.py.mako").symlink_to("../migrations/script.py.mako")
    made = shop.run("revision", "From the models", "--autogenerate")
    assert made.returncode == 0, made.stderr
    written = Path(made.stdout.strip())
    assert written.parent == shop.folder / "migrations" / "versions"
    assert "op.drop_table('b')" in written.read_text()


def test_a_worker_thread_of_anyio(shop: Project) -> None:
    write_env(shop.folder, ANYIO)
    wrap(shop, "to_thread")
    require_migrated(shop)


def test_a_configuration_object(shop: Project) -> None:
    write_env(shop.folder, CONFIGURED)
    write_module(shop, "config", CONFIG)
    wrap(shop, "shop_config")
    require_migrated(shop)


def test_a_connection_that_is_handed_over(shop: Project) -> None:
    write_env(shop.folder, HANDED_OVER)
    wrap(shop, 'attributes["connection"]')
    require_migrated(shop)


def test_an_error_in_the_env_py_inside_has_its_place(shop: Project) -> None:
    write_env(shop.folder, "\nraise RuntimeError('no luck')\n")
    wrap(shop, 'attributes["connection"]')
    failed = shop.run("apply")
    assert failed.returncode == 1
    assert "RuntimeError: no luck (migrations/env.py:2)" in failed.stderr


def test_the_projects_command_itself(shop: Project) -> None:
    text = block("yaml", "db, upgrade").replace("9445ce34fc23", "second")
    shop.write(HEAD + text.replace("shop, db, upgrade", f"{sys.executable}, -m, alembic, upgrade, head"))
    (shop.folder / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    write_module(shop, "config", CONFIG)
    write_env(shop.folder, FROM_THE_ENVIRONMENT)
    applied = shop.run("apply")
    assert applied.returncode == 0, applied.stderr
    assert versions(shop) == ["second"]
    again = shop.run("apply")
    assert "nothing to do" in again.stdout + again.stderr


def test_tables_first_and_revisions_later(shop: Project) -> None:
    write_env(shop.folder)
    write_revision(shop.folder, "first", upgrade="raise RuntimeError('only on a database of last year')")
    write_module(shop, "models", MODELS)
    (shop.folder / "create.py").write_text(block("python", "create_all"))
    url = shop.url.replace("postgresql:", "postgresql+psycopg:").replace("%", "%%")
    (shop.folder / "alembic.ini").write_text(f"[alembic]\nscript_location = migrations\nsqlalchemy.url = {url}\n")
    text = block("yaml", "name: create").replace("[python, create.py]", f"[{sys.executable}, create.py]")
    shop.write(HEAD + text)
    applied = shop.run("apply")
    assert applied.returncode == 0, applied.stderr
    assert versions(shop) == ["second"]
    again = shop.run("apply")
    assert "nothing to do" in again.stdout + again.stderr
    write_revision(shop.folder, "third", "second", upgrade=create_table("c"))
    later = shop.run("apply")
    assert later.returncode == 0, later.stderr
    assert versions(shop) == ["third"]
