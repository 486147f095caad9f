"""Tables of the benchmark of rows, and the statements that a person would write to seed them.

The statements find the declared rows in the temporary table `declared`, compare them with the table by one join, and
write what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import products

MARK = "!"
"""Appended to the text of a row that was changed in the database."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        key: The columns that identify a row.
        text: A column of text that is never NULL, and is changed by `change`.
    """

    name: str
    create: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    text: str

    @property
    def count(self) -> str:
        """Counts the rows, and those that are changed."""
        return f"SELECT count(*), count(*) FILTER (WHERE right({self.text}, 1) = '{MARK}') FROM {self.name}"

    def change(self, rows: int) -> str:
        """Changes some rows that are spread over the table."""
        key = ", ".join(self.key)
        numbered = f"SELECT {key}, row_number() OVER (ORDER BY {key}) AS number, count(*) OVER () AS total"
        return f"""
            UPDATE {self.name} SET {self.text} = {self.text} || '{MARK}'
            WHERE ({key}) IN (
                SELECT {key} FROM ({numbered} FROM {self.name}) AS all_rows
                WHERE number % (total / {rows}) = 0 ORDER BY number LIMIT {rows}
            )"""

    def add(self, rows: int, replaced: Mapping[str, str]) -> str:
        """Adds copies of rows, with other expressions for these columns."""
        values = ", ".join(replaced.get(column, column) for column in self.columns)
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) SELECT {values} FROM {self.name} LIMIT {rows}"

    @property
    def insert(self) -> str:
        first = self.key[0]
        return (
            f"INSERT INTO {self.name} ({', '.join(self.columns)}) SELECT {self._columns_of('d')} FROM declared AS d"
            f" LEFT JOIN {self.name} AS t ON {self._matches} WHERE t.{first} IS NULL"
        )

    @property
    def update(self) -> str:
        setting = ", ".join(f"{column} = d.{column}" for column in self._values)
        return f"UPDATE {self.name} AS t SET {setting} FROM declared AS d WHERE {self._matches} AND ({self._differs})"

    @property
    def delete(self) -> str:
        return f"DELETE FROM {self.name} AS t WHERE NOT EXISTS (SELECT FROM declared AS d WHERE {self._matches})"

    def expect(self, rows: int) -> str:
        """Compares, and fails if another number of rows differs."""
        return (
            f"SELECT 1 / (count(*) = {rows})::integer FROM declared AS d LEFT JOIN {self.name} AS t"
            f" ON {self._matches} WHERE t.{self.key[0]} IS NULL OR {self._differs}"
        )

    def copy(self, file: Path) -> str:
        """A command of psql."""
        return f"\\copy {self.name} ({', '.join(self.columns)}) FROM '{file}' WITH (FORMAT csv, HEADER)"

    def write_psql(self, script: Path, file: Path, statement: str) -> Path:
        r"""Writes a script of psql that passes a CSV file to the temporary table by \copy."""
        script.write_text(
            f"CREATE TEMPORARY TABLE declared (LIKE {self.name});\n"
            f"\\copy declared ({', '.join(self.columns)}) FROM '{file}' WITH (FORMAT csv, HEADER)\n"
            f"ANALYZE declared;\n{statement};\n"
        )
        return script

    @property
    def _values(self) -> list[str]:
        return [column for column in self.columns if column not in self.key]

    @property
    def _matches(self) -> str:
        return " AND ".join(f"t.{column} = d.{column}" for column in self.key)

    @property
    def _differs(self) -> str:
        return " OR ".join(f"t.{column} IS DISTINCT FROM d.{column}" for column in self._values)

    def _columns_of(self, alias: str) -> str:
        return ", ".join(f"{alias}.{column}" for column in self.columns)


PLACES = Table(
    "places",
    """
    CREATE TABLE places (
        code text PRIMARY KEY,
        name text NOT NULL,
        country text NOT NULL,
        latitude numeric(8, 5) NOT NULL,
        longitude numeric(8, 5) NOT NULL,
        population integer,
        is_capital boolean NOT NULL,
        founded_on date,
        tags jsonb NOT NULL
    )""",
    ("code",),
    ("code", "name", "country", "latitude", "longitude", "population", "is_capital", "founded_on", "tags"),
    "name",
)
FLIGHTS = Table(
    "flights",
    """
    CREATE TABLE flights (
        year integer NOT NULL,
        month integer NOT NULL,
        day integer NOT NULL,
        dep_time integer,
        sched_dep_time integer NOT NULL,
        dep_delay integer,
        arr_time integer,
        sched_arr_time integer NOT NULL,
        arr_delay integer,
        carrier text NOT NULL,
        flight integer NOT NULL,
        tailnum text NOT NULL,
        origin text NOT NULL,
        dest text NOT NULL,
        air_time integer,
        distance integer NOT NULL,
        hour integer NOT NULL,
        minute integer NOT NULL,
        time_hour timestamptz NOT NULL,
        PRIMARY KEY (carrier, flight, time_hour)
    )""",
    ("carrier", "flight", "time_hour"),
    (
        *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time"),
        *("arr_delay", "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute"),
        "time_hour",
    ),
    "tailnum",
)
PRODUCTS = Table(
    "products",
    products.CREATE_TABLE,
    ("id",),
    ("id", "code", "name", "price", "stock", "active", "updated_at", "attributes"),
    "name",
)
_CREATE_CUSTOMERS = """
    CREATE TABLE customers (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        code text NOT NULL UNIQUE,
        name text NOT NULL,
        country text NOT NULL,
        since date NOT NULL,
        points integer
    )"""
CUSTOMERS = Table("customers", _CREATE_CUSTOMERS, ("code",), ("code", "name", "country", "since", "points"), "name")
ORDERS = Table(
    "orders",
    f"""{_CREATE_CUSTOMERS};
    CREATE TABLE orders (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        number text NOT NULL UNIQUE,
        customer_id bigint NOT NULL REFERENCES customers,
        total numeric(12, 2) NOT NULL,
        placed_on date NOT NULL
    )""",
    ("number",),
    ("number", "customer_id", "total", "placed_on"),
    "number",
)
"""Orders, each of which references a customer."""
