"""Alembic's way to the sample application's database.

The address is `sqlalchemy.url` where the caller has set it, as bootstrapper does, else the variable DATABASE_URL.
"""

from __future__ import annotations

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import URL, create_engine, make_url, pool

from migrations.models import Model

DRIVER = "psycopg"
NEEDS_EVENT_LOOP = {"asyncpg", "psycopg_async"}


def database_url() -> URL:
    text = context.config.get_alembic_option("sqlalchemy.url", "") or os.environ.get("DATABASE_URL")
    if not text:
        raise CommandError("DATABASE_URL is not set; run: export DATABASE_URL=$(bootstrapper dev url)")
    scheme, _, rest = text.partition("://")
    driver = scheme.partition("+")[2]
    if not driver or driver in NEEDS_EVENT_LOOP:
        driver = DRIVER
    return make_url(f"postgresql+{driver}://{rest}")


def include_name(name: str | None, type_: str, parent_names: object) -> bool:
    """Keeps bootstrapper's own tables out of autogenerate, in the schema where they carry a prefix."""
    return not (type_ == "table" and name is not None and name.startswith("bootstrapper_"))


def run_offline() -> None:
    context.configure(
        url=database_url(),
        target_metadata=Model.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        include_name=include_name,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    engine = create_engine(database_url(), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Model.metadata,
            compare_server_default=True,
            include_name=include_name,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
