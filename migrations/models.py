"""The sample application's tables: the database of a multi-tenant RAG backend.

Every key is a UUID that the server makes, every time carries its zone, and a tenant takes its own data with it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Model(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Text(), datetime: DateTime(timezone=True)}  # noqa: RUF012 - SQLAlchemy's own name

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid(), sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=1)


class Changing:
    """Rows that change after they were made."""

    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now(), sort_order=2)


class Tenant(Changing, Model):
    __tablename__ = "tenants"

    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)


class User(Changing, Model):
    """Somebody who logs in; a superadmin belongs to no tenant."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('superadmin', 'tenant_admin', 'user')", name="role"),)

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="user")
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    password_hash: Mapped[str]


class Document(Changing, Model):
    """A file that a tenant uploaded to be searched."""

    __tablename__ = "documents"
    __table_args__ = (
        CheckConstraint("status IN ('uploaded', 'processing', 'ready', 'failed')", name="status"),
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        Index(None, "tenant_id", "created_at"),
        Index("ix_documents_unfinished", "status", "created_at", postgresql_where=text("status <> 'ready'")),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    uploaded_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    title: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="uploaded")
    mime_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class SocialLink(Model):
    """A public page of a tenant that is read along with its documents."""

    __tablename__ = "social_links"
    __table_args__ = (UniqueConstraint("tenant_id", "url"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    platform: Mapped[str]
    url: Mapped[str]


class Chat(Changing, Model):
    """One assistant that a tenant has set up."""

    __tablename__ = "chats"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    name: Mapped[str]
    instructions: Mapped[str] = mapped_column(server_default="")


class Session(Changing, Model):
    """One conversation with an assistant; anonymous where it has no user."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "chat_id", "created_at"),)

    chat_id: Mapped[UUID] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    title: Mapped[str] = mapped_column(server_default="")


class Message(Model):
    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("role IN ('system', 'user', 'assistant')", name="role"),
        Index(None, "session_id", "created_at"),
    )

    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    role: Mapped[str]
    content: Mapped[str]
