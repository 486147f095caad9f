"""The table as SQLAlchemy's ORM knows it, and the rows of the CSV file with Python's types."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, DateTime, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = "postgresql+psycopg://"
"""Address and password are in libpq's variables."""


class Base(DeclarativeBase):
    """Holds the metadata."""


class Product(Base):
    __tablename__ = "products"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    code: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    stock: Mapped[int | None]
    active: Mapped[bool]
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB)


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            yield {
                "id": int(row["id"]),
                "code": row["code"],
                "name": row["name"],
                "price": Decimal(row["price"]),
                "stock": int(row["stock"]) if row["stock"] else None,
                "active": row["active"] == "true",
                "updated_at": datetime.fromisoformat(row["updated_at"]),
                "attributes": json.loads(row["attributes"]),
            }
