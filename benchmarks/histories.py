"""Generated histories of any length, the same for every tool: tables, columns added to them, indexes on them."""

from __future__ import annotations

from pathlib import Path

ALEMBIC_ENV = """import os

from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config

connectable = engine_from_config(config.get_section(config.config_ini_section, {}), poolclass=pool.NullPool)
with connectable.connect() as connection:
    each = "TRANSACTION_PER_MIGRATION" in os.environ
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=each)
    with context.begin_transaction():
        context.run_migrations()
"""
ALEMBIC_REVISION = '''"""{message}

Revision ID: {revision}
Revises: {down}
Create Date: 2025-01-01 12:00:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision: str = {revision!r}
down_revision: Union[str, Sequence[str], None] = {down!r}
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    """Upgrade schema."""
    {upgrade}


def downgrade() -> None:
    """Downgrade schema."""
    {downgrade}
'''
BOOTSTRAP = """version: 1
name: benchmark

database:
  url: ${DATABASE_URL}

steps:
  - uses: wait
  - uses: lock
  - uses: migrate
    check: {revision: head}
"""
DJANGO_SETTINGS = """SECRET_KEY = "benchmark"
INSTALLED_APPS = ["shop"]
DATABASES = {{"default": {database}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
DJANGO_MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):

    initial = {initial}

    dependencies = {dependencies}

    operations = [
        {operation},
    ]
"""


def write_alembic(folder: Path, length: int, url: str) -> None:
    """An Alembic project as `alembic init` and `alembic revision` would make it, with a bootstrap.yaml beside it."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    address = url.replace("postgresql://", "postgresql+psycopg://").replace("%", "%%")
    (folder / "alembic.ini").write_text(
        f"[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = {address}\n"
    )
    (folder / "bootstrap.yaml").write_text(BOOTSTRAP)
    (folder / "migrations" / "env.py").write_text(ALEMBIC_ENV)
    for number in range(length):
        message, upgrade, downgrade = _alembic(number)
        revision, down = _identifier(number), _identifier(number - 1) if number else None
        text = ALEMBIC_REVISION.format(
            message=message, revision=revision, down=down, upgrade=upgrade, downgrade=downgrade
        )
        (versions / f"{revision}_{message.replace(' ', '_')}.py").write_text(text)


def write_dbmate(folder: Path, length: int) -> None:
    folder.mkdir(parents=True)
    for number in range(length):
        name = f"{20250101000000 + number}_{_message(number).replace(' ', '_')}.sql"
        (folder / name).write_text(f"-- migrate:up\n{_statement(number)};\n\n-- migrate:down\n")


def write_yoyo(folder: Path, length: int) -> None:
    folder.mkdir(parents=True)
    previous = ""
    for number in range(length):
        name = f"{number + 1:04}-{_message(number).replace(' ', '-')}"
        depends = f"-- depends: {previous}\n\n" if previous else ""
        (folder / f"{name}.sql").write_text(f"{depends}{_statement(number)};\n")
        previous = name


def write_sqitch(folder: Path, length: int) -> None:
    """A project of changes that are deployed without verifying, as those of the others are."""
    deploy = folder / "deploy"
    deploy.mkdir(parents=True)
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
    plan = "%syntax-version=1.0.0\n%project=things\n\n"
    for number in range(length):
        name = _message(number).replace(" ", "_")
        plan += f"{name} 2025-01-01T12:00:00Z A Person <person@example.org>\n"
        (deploy / f"{name}.sql").write_text(f"BEGIN;\n{_statement(number)};\nCOMMIT;\n")
    (folder / "sqitch.plan").write_text(plan)


def write_psql(folder: Path, length: int) -> None:
    """All statements in one script, for a table that is missing: the least that any tool can do."""
    folder.mkdir(parents=True)
    statements = "".join(f"{_statement(number)};\n" for number in range(length))
    missing = "SELECT to_regclass('things_0') IS NULL AS missing \\gset"
    (folder / "all.sql").write_text(f"{missing}\n\\if :missing\n{statements}\\endif\n")


def write_django(folder: Path, length: int, database: dict[str, str]) -> None:
    """A Django project with one application."""
    migrations = folder / "shop" / "migrations"
    migrations.mkdir(parents=True)
    (folder / "settings.py").write_text(DJANGO_SETTINGS.format(database=database))
    for package in (folder / "shop", migrations):
        (package / "__init__.py").touch()
    previous = None
    for number in range(length):
        name = f"{number + 1:04}_{_message(number).replace(' ', '_')}"
        dependencies = [("shop", previous)] if previous else []
        text = DJANGO_MIGRATION.format(initial=number == 0, dependencies=dependencies, operation=_django(number))
        (migrations / f"{name}.py").write_text(text)
        previous = name


def _identifier(number: int) -> str:
    return f"{number * 2654435761 % 2**32:08x}{number:04x}"


def _message(number: int) -> str:
    return f"{('create', 'extend', 'index')[number % 3]} things {number // 3}"


def _statement(number: int) -> str:
    table = f"things_{number // 3}"
    if number % 3 == 0:
        columns = "id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name VARCHAR(80) NOT NULL"
        return f"CREATE TABLE {table} ({columns}, created_at TIMESTAMPTZ NOT NULL)"
    if number % 3 == 1:
        return f"ALTER TABLE {table} ADD COLUMN note TEXT"
    return f"CREATE INDEX {table}_name ON {table} (name)"


def _alembic(number: int) -> tuple[str, str, str]:
    table = f"things_{number // 3}"
    if number % 3 == 0:
        columns = (
            'sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True)',
            'sa.Column("name", sa.String(80), nullable=False)',
            'sa.Column("created_at", sa.DateTime(timezone=True), nullable=False)',
        )
        inner = "".join(f"\n        {column}," for column in columns)
        return _message(number), f'op.create_table(\n        "{table}",{inner}\n    )', f'op.drop_table("{table}")'
    if number % 3 == 1:
        column = 'sa.Column("note", sa.Text(), nullable=True)'
        return _message(number), f'op.add_column("{table}", {column})', f'op.drop_column("{table}", "note")'
    return _message(number), f'op.create_index("{table}_name", "{table}", ["name"])', f'op.drop_index("{table}_name")'


def _django(number: int) -> str:
    model = f"Things{number // 3}"
    if number % 3 == 0:
        fields = (
            '("id", models.BigAutoField(primary_key=True))',
            '("name", models.CharField(max_length=80))',
            '("created_at", models.DateTimeField())',
        )
        options = f'options={{"db_table": "things_{number // 3}"}}'
        return f'migrations.CreateModel(name="{model}", fields=[{", ".join(fields)}], {options})'
    if number % 3 == 1:
        return f'migrations.AddField("{model}", "note", models.TextField(null=True))'
    index = f'models.Index(fields=["name"], name="things_{number // 3}_name")'
    return f'migrations.AddIndex("{model}", {index})'
