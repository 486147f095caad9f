"""Tenants, users, documents, social links, chats, sessions and messages

Revision ID: 001_initial
Revises:
Create Date: 2025-01-01 00:00:00+00:00
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "001_initial"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    create_tenants()
    create_users()
    create_documents()
    create_social_links()
    create_chats()
    create_sessions()
    create_messages()


def downgrade() -> None:
    for table in ("messages", "sessions", "chats", "social_links", "documents", "users", "tenants"):
        op.drop_table(table)


def create_tenants() -> None:
    op.create_table(
        "tenants",
        key(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("slug", name="uq_tenants_slug"),
    )


def create_users() -> None:
    op.create_table(
        "users",
        key(),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="user", nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=False),
        time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.CheckConstraint("role IN ('superadmin', 'tenant_admin', 'user')", name=op.f("ck_users_role")),
        belonging("users", "tenant_id", "tenants"),
    )
    op.create_index("ix_users_tenant_id", "users", ["tenant_id"])


def create_documents() -> None:
    op.create_table(
        "documents",
        key(),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("uploaded_by", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="uploaded", nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
        sa.CheckConstraint("status IN ('uploaded', 'processing', 'ready', 'failed')", name=op.f("ck_documents_status")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_documents_size_bytes")),
        belonging("documents", "tenant_id", "tenants"),
        mentioning("documents", "uploaded_by", "users"),
    )
    op.create_index("ix_documents_tenant_id_created_at", "documents", ["tenant_id", "created_at"])
    op.create_index("ix_documents_uploaded_by", "documents", ["uploaded_by"])
    unfinished = sa.text("status <> 'ready'")
    op.create_index("ix_documents_unfinished", "documents", ["status", "created_at"], postgresql_where=unfinished)


def create_social_links() -> None:
    op.create_table(
        "social_links",
        key(),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        time("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_social_links"),
        sa.UniqueConstraint("tenant_id", "url", name="uq_social_links_tenant_id_url"),
        belonging("social_links", "tenant_id", "tenants"),
    )


def create_chats() -> None:
    op.create_table(
        "chats",
        key(),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("instructions", sa.Text(), server_default="", nullable=False),
        time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_chats"),
        belonging("chats", "tenant_id", "tenants"),
        mentioning("chats", "created_by", "users"),
    )
    op.create_index("ix_chats_tenant_id", "chats", ["tenant_id"])
    op.create_index("ix_chats_created_by", "chats", ["created_by"])


def create_sessions() -> None:
    op.create_table(
        "sessions",
        key(),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        belonging("sessions", "chat_id", "chats"),
        mentioning("sessions", "user_id", "users"),
    )
    op.create_index("ix_sessions_chat_id_created_at", "sessions", ["chat_id", "created_at"])
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])


def create_messages() -> None:
    op.create_table(
        "messages",
        key(),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        time("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.CheckConstraint("role IN ('system', 'user', 'assistant')", name=op.f("ck_messages_role")),
        belonging("messages", "session_id", "sessions"),
    )
    op.create_index("ix_messages_session_id_created_at", "messages", ["session_id", "created_at"])


def key() -> sa.Column[Any]:
    return sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)


def time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def belonging(table: str, column: str, owner: str) -> sa.ForeignKeyConstraint:
    """The row goes when its owner goes."""
    name = f"fk_{table}_{column}_{owner}"
    return sa.ForeignKeyConstraint([column], [f"{owner}.id"], name=name, ondelete="CASCADE")


def mentioning(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """The row outlives what it mentions."""
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="SET NULL")
