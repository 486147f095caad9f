"""Settings

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None


def upgrade():
    schema = context.get_x_argument(as_dictionary=True)["schema"]
    op.create_table(
        "settings", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text), schema=schema
    )


def downgrade():
    schema = context.get_x_argument(as_dictionary=True)["schema"]
    op.drop_table("settings", schema=schema)
