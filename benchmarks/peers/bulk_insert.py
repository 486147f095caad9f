"""Loads a CSV file through SQLAlchemy Core, 10,000 rows an INSERT with many parameters; it knows no second run."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from model import URL, Product, read_rows
from sqlalchemy import create_engine, insert

BATCH = 10_000


def main() -> None:
    rows = read_rows(Path(sys.argv[1]))
    with create_engine(URL).begin() as connection:
        while batch := list(islice(rows, BATCH)):
            connection.execute(insert(Product), batch)


if __name__ == "__main__":
    main()
