"""Compares a CSV file with the table by its own types, through a temporary table; exits with 1 if any row differs."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

CREATE = "CREATE TEMPORARY TABLE declared (LIKE products) ON COMMIT DROP"
COPY = "COPY declared FROM STDIN WITH (FORMAT csv, HEADER)"
COUNT = """
SELECT count(*)
FROM declared AS d LEFT JOIN products AS t ON t.id = d.id
WHERE t.id IS NULL
    OR t.code IS DISTINCT FROM d.code
    OR t.name IS DISTINCT FROM d.name
    OR t.price IS DISTINCT FROM d.price
    OR t.stock IS DISTINCT FROM d.stock
    OR t.active IS DISTINCT FROM d.active
    OR t.updated_at IS DISTINCT FROM d.updated_at
    OR t.attributes IS DISTINCT FROM d.attributes
"""
CHUNK_BYTES = 256 * 1024


def main() -> int:
    with psycopg.connect() as connection, Path(sys.argv[1]).open("rb") as file:
        connection.execute(CREATE)
        with connection.cursor().copy(COPY) as copy:
            while chunk := file.read(CHUNK_BYTES):
                copy.write(chunk)
        (found,) = connection.execute(COUNT).fetchone() or (None,)
    return 0 if found == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
