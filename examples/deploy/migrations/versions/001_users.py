"""Create users, which the application's role may read

Revision ID: 001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("email", sa.Text, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
    )
    op.execute("GRANT SELECT ON users, alembic_version TO app_reader")


def downgrade() -> None:
    op.drop_table("users")
