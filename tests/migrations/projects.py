"""Small Alembic projects, written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ENV = """
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

PASS = "pass"


def write_env(directory: Path, text: str = ENV) -> None:
    folder = directory / "migrations"
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "env.py").write_text(text)


def write_revision(
    directory: Path,
    name: str,
    down: str | Sequence[str] | None = None,
    *,
    upgrade: str = PASS,
    labels: Sequence[str] = (),
    depends: Sequence[str] = (),
    folder: str = "migrations/versions",
) -> Path:
    """One line of `upgrade` is a statement of Python, indented by four."""
    body = "\n".join(f"    {line}" for line in upgrade.strip().splitlines())
    down = tuple(down) if isinstance(down, list | tuple) else down
    file = directory / folder / f"{name}_.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'"""Step {name}\n\nRevision ID: {name}\nRevises: {down}\n"""\n'
        "import sqlalchemy as sa\nfrom alembic import op\n\n"
        f"revision = {name!r}\ndown_revision = {down!r}\n"
        f"branch_labels = {tuple(labels) or None!r}\ndepends_on = {tuple(depends) or None!r}\n\n\n"
        f"def upgrade():\n{body}\n\n\ndef downgrade():\n    pass\n"
    )
    return file


def create_table(name: str) -> str:
    return f'op.execute("CREATE TABLE {name} (id integer)")'
