"""Passes the rows of a file of JSON lines to a temporary table, and runs one statement that compares or writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

CREATE = "CREATE TEMPORARY TABLE declared (LIKE {}) ON COMMIT DROP"
COPY = "COPY declared ({}) FROM STDIN"


def main() -> None:
    file, table, statement = sys.argv[1:]
    with psycopg.connect() as connection, Path(file).open(encoding="utf-8") as lines:
        connection.execute(sql.SQL(CREATE).format(sql.Identifier(table)))
        rows = (json.loads(line) for line in lines)
        row = next(rows)
        columns = sql.SQL(", ").join(map(sql.Identifier, row))
        with connection.cursor().copy(sql.SQL(COPY).format(columns)) as copy:
            copy.write_row(values(row))
            for row in rows:
                copy.write_row(values(row))
        connection.execute("ANALYZE declared")
        connection.execute(statement.encode())


def values(row: dict[str, object]) -> list[object]:
    return [Jsonb(value) if isinstance(value, dict | list) else value for value in row.values()]


if __name__ == "__main__":
    main()
