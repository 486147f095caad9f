"""Seeds a CSV file as most hand-written scripts do: each row is looked for by its code, and added if it is missing."""

from __future__ import annotations

import sys
from pathlib import Path

from model import URL, Product, read_rows
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session


def main() -> None:
    with Session(create_engine(URL)) as session:
        for row in read_rows(Path(sys.argv[1])):
            if session.scalar(select(Product).where(Product.code == row["code"])) is None:
                session.add(Product(**row))
        session.commit()


if __name__ == "__main__":
    main()
