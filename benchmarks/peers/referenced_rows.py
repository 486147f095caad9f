"""Loads customers, and orders that name their customer, from two CSV files: two COPYs and a join."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

COPY_CUSTOMERS = "COPY customers (code, name, country, since, points) FROM STDIN WITH (FORMAT csv, HEADER)"
CREATE = """
CREATE TEMPORARY TABLE declared (number text, customer text, total numeric(12, 2), placed_on date) ON COMMIT DROP
"""
COPY_ORDERS = "COPY declared FROM STDIN WITH (FORMAT csv, HEADER)"
INSERT = """
INSERT INTO orders (number, customer_id, total, placed_on)
SELECT d.number, c.id, d.total, d.placed_on
FROM declared AS d JOIN customers AS c ON c.code = d.customer
"""


def main() -> None:
    customers, orders = map(Path, sys.argv[1:])
    with psycopg.connect() as connection:
        with connection.cursor().copy(COPY_CUSTOMERS) as copy:
            copy.write(customers.read_bytes())
        connection.execute(CREATE)
        with connection.cursor().copy(COPY_ORDERS) as copy:
            copy.write(orders.read_bytes())
        connection.execute("ANALYZE declared")
        connection.execute(INSERT)


if __name__ == "__main__":
    main()
